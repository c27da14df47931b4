"""What asks for a new version, and what holds it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keepwell.retraining import State, decide
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
