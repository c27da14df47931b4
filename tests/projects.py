"""Small real projects for tests: daily rows made in code, a model that trains in a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import stores

FIRST_DAY = date(2025, 1, 1)
DAYS = 400
BUILT_AT = datetime(2026, 1, 15, 6, tzinfo=UTC)  # every label of the first 300 days is known by then

MODEL = """
import polars as pl
from sklearn.linear_model import LogisticRegression

from keepwell import Model


def gather(since, until, *, source):
    return source(since, until)


def features(observations):
    return observations.select("site", "day", "warmth", "cloud")


def label(observations):
    return observations.select("site", "day", label="rain")


def train(X, y, *, settings, seed):
    return LogisticRegression(random_state=seed).fit(X, y)


model = Model(name="tiny", gather=gather, features=features, label=label, train=train, entity="site", time="day", horizon_days=1)
"""

SETTINGS = """
[source]
kind = "files"
path = "rows.csv"
time = "day"

[gather]
start = "2025-01-01"
tries = 1

[build]
min_rows = 100
holdout_days = 100
lookahead_checks = 1

[gate]
max_calibration_error = 0.3

[check]
min_labels = 20
"""


def tiny_project(folder: Path, *, settings: str = "", days: int = DAYS, seed: int = 5) -> Path:
    """Write a project of one site that `Project(folder)` can open, on the stores that the tests run on (see `stores`).

    `settings` is more TOML for keepwell.toml.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "keepwell.toml").write_text(stores.with_stores(SETTINGS + settings))
    tiny_rows(days, seed).write_csv(folder / "rows.csv")
    return folder


OPEN_GATE = {"beat_baselines": False, "max_calibration_error": None, "max_slice_loss": None}


def dull_project(folder: Path, days: int = 520) -> Path:
    """A tiny project whose versions answer nearly the same chance every day, unless `train.c` says otherwise (1.0: they learn)."""
    tiny_project(folder, days=days, settings="\n[train]\nc = 1e-7\n")
    fit = "LogisticRegression(C=settings.get('c', 1.0), random_state=seed)"
    (folder / "model.py").write_text(MODEL.replace("LogisticRegression(random_state=seed)", fit))
    return folder


def tiny_rows(days: int = DAYS, seed: int = 5) -> pl.DataFrame:
    """Daily rows (site, day, warmth, cloud, rain); rain follows cloud closely."""
    draw = np.random.default_rng(seed)
    warmth, cloud = draw.normal(10, 5, days), draw.uniform(0, 1, days)
    chance = 1 / (1 + np.exp(-12 * (cloud - 0.5)))
    return pl.DataFrame(
        {
            "site": ["north"] * days,
            "day": [FIRST_DAY + timedelta(days=place) for place in range(days)],
            "warmth": warmth.round(2),
            "cloud": cloud.round(3),
            "rain": (draw.uniform(size=days) < chance).astype(int),
        }
    )
