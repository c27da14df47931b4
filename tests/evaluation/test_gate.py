"""The gate: what passes, what is refused, and how often luck gets through."""

import numpy as np
import polars as pl
import pytest
from scipy.signal import lfilter

from keepwell.errors import SettingInvalid
from keepwell.evaluation import Evidence, decide
from keepwell.settings import GateSection

N = 365
GATE = GateSection()
RNG = np.random.default_rng(0)
CHANCE = RNG.uniform(0.05, 0.95, N)
Y = (RNG.uniform(size=N) < CHANCE).astype(float)
DULL = np.full(N, Y.mean())
HALFWAY = 0.5 * CHANCE + 0.5 * DULL


def evidence(**changes):
    return Evidence(**{"task": "binary", "y": Y, "challenger": CHANCE, "champion": HALFWAY, **changes})


def check(decision, name):
    return next(check for check in decision.checks if check.name == name)


def test_a_clearly_better_challenger_passes():
    decision = decide(GATE, evidence(baselines={"climatology": DULL}))
    assert decision.passed
    assert [c.name for c in decision.checks] == ["champion", "baseline climatology", "calibration"]
    assert decision.sentence.startswith("Passed: brier 0.")
    assert "with 90% confidence" in decision.sentence


def test_a_tie_keeps_the_champion():
    decision = decide(GATE, evidence(champion=CHANCE))
    assert not decision.passed
    assert "they are equal, and ties keep the champion" in decision.sentence


def test_a_better_mean_that_is_not_sure_is_refused_and_says_by_how_much():
    nearly = CHANCE + np.random.default_rng(1).normal(0, 0.02, N).clip(-0.05, 0.05)
    decision = decide(GATE, evidence(champion=nearly))
    assert check(decision, "champion").value > 0
    assert not decision.passed
    assert "must be lower with 90% confidence (short by " in decision.sentence


def test_a_first_version_needs_no_champion_but_all_the_rest():
    assert decide(GATE, evidence(champion=None, baselines={"climatology": DULL})).passed
    assert not decide(GATE, evidence(champion=None, challenger=DULL, baselines={"climatology": CHANCE})).passed


def test_a_needed_gain_is_a_share_of_the_champions_loss():
    gain = 1 - np.mean((CHANCE - Y) ** 2) / np.mean((HALFWAY - Y) ** 2)
    assert decide(GateSection(min_gain=gain / 4), evidence()).passed
    decision = decide(GateSection(min_gain=gain), evidence())
    assert not decision.passed
    assert f"at least {gain:.1%} lower" in decision.sentence


def test_a_baseline_that_is_as_good_refuses():
    decision = decide(GATE, evidence(champion=None, baselines={"persistence": CHANCE}))
    assert decision.sentence.endswith("of baseline persistence: no lower, and it must be lower.")
    assert decide(GateSection(beat_baselines=False), evidence(champion=None, baselines={"persistence": CHANCE})).passed


def test_bad_calibration_refuses_and_says_by_how_much():
    decision = decide(GATE, evidence(champion=None, challenger=np.clip(CHANCE + 0.3, 0, 1)))
    failed = check(decision, "calibration")
    assert not failed.passed and failed.limit == 0.1
    assert f"{failed.value - 0.1:.3f} above its limit 0.1" in decision.sentence
    assert decide(GateSection(max_calibration_error=None), evidence()).passed


def test_a_slice_that_is_proven_worse_refuses():
    station = np.where(np.arange(N) % 4 == 0, "coast", "inland")
    champion = np.where(station == "coast", CHANCE, DULL)
    challenger = np.where(station == "coast", DULL, CHANCE)
    decision = decide(GATE, evidence(challenger=challenger, champion=champion, slices=pl.DataFrame({"station": station})))
    assert check(decision, "champion").passed
    assert "proven worse than the champion by more than 10% on station = coast" in decision.sentence


