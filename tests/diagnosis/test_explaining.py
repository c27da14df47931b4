"""What an explanation adds up to, and how changes on record stand beside causes found in the data."""

import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import streams

from keepwell.diagnosis import Began, Cause, Change, Explanation, explain, ranked
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.explain import _scan
from keepwell.diagnosis.isolation import repaired
from keepwell.monitoring import Watch, explanation_of, plain, tell

BEGAN = 400
AFTER = streams.stream(20, seed=2, since=BEGAN)


@pytest.fixture(scope="module")
def watch() -> Watch:
    """A watch that has seen twenty days of a converted column."""
    opened = Watch(streams.stream(BEGAN, seed=1), streams.chance, entity="station")
    opened.update(streams.answered(AFTER.with_columns(pl.col("warmth") * 1.8 + 32)), until=streams.day(BEGAN + 20))
    return opened


def test_the_parts_add_up_to_the_measured_rise(watch: Watch) -> None:
    found = watch.open_incidents[0].explanation
    assert found.rise is not None
    assert sum(part.amount for part in found.parts) == pytest.approx(found.rise)
    assert {"harder cases", "unit change in warmth"} <= {part.name for part in found.parts}


def test_an_explanation_is_the_same_each_time_and_after_a_round_trip(watch: Watch) -> None:
    case = watch.case()
    once = explain(case)
    assert explain(case) == once
    assert explanation_of(plain(once)) == once


def test_an_onset_outside_the_one_told_first_is_said_beside_it(watch: Watch) -> None:
    found = replace(watch.open_incidents[0].explanation, earlier=streams.day(3))
    assert explanation_of(plain(found)) == found
    assert f"; {streams.day(3):%-d %B %Y} was told first)" in tell(found)
    assert "told first" not in tell(replace(found, earlier=None))


def test_a_diagnosis_uses_what_was_told_before_and_finds_the_same(watch: Watch) -> None:
    """To 1e-9, against telling each row anew."""
    case = watch.case()
    contrast = Contrast.at(case, len(case.numbers) - 20)
    conditionals = case.reference.conditionals
    for columns, numbers in ((["warmth"], [0]), (["damp", "wind"], [1, 2])):
        anew = conditionals.repaired(contrast.both, numbers, [])
        assert np.allclose(repaired(contrast, columns).numbers, anew.numbers, atol=1e-9, rtol=0)
        residuals = conditionals.residuals(anew)
        after = contrast.is_after
        misfit, spread = contrast.misfits(repaired(contrast, columns))
        assert np.allclose(misfit, residuals[after].mean(axis=0) - residuals[~after].mean(axis=0), atol=1e-9, rtol=0)
        sizes = np.abs(residuals)
        assert np.allclose(spread, sizes[after].mean(axis=0) - sizes[~after].mean(axis=0), atol=1e-9, rtol=0)


def test_a_fault_without_any_row_kept_from_before_it_is_told_as_too_little_to_tell_more(watch: Watch) -> None:
    case = watch.case()
    late = np.flatnonzero(case.batch >= np.floor(streams.day(BEGAN).timestamp() / 86400))
    rows, frame = case.rows.take(late), case.frame[late]
    few = replace(case, frame=frame, rows=rows, batch=case.batch[late], answer=case.answer[late], label=case.label[late])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = explain(few)
    assert all(cause.detail == "too few rows to tell more" for cause in found.causes if cause.column == "warmth")


@pytest.mark.parametrize(("channel", "earliest"), [("r:warmth", 50), ("m:warmth", 100)])
def test_a_hard_sign_is_looked_for_in_all_batches_a_soft_one_in_the_newest_300(watch: Watch, channel: str, earliest: int) -> None:
    case = watch.case()
    at = next(at for at, one in enumerate(case.reference.channels) if one.name == channel)
    z = np.zeros((400, len(case.reference.channels)))
    z[50:, at] = 5.0
    found = _scan(replace(case, z=z), at, 1)
    assert found is not None
    assert found.at == earliest


def test_without_a_model_to_ask_the_column_is_named_and_not_priced() -> None:
    watch = Watch(streams.stream(BEGAN, seed=1), entity="station")
    signals = watch.update(streams.answered(AFTER.with_columns(pl.col("warmth") * 1.8 + 32)).drop("label"))
    causes = [cause for signal in signals for cause in signal.causes]
    assert causes
    assert {(cause.column, cause.harm) for cause in causes} == {("warmth", None)}


def explanation(*causes: Cause) -> Explanation:
    at = datetime(2026, 5, 14, tzinfo=UTC)
    began = Began(at, at - timedelta(days=1), at + timedelta(days=2), 0.9, "step", "m:humidity")
    return Explanation(began, causes, 0.08, 0.01, 0.1, 0.02, (), 0.1, 0.02, 0.5, has_labels=True)


def test_a_change_inside_the_interval_that_fits_stands_first_and_a_later_one_is_left_out() -> None:
    found = ranked(
        explanation(Cause("unit_change", "humidity", harm=0.08)),
        [
            Change("source", datetime(2026, 5, 13, 6, tzinfo=UTC), "the source was edited"),
            Change("version", datetime(2026, 5, 13, 6, tzinfo=UTC), "version 4 went live"),
            Change("source", datetime(2026, 5, 20, tzinfo=UTC), "the source was edited again"),
        ],
    )
    assert [one.change.kind if one.change else "cause" for one in found] == ["source", "cause", "version"]


def test_a_change_counts_less_the_longer_it_lies_before_the_onset() -> None:
    near, far = (Change("source", datetime(2026, 5, day, tzinfo=UTC), f"edited on {day}") for day in (12, 6))
    scores = {one.sentence: one.score for one in ranked(explanation(), [far, near])}
    assert list(scores) == ["edited on 12 (12 May 2026 00:00)", "edited on 6 (6 May 2026 00:00)"]


def test_a_fault_that_explains_nothing_of_the_rise_does_not_stand_first() -> None:
    change = Change("version", datetime(2026, 5, 13, 6, tzinfo=UTC), "version 4 went live")
    found = ranked(explanation(Cause("bias_ramp", "humidity", harm=0.0002)), [change])
    assert [one.change is not None for one in found] == [True, False]
    assert found[1].score < 0.01


def test_a_broken_column_that_explains_next_to_nothing_is_no_culprit() -> None:
    """A decline that labels show, and a little noise found beside it: training must not wait for years until that is mended."""
    assert explanation(Cause("noise", "humidity", harm=0.01)).culprit is None
    for cause in (Cause("noise", "humidity", harm=0.05), Cause("noise", "humidity"), Cause("concept_shift", "humidity")):
        assert explanation(cause).culprit == cause


def test_what_easier_cases_hide_of_the_rise_counts_as_unexplained() -> None:
    told = explanation(Cause("noise", "humidity", harm=0.03))
    assert told.share(told.causes[0]) == pytest.approx(0.3)
    hidden = replace(told, gap=0.2)
    assert hidden.share(told.causes[0]) == pytest.approx(0.15)
    assert hidden.culprit is None
