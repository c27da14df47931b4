"""What asks for a new version, and what holds it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keepwell.retraining import Decline, Gain, Gains, Pause, State, all_brakes, decide
from keepwell.settings import BuildSection, RetrainSection

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SETTINGS = RetrainSection(every_days=90, max_age_days=365, cooldown_days=30, min_new_labels=10)
BUILD = BuildSection(min_rows=100, holdout_days=60)
CALM: dict[str, Any] = {
    "labels": 500,
    "new_labels": 50,
    "last_build": NOW - timedelta(days=40),
    "trained_until": NOW - timedelta(days=100),
    "verdict": "well",
}


@pytest.mark.parametrize(
    ("change", "build", "words"),
    [
        pytest.param({}, False, "nothing asks", id="calm"),
        pytest.param({"trained_until": None, "last_build": None}, True, "no version serves", id="first"),
        pytest.param({"trained_until": None, "last_build": None, "labels": 50}, False, "100 are needed", id="first, too few rows"),
        pytest.param({"verdict": "unwell"}, True, "the model is unwell", id="decline"),
        pytest.param({"verdict": "watch"}, False, "nothing asks", id="watch is not decline"),
        pytest.param({"last_build": NOW - timedelta(days=90)}, True, "90 days since the last build", id="schedule"),
        pytest.param({"trained_until": NOW - timedelta(days=426)}, True, "426 days old", id="age"),
        pytest.param({"verdict": "unwell", "last_build": NOW - timedelta(days=10)}, False, "cooldown for 20 more days", id="cooldown"),
        pytest.param({"verdict": "unwell", "new_labels": 3}, False, "3 new labels", id="few new labels"),
        pytest.param({"verdict": "unwell", "faults": ("pressure is stuck",)}, False, "pressure is stuck", id="data fault"),
        pytest.param({"asked": True, "last_build": NOW - timedelta(days=1), "new_labels": 0}, True, "by hand", id="asked"),
        pytest.param({"asked": True, "faults": ("pressure is stuck",)}, False, "pressure is stuck", id="asked during a fault"),
    ],
)
def test_the_decision_and_its_reason(change: dict[str, Any], build: bool, words: str) -> None:
    decision = decide(SETTINGS, BUILD, State(**{**CALM, **change}), NOW)
    assert (decision.build, words in decision.sentence) == (build, True)


ONSET = NOW - timedelta(days=60)
CHANGED = Decline(onset=ONSET, low=ONSET, high=ONSET, kind="concept_shift", cls="concept_shift", column="cloud", rows=400, judge_from=NOW)
SHARE = Decline(onset=ONSET, low=ONSET, high=ONSET, kind="label_shift", cls="label_shift", rows=400, judge_from=NOW)
MIX = Decline(onset=NOW - timedelta(days=9), low=ONSET, high=NOW, kind="covariate_shift", cls="covariate_shift", rows=400)
OFF = Decline(onset=ONSET, low=ONSET, high=ONSET, kind="noise", cls="data_quality", column="cloud", rows=400)
UNPROVEN = Decline(onset=ONSET, low=ONSET, high=ONSET, rows=400)


def gain(value: float) -> Gain:
    return Gain(value, value - 0.01, value + 0.01, 0.2, 300)


@pytest.mark.parametrize(
    ("change", "act", "build", "words"),
    [
        pytest.param({"faults": ("pressure is stuck",)}, "fix upstream", False, "owner of the source", id="a fault is mended upstream"),
        pytest.param({"faults": ("a unit",), "set_aside": True}, "quarantine and wait", False, "set aside", id="rows set aside wait"),
        pytest.param({"noted": "wind shifted"}, "nothing", False, "wind shifted: nothing to do", id="a harmless shift is left alone"),
        pytest.param({"verdict": "unwell", "decline": CHANGED}, "retrain", True, "266 rows since", id="a relation is learned anew"),
        pytest.param({"verdict": "unwell", "decline": SHARE, "recalibrates": True}, "recalibrate", True, "ranking holds", id="share"),
        pytest.param({"verdict": "unwell", "decline": SHARE}, "retrain", True, "share of labels", id="share, but other features code"),
        pytest.param({"verdict": "unwell", "decline": MIX}, "retrain", False, "may pass by itself", id="a shift of inputs waits"),
        pytest.param(
            {"verdict": "unwell", "decline": OFF}, "retrain", True, "mended what is off in cloud", id="a fault that holds nothing now"
        ),
        pytest.param(
            {"verdict": "unwell", "decline": UNPROVEN, "recalibrates": True, "gains": Gains(gain(0.05), gain(0.045))},
            "recalibrate", True, "not in their ranking", id="a recalibration that gains as much",
        ),
        pytest.param(
            {"verdict": "unwell", "decline": SHARE, "recalibrates": True, "gains": Gains(gain(0.08), gain(0.02))},
            "retrain", True, "share of labels", id="a recalibration that gains far less",
        ),
        pytest.param(
            {"verdict": "unwell", "decline": CHANGED, "promoted": ONSET, "previous": 3, "gains": Gains(roll_back=gain(0.03))},
            "roll back", False, "version 3 is better", id="a decline that came with a version",
        ),
        pytest.param(
            {"verdict": "unwell", "decline": CHANGED, "promoted": ONSET, "previous": 3, "gains": Gains(roll_back=gain(0.0))},
            "retrain", True, "266 rows", id="the version before is no better",
        ),
        pytest.param({"verdict": "unwell", "gains": Gains(gain(-0.01))}, "retrain", False, "gain nothing", id="no decline and no gain"),
        pytest.param({"verdict": "unwell", "pause": Pause(NOW, None, "mira", "")}, "retrain", False, "paused by mira", id="paused"),
    ],
)  # fmt: skip
def test_the_act_fits_the_cause(change: dict[str, Any], act: str, build: bool, words: str) -> None:
    decision = decide(SETTINGS, BUILD, State(**{**CALM, **change}), NOW)
    assert (decision.act, decision.build, words in decision.sentence) == (act, build, True), decision.sentence


def test_a_changed_relation_is_learned_from_its_own_rows_and_judged_on_the_newest() -> None:
    decision = decide(SETTINGS, BUILD, State(**{**CALM, "verdict": "unwell", "decline": CHANGED}), NOW)
    assert decision.plan == {"window_from": ONSET.isoformat(), "judge_from": NOW.isoformat()}


def test_a_build_like_any_other_has_no_plan() -> None:
    assert decide(SETTINGS, BUILD, State(**{**CALM, "last_build": NOW - timedelta(days=90)}), NOW).plan == {}


def test_rows_since_the_onset_are_waited_for_where_they_come_soon() -> None:
    few = Decline(onset=NOW - timedelta(days=20), low=ONSET, high=NOW, cls="concept_shift", kind="concept_shift", rows=100)
    decision = decide(SETTINGS, BUILD, State(**{**CALM, "verdict": "unwell", "decline": few}), NOW)
    assert decision.held_by is not None and "150 are needed to learn from them alone, in about 10 days" in decision.held_by


def test_a_month_has_a_budget_and_it_says_when_it_is_free_again() -> None:
    settings = SETTINGS.model_copy(update={"max_per_month": 2, "cooldown_days": 0})
    builds = (NOW - timedelta(days=5), NOW - timedelta(days=20), NOW - timedelta(days=50))
    state = State(**{**CALM, "verdict": "unwell", "builds": builds, "last_build": builds[0]})
    assert decide(settings, BUILD, state, NOW).held_by == "2 builds in the last 30 days, 2 are allowed"
    budget = next(one for one in all_brakes(settings, BUILD, state, NOW) if one.name == "budget")
    assert budget.until == NOW + timedelta(days=10)


def test_a_champion_that_learned_from_a_window_is_followed_by_others_of_it() -> None:
    state = State(**{**CALM, "last_build": NOW - timedelta(days=90), "since": ONSET})
    assert decide(SETTINGS, BUILD, state, NOW).window_from == ONSET
