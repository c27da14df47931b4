"""Scores, their intervals, and what is said when there is no score."""

import timeit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score

from keepwell.errors import SettingInvalid
from keepwell.evaluation import effective_rows, losses, mean_bound, mean_interval, score


def rain(n, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, n)
    return (rng.uniform(size=n) < p).astype(float), p


def autoregressive(n, phi, rng):
    return lfilter([1], [1, -phi], rng.normal(size=n + 100))[100:]


def test_binary_scores_agree_with_scikit_learn():
    y, p = rain(500)
    found = score("binary", y, p)
    assert found["brier"].value == pytest.approx(brier_score_loss(y, p))
    assert found["log_loss"].value == pytest.approx(log_loss(y, p))
    assert found["roc_auc"].value == pytest.approx(roc_auc_score(y, p))
    assert found["base_rate"].value == pytest.approx(y.mean())


def test_regression_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    y, p = rng.normal(size=300), rng.normal(size=300)
    found = score("regression", y, p)
    assert found["mae"].value == pytest.approx(mean_absolute_error(y, p))
    assert found["rmse"].value == pytest.approx(mean_squared_error(y, p) ** 0.5)


def test_ranking_counts_ties_as_half():
    y, p = np.array([0, 1, 0, 1, 1, 0.0]), np.array([0.3, 0.3, 0.1, 0.7, 0.1, 0.7])
    assert score("binary", y, p)["roc_auc"].value == pytest.approx(roc_auc_score(y, p))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=80))
def test_every_interval_holds_its_value_and_stays_in_range(rows):
    y, p = np.array([float(label) for label, _ in rows]), np.array([answer for _, answer in rows])
    for metric in score("binary", y, p).values():
        assert metric.n == len(rows)
        assert (metric.value is None) == bool(metric.reason)
        if metric.low is not None and metric.high is not None:
            assert metric.low - 1e-9 <= metric.value <= metric.high + 1e-9
        if metric.name in ("roc_auc", "base_rate") and metric.low is not None:
            assert metric.low >= 0 and metric.high <= 1


@pytest.mark.parametrize(
    ("y", "p", "reason"),
    [
        ([], [], "no labelled rows"),
        ([0, 1], [0.5], "2 labels but 1 answers"),
        ([0, 1], [0.5, np.nan], "1 of 2 answers are missing"),
        ([0, np.nan], [0.5, 0.5], "1 of 2 labels are missing"),
        ([0, 2], [0.5, 0.5], "labels other than 0 and 1"),
        ([0, 1], [0.5, 1.5], "are no probabilities"),
    ],
    ids=["no rows", "lengths", "missing answer", "missing label", "other label", "no probability"],
)
def test_what_cannot_be_scored_says_why(y, p, reason):
    for metric in score("binary", y, p).values():
        assert metric.value is None
        assert reason in metric.reason


def test_one_class_has_a_brier_score_but_no_ranking():
    found = score("binary", np.zeros(40), np.linspace(0.1, 0.3, 40))
    assert found["brier"].value > 0
    assert found["roc_auc"].value is None
    assert found["roc_auc"].reason == "all 40 labels are 0"
    assert found["base_rate"].value == 0 and found["base_rate"].high > 0.05


def test_one_row_has_a_value_and_no_interval():
    metric = score("regression", [1.0], [3.0])["mae"]
    assert (metric.value, metric.low, metric.high, metric.n) == (2.0, None, None, 1)


def test_log_loss_clips_at_one_percent():
    assert losses("log_loss", [1, 0], [0, 1]) == pytest.approx(-np.log(0.01))


def test_an_unknown_metric_is_a_wrong_setting():
    with pytest.raises(SettingInvalid, match=r"gate\.metric.*brier"):
        losses("accuracy", [1], [1])


def test_calibration_line_finds_answers_that_are_too_extreme():
    rng = np.random.default_rng(2)
    odds = rng.normal(0, 1.5, 4000)
    y = (rng.uniform(size=4000) < 1 / (1 + np.exp(-odds))).astype(float)
    found = score("binary", y, 1 / (1 + np.exp(-2 * odds)))
    assert found["calibration_slope"].high < 0.75
    assert found["calibration_intercept"].low < 0 < found["calibration_intercept"].high
    assert found["calibration_error"].low > 0.02


def test_calibration_error_of_one_constant_answer_is_its_distance_from_the_rate():
    y = np.array([0, 0, 0, 1] * 25, float)
    found = score("binary", y, np.full(100, 0.35))
    assert found["calibration_error"].value == pytest.approx(0.10)
    assert "do not vary" in found["calibration_slope"].reason


@pytest.mark.parametrize(("phi", "n", "least"), [(0.0, 60, 0.93), (0.0, 365, 0.93), (0.5, 365, 0.92), (0.8, 365, 0.89)])
def test_intervals_cover_also_when_neighbours_resemble_each_other(phi, n, least):
    """1.96 naive standard errors cover 0.74 at phi = 0.5 and 0.49 at 0.8."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(600):
        _, low, high = mean_interval(autoregressive(n, phi, rng))
        covered += low < 0 < high
    assert least <= covered / 600 <= 0.985


def test_ranking_interval_covers_the_true_area():
    """Labels drawn with probability p, p uniform on [0, 1]: the area is 5/6."""
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        p = rng.uniform(size=365)
        metric = score("binary", (rng.uniform(size=365) < p).astype(float), p)["roc_auc"]
        covered += metric.low < 5 / 6 < metric.high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_bound_lies_below_the_mean_and_falls_with_confidence():
    values = np.random.default_rng(5).normal(size=100)
    assert mean_bound(values, confidence=0.99) < mean_bound(values, confidence=0.9) < values.mean()
    assert mean_bound(values[:1], confidence=0.9) == -np.inf


def test_autocorrelated_rows_count_for_fewer():
    rng = np.random.default_rng(6)
    assert effective_rows(autoregressive(2000, 0.8, rng)) < 500
    assert effective_rows(np.ones(10)) == 10


def test_an_interval_of_a_year_takes_less_than_a_third_of_a_millisecond():
    values = np.random.default_rng(7).normal(size=400)
    assert min(timeit.repeat(lambda: mean_interval(values), number=100, repeat=5)) / 100 < 0.3e-3
