"""The word for the whole: unknown is never health, and a word does not change every few days."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from keepwell.monitoring import Evidence, check_up
from keepwell.settings import CheckSection

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SETTINGS = CheckSection(window_days=365, min_labels=60, tolerance=0.1, max_age_days=3)
EXPECTED = 0.16


def scored(loss: float, n: int = 300, labelled: int | None = None) -> pl.DataFrame:
    """Answers whose squared errors have about the mean `loss`."""
    draw = np.random.default_rng(3)
    label = draw.integers(0, 2, n).astype(float)
    answer = np.abs(label - np.sqrt(np.clip(draw.normal(loss, 0.02, n), 0, 1)))
    times = [NOW - timedelta(days=n - place) for place in range(n)]
    known = [value if labelled is None or place < labelled else None for place, value in enumerate(label)]
    return pl.DataFrame({"time": times, "version": [1] * n, "answer": answer, "label": known}, schema_overrides={"label": pl.Float64})


def judge(loss: float = EXPECTED, settings: CheckSection = SETTINGS, **change: Any) -> str:
    evidence: dict[str, Any] = {
        "metric": "brier",
        "scored": scored(loss),
        "due": 300,
        "expected": {1: EXPECTED},
        "champion": 1,
        "newest": NOW - timedelta(days=1),
    }
    return check_up(settings, Evidence(**{**evidence, **change}), NOW).verdict


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        pytest.param({}, "well", id="as expected"),
        pytest.param({"loss": 0.3}, "unwell", id="proven worse"),
        pytest.param({"champion": None}, "unknown", id="nothing serves"),
        pytest.param({"newest": NOW - timedelta(days=9)}, "unknown", id="old data"),
        pytest.param({"newest": None}, "unknown", id="no data"),
        pytest.param({"scored": scored(EXPECTED, labelled=10)}, "unknown", id="few labels"),
        pytest.param({"source_error": "no answer"}, "watch", id="source failed"),
        pytest.param({"faults": ("pressure is stuck",)}, "watch", id="data fault"),
        pytest.param({"settings": SETTINGS.model_copy(update={"max_loss": 0.1})}, "unwell", id="above the hard limit"),
        pytest.param({"loss": 0.172, "before": "watch"}, "watch", id="on the way back"),
        pytest.param({"loss": 0.172, "before": "well"}, "well", id="within tolerance"),
        pytest.param({"loss": 0.165, "before": "unwell"}, "well", id="clearly back"),
    ],
)
def test_the_verdict(change: dict[str, Any], verdict: str) -> None:
    assert judge(**change) == verdict


def test_the_expected_loss_is_that_of_the_versions_that_answered() -> None:
    rows = scored(EXPECTED).with_columns(version=pl.Series([1] * 200 + [2] * 100))
    evidence = Evidence(metric="brier", scored=rows, due=300, expected={1: 0.1, 2: 0.4}, champion=2, newest=NOW)
    assert check_up(SETTINGS, evidence, NOW).facts["expected"] == pytest.approx(0.2)


def test_maturity_is_the_share_of_due_answers_that_have_their_truth() -> None:
    evidence = Evidence(metric="brier", scored=scored(0.16, labelled=150), due=200, expected={1: 0.16}, champion=1, newest=NOW)
    assert check_up(SETTINGS, evidence, NOW).facts["maturity"] == 0.75
