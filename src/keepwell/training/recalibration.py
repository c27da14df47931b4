"""A version whose answers are put right in their level and spread: a monotone line over another version's model, in one safe file.

The file is a line of JSON with the two numbers, then the other model's own file as it was. Ranking is untouched, so what is learned is
two numbers, from few rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from keepwell.errors import ModelFileInvalid
from keepwell.model import Task
from keepwell.training.answers import answers
from keepwell.training.boosters import Floats, NativeModel

FORMAT = "recalibrated"
CLIP = 0.01  # as the log loss: an answer of exactly 0 has no log odds
FLATTEST = 0.05  # a slope below would turn the ranking round, or to nothing
HELD = np.array([0.01, 1.0])  # the ridge: hardly any on the level, as one row on the slope


class Recalibrated(NativeModel):
    """Another model's answers, corrected: ``sigmoid(level + slope logit p)`` for probabilities, ``level + slope p`` for numbers."""

    format = FORMAT

    def __init__(self, inner: Any, kind: str, data: bytes, *, task: Task, frame: Any, level: float, slope: float) -> None:
        self.inner, self.kind, self.inner_data = inner, kind, data
        self.task, self.frame, self.level, self.slope = task, frame, level, slope
        self.classifies = task == "binary"

    def rows(self, X: Any) -> Any:
        """As they are: the model inside knows what it takes."""
        return X

    def answer(self, rows: Any) -> Floats:
        X = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows)
        return corrected(answers(self.inner, X, self.task, frame=self.frame), self.task, self.level, self.slope)

    @property
    def line(self) -> dict[str, Any]:
        """Everything but the model inside."""
        return {"task": self.task, "frame": self.frame, "level": self.level, "slope": self.slope, "format": self.kind}

    def data(self) -> bytes:
        return json.dumps(self.line, sort_keys=True).encode() + b"\n" + self.inner_data


def recalibrate(task: Task, answer: Floats, label: Floats) -> tuple[float, float]:
    """The level and slope that fit labels best, by the likelihood (or least squares), slope at least `FLATTEST`.

    References
    ----------
    Cox (1958), Two further applications of a model for binary regression, Biometrika 45. Platt (1999), Probabilistic outputs for SVMs.
    """
    if task == "binary":
        odds = log_odds(answer)
        level, more = ridge_logistic(np.column_stack([np.ones_like(odds), odds]), odds, label, HELD)
        if 1 + more >= FLATTEST:
            return float(level), float(1 + more)
        held = ridge_logistic(np.ones((odds.size, 1)), FLATTEST * odds, label, HELD[:1])
        return float(held[0]), FLATTEST
    spread = answer - answer.mean()
    slope = float((spread @ (label - label.mean()) + 1e-9) / (spread @ spread + 1e-9))
    slope = max(slope, FLATTEST)
    return float(label.mean() - slope * answer.mean()), slope


def corrected(answer: Floats, task: Task, level: float, slope: float) -> Floats:
    """Answers on the line."""
    if task == "binary":
        return np.asarray(1 / (1 + np.exp(-(level + slope * log_odds(answer)))))
    return np.asarray(level + slope * answer)


def log_odds(answer: Floats) -> Floats:
    """Log odds of probabilities clipped to [0.01, 0.99]."""
    held = answer.clip(CLIP, 1 - CLIP)
    return np.asarray(np.log(held / (1 - held)))


def ridge_logistic(terms: Floats, offset: Floats, label: Floats, held: Floats) -> Floats:
    """Coefficients of `terms` beside a fixed offset in the log odds, by Newton's steps; `held` (> 0) is the ridge of each.

    The penalty makes the top unique also where the terms part the classes.
    """
    found = np.zeros(terms.shape[1])
    for _ in range(50):
        fitted = 1 / (1 + np.exp(-(offset + terms @ found)))
        slope = terms.T @ (label - fitted) - held * found
        curved = terms.T @ (terms * (fitted * (1 - fitted))[:, None]) + np.diag(held)
        step = np.linalg.solve(curved, slope).clip(-2, 2)
        found = found + step
        if np.abs(step).max() < 1e-9:
            break
    return found


def read(data: bytes, load: Callable[[str, bytes], Any]) -> Recalibrated:
    """A recalibrated model from its file; `load` reads the model inside, with all its checks.

    Raises
    ------
    ModelFileInvalid : the line before the model is not one, or there is a recalibrated model inside.
    """
    line, _, inner = data.partition(b"\n")
    try:
        said = json.loads(line)
        kind, level, slope = said["format"], float(said["level"]), float(said["slope"])
        task, frame = said["task"], said["frame"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileInvalid(FORMAT, "its first line does not say how to correct the answers") from error
    if kind == FORMAT or task not in ("binary", "regression") or not (np.isfinite([level, slope]).all() and slope > 0):
        raise ModelFileInvalid(FORMAT, "its first line holds what cannot be")
    return Recalibrated(load(kind, inner), kind, inner, task=task, frame=frame, level=level, slope=slope)
