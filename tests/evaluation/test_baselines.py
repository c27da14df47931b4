"""What anyone could answer without a model, and without looking ahead."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepwell.evaluation import BASELINES, climatology, last_known, last_label, persistence

NAMES = {"entity": "station", "time": "day"}
DAY = timedelta(days=1)
START = datetime(2018, 1, 1, tzinfo=UTC)


def days(labels, *, station="x", start=START):
    time = [start + i * DAY for i in range(len(labels))]
    kinds = {"station": pl.String, "day": pl.Datetime("us", "UTC"), "label": pl.Float64}
    return pl.DataFrame({"station": [station] * len(labels), "day": time, "label": labels}, schema=kinds)


def seasonal(years, *, seed=0, station="x"):
    """Rain on 70% of winter days and 20% of summer days."""
    n = int(365.25 * years)
    rate = 0.45 + 0.25 * np.cos(2 * np.pi * np.arange(n) / 365.25)
    return days((np.random.default_rng(seed).uniform(size=n) < rate).astype(float), station=station)


def test_climatology_knows_the_season():
    rows = days([None] * 365, start=datetime(2024, 1, 1, tzinfo=UTC))
    found = climatology(seasonal(6), rows, **NAMES, horizon=DAY)
    assert found.shape == (365,)
    assert found[0] == pytest.approx(0.70, abs=0.08)
    assert found[182] == pytest.approx(0.20, abs=0.08)


def test_climatology_is_smooth_over_the_turn_of_the_year():
    rows = days([None, None], start=datetime(2024, 12, 31, tzinfo=UTC))
    before, after = climatology(seasonal(6), rows, **NAMES, horizon=DAY)
    assert before == pytest.approx(after, abs=0.03)


def test_an_entity_with_years_of_labels_has_its_own_climate_and_a_new_one_the_pooled():
    train = pl.concat([days([1.0] * 800, station="wet"), days([0.0] * 800, station="dry")]).sort("day", "station")
    rows = pl.concat([days([None], station=name) for name in ("wet", "dry", "new")])
    wet, dry, new = climatology(train, rows, **NAMES, horizon=DAY)
    assert wet > 0.85 and dry < 0.15 and new == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("horizon", "known"),
    [(0, [None, 1, 2, 3, 4]), (1, [None, 1, 2, 3, 4]), (3, [None, None, None, 1, 2])],
    ids=["never its own", "yesterday's", "three days old"],
)
def test_the_last_known_label_is_at_least_a_horizon_old(horizon, known):
    rows = days([1, 2, 3, 4, 5.0])
    found = last_known(rows, rows, **NAMES, horizon=horizon * DAY)
    assert [None if np.isnan(label) else label for label in found] == known


def test_a_missing_label_leaves_the_one_before_known():
    rows = days([1.0, None, None, 4.0])
    assert last_known(rows, rows, **NAMES, horizon=DAY).tolist()[1:] == [1, 1, 1]


def test_entities_do_not_know_each_other():
    rows = pl.concat([days([1, 2.0], station="a"), days([7, 8.0], station="b")]).sort("day", "station")
    assert last_known(rows, rows, **NAMES, horizon=DAY).tolist()[2:] == [1, 7]


def test_persistence_counts_what_followed():
    train = days([0, 0, 1, 1, 1, 0, 0, 0, 1, 1.0] * 30)
    rows = days([1.0, 0.0, None], start=train["day"][-1] + DAY)
    after_one, after_one_too, after_zero = persistence(train, rows, **NAMES, horizon=DAY)
    label, before = train["label"].to_numpy()[1:], train["label"].to_numpy()[:-1]
    assert after_one == after_one_too == pytest.approx(label[before == 1].mean(), abs=0.01)
    assert after_zero == pytest.approx(label[before == 0].mean(), abs=0.01)


def test_persistence_without_history_is_the_rate():
    train = days([0, 1, 1, 1.0])
    assert persistence(train, days([None], station="new"), **NAMES, horizon=DAY).tolist() == [0.75]


def test_for_regression_the_last_label_is_the_answer():
    train = days([3.0, 5.0])
    rows = days([6.0, None], start=START + 2 * DAY)
    assert last_label(train, rows, **NAMES, horizon=DAY).tolist() == [5, 6]


@pytest.mark.parametrize("task", ["binary", "regression"])
@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.sampled_from([0.0, 1.0, None]), min_size=3, max_size=12), horizon=st.integers(0, 3), data=st.data())
def test_no_baseline_uses_a_label_before_it_is_known(task, labels, horizon, data):
    """Answers up to a row do not change when every label not yet known at that row is turned round."""
    train, rows = days([0.0, 1.0, 1.0, 0.0, 1.0]), days(labels, start=START + 5 * DAY)
    at = data.draw(st.integers(0, len(labels) - 1))
    first_unknown = min(at, at - horizon + 1) if horizon else at
    turned = [None if y is None else 1 - y if i >= first_unknown else y for i, y in enumerate(labels)]
    for baseline in BASELINES[task].values():
        asked = {"train": train, **NAMES, "horizon": horizon * DAY}
        before, after = baseline(rows=rows, **asked), baseline(rows=days(turned, start=START + 5 * DAY), **asked)
        assert before[at] == after[at]


def test_without_training_labels_there_is_no_answer():
    for baselines in BASELINES.values():
        for baseline in baselines.values():
            assert np.isnan(baseline(days([None, None]), days([None]), **NAMES, horizon=DAY)).all()
