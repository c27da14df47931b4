"""The test of a model's code on few rows: it says what happened and refuses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from sklearn.linear_model import LogisticRegression

from keepwell import Model
from keepwell.settings import TrustSection
from keepwell.training import smoke

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "site": ["north"] * 200,
        "day": [FIRST + timedelta(days=place) for place in range(200)],
        "label": [float(place % 3 == 0) for place in range(200)],
        "cloud": [(place % 3) / 2 + place / 1000 for place in range(200)],
    }
)


def tried(train: Any) -> dict[str, Any]:
    functions: dict[str, Any] = {name: lambda rows: rows for name in ("features", "label")}
    model = Model(
        name="tiny", gather=lambda since, until, source: None, train=train, entity="site", time="day", horizon_days=1, **functions
    )
    return smoke(model, ROWS, settings={}, seed=1, trust=TrustSection())


def test_a_steady_model_is_identical_and_kept() -> None:
    assert tried(lambda X, y, *, settings, seed: LogisticRegression(random_state=seed).fit(X, y)) == {
        "rows": 200,
        "identical": True,
        "kept": True,
    }


def test_a_model_that_cannot_be_trained_says_why() -> None:
    def train(X: Any, y: Any, *, settings: Any, seed: int) -> Any:
        raise ValueError("too few rows of the rare kind")

    assert "too few rows of the rare kind" in tried(train)["problem"]