def test_a_slice_that_is_worse_by_luck_does_not_refuse():
    slices = pl.DataFrame({"week": [f"{i // 60}" for i in range(N)]})
    assert check(decide(GATE, evidence(slices=slices)), "slices").passed


def test_a_small_slice_does_not_decide():
    station = np.where(np.arange(N) < 40, "new", "old")
    challenger = np.where(station == "new", 1 - Y, CHANCE)
    found = check(decide(GATE, evidence(challenger=challenger, slices=pl.DataFrame({"station": station}))), "slices")
    assert found.passed


@pytest.mark.parametrize(
    ("given", "passed", "words"),
    [
        ({"latency_ms": 3.0}, True, ""),
        ({"latency_ms": 7.5}, False, "latency 7.5 ms for one row is 2.5 above its limit 5"),
        ({}, False, "latency was not measured, its limit is 5 ms for one row"),
    ],
    ids=["within", "over", "unmeasured"],
)
def test_budgets_hold(given, passed, words):
    decision = decide(GateSection(max_latency_ms=5), evidence(**given))
    assert decision.passed is passed
    assert words in decision.sentence


def test_size_has_a_budget_too():
    assert "size 12 MB is 2 above its limit 10" in decide(GateSection(max_size_mb=10), evidence(size_mb=12)).sentence


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"y": np.array([]), "challenger": np.array([]), "champion": None}, "no labelled rows"),
        ({"challenger": np.where(np.arange(N) == 3, np.nan, CHANCE)}, "1 of 365 answers are missing or infinite"),
        ({"challenger": CHANCE * 3}, "are no probabilities"),
    ],
    ids=["no rows", "missing answer", "no probability"],
)
def test_a_challenger_that_cannot_be_judged_is_refused(changes, reason):
    decision = decide(GATE, evidence(**changes))
    assert not decision.passed
    assert reason in decision.sentence


def test_one_row_proves_nothing():
    one = Evidence(task="regression", y=np.ones(1), challenger=np.ones(1), champion=np.zeros(1))
    assert "one row proves nothing" in decide(GATE, one).sentence


def test_rows_the_champion_could_not_answer_are_not_compared():
    champion = np.where(np.arange(N) < 65, np.nan, HALFWAY)
    decision = decide(GATE, evidence(champion=champion))
    assert "on 300 rows (65 the champion could not answer)" in check(decision, "champion").sentence
    assert decide(GATE, evidence(champion=np.full(N, np.nan))).passed


def test_the_metric_can_be_chosen_and_must_exist():
    assert "log_loss" in decide(GateSection(metric="log_loss"), evidence()).sentence
    with pytest.raises(SettingInvalid, match="accuracy"):
        decide(GateSection(metric="accuracy"), evidence())


def noise(n, phi, rng):
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=n + 50))[50:]


def share_passed(gain, phi, n, runs=500):
    """Two regressors whose errors drift apart slowly (correlation `phi` from day to day); `gain` shrinks the challenger's."""
    rng = np.random.default_rng(11)
    passed = 0
    for _ in range(runs):
        shared, ours, theirs = (noise(n, phi, rng) for _ in range(3))
        challenger = (1 - gain) * (shared + ours)
        passed += decide(GATE, Evidence(task="regression", y=np.zeros(n), challenger=challenger, champion=shared + theirs)).passed
    return passed / runs


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_an_equal_challenger_gets_through_no_more_often_than_promised(phi):
    """Promised: 1 - confidence = 0.10; allowed: three Monte Carlo errors more."""
    assert share_passed(0.0, phi, N) <= 0.10 + 3 * np.sqrt(0.1 * 0.9 / 500)


def test_a_clearly_better_challenger_gets_through_nearly_always():
    """20% smaller errors over a year, day-to-day correlation 0.5: power 0.99 (0.91 for 15%, 0.69 for 10%)."""
    assert share_passed(0.20, 0.5, N) > 0.95
