"""Made-up streams of a model's rows: seasons, entities, columns that hang together, and a model that is right until something breaks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2020, 1, 1, tzinfo=UTC)
STATIONS = ("Ahorn", "Birke", "Eiche")
NUMBERS = ("warmth", "damp", "wind", "pressure")


def day(number: float) -> datetime:
    """The moment so many days after the stream's first."""
    return START + timedelta(days=number)


def stream(days: int, *, seed: int, a_day: int = 9, since: int = 0, task: str = "binary") -> pl.DataFrame:
    """Rows with their answers and labels: `a_day` a day, spread over stations and hours. The model does not ask wind."""
    draw = np.random.default_rng(seed)
    n = days * a_day
    number = np.repeat(np.arange(since, since + days), a_day)
    place = np.tile(np.arange(a_day), days)
    season = np.sin(2 * np.pi * number / 365.25)
    station = place % len(STATIONS)
    shock = np.repeat(draw.normal(0, 0.4, days), a_day)
    warmth = 12 + 8 * season + 2 * station + 3 * (draw.normal(0, 1, n) + shock)
    damp = 60 - 1.5 * (warmth - 12) + 8 * draw.normal(0, 1, n)
    wind = np.abs(10 + 0.2 * (damp - 60) + 3 * draw.normal(0, 1, n))
    pressure = 1013 - 0.4 * (damp - 60) - 0.5 * (wind - 10) + 4 * draw.normal(0, 1, n)
    sky = np.where(damp + 6 * draw.normal(0, 1, n) > 64, "grey", np.where(draw.random(n) < 0.4, "mixed", "blue"))
    frame = pl.DataFrame(
        {
            "time": [day(float(one) + hour / a_day) for one, hour in zip(number, place, strict=True)],
            "station": [STATIONS[one] for one in station],
            "warmth": warmth,
            "damp": damp,
            "wind": wind,
            "pressure": pressure,
            "sky": sky,
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    truth = MODELS[task](frame)
    return frame.with_columns(_answers(truth), pl.Series("label", _labels(truth, task, draw)))


def answered(frame: pl.DataFrame, task: str = "binary") -> pl.DataFrame:
    """The rows as they come when something happened to them: answered anew, the labels as they were."""
    return frame.with_columns(_answers(MODELS[task](frame)))


def chance(frame: pl.DataFrame) -> np.ndarray:
    """A model's probability: exactly that of the labels, as long as its inputs are right."""
    return 1 / (1 + np.exp(-_score(frame)))


def amount(frame: pl.DataFrame) -> np.ndarray:
    """A model's number."""
    return 10 + 3 * _score(frame)


def chances(frame: pl.DataFrame) -> np.ndarray:
    """A model's probabilities of three classes."""
    score = _score(frame)
    raised = np.exp(np.stack([score, np.zeros(len(score)), -score], axis=1))
    return raised / raised.sum(axis=1, keepdims=True)


def _score(frame: pl.DataFrame) -> np.ndarray:
    usual = {"warmth": 12.0, "damp": 60.0, "pressure": 1013.0}
    warmth, damp, pressure = (frame[name].cast(pl.Float64).fill_null(value).to_numpy() for name, value in usual.items())
    grey = (frame["sky"].cast(pl.String) == "grey").fill_null(False).to_numpy()
    return np.clip(0.08 * (damp - 60) - 0.08 * (warmth - 14) - 0.08 * (pressure - 1013) + 1.2 * grey - 0.6, -8, 8)


MODELS: dict[str, Callable[[pl.DataFrame], np.ndarray]] = {"binary": chance, "regression": amount, "multiclass": chances}


def _answers(answers: np.ndarray) -> pl.Series:
    return pl.Series("answer", answers.tolist(), dtype=pl.List(pl.Float64) if answers.ndim == 2 else pl.Float64)


def _labels(truth: np.ndarray, task: str, draw: np.random.Generator) -> np.ndarray:
    if task == "regression":
        return truth + draw.normal(0, 2, len(truth))
    if task == "multiclass":
        return (draw.random(len(truth))[:, None] > truth.cumsum(axis=1)).sum(axis=1).clip(0, 2).astype(float)
    return (draw.random(len(truth)) < truth).astype(float)
