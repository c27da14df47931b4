"""The scores of a model on labelled rows, each with its interval.

Rows come in time order (rows of one time next to each other); the intervals allow for neighbours that resemble each other.
What cannot be scored is a `Metric` without a value that says why, never an exception and never a silent zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keepwell.errors import SettingInvalid
from keepwell.evaluation.calibration import calibration_error, calibration_line
from keepwell.evaluation.intervals import Floats, effective_rows, mean_interval, share_interval
from keepwell.evaluation.ranking import auc_interval
from keepwell.model import Task

CLIP = 0.01  # log loss: one answer of exactly 0 that was wrong would otherwise decide alone, and be infinite
DECIDING: Mapping[Task, str] = {"binary": "brier", "regression": "mae"}
LOSSES = ("brier", "log_loss", "mae", "squared", "rmse")
NAMES: Mapping[Task, tuple[str, ...]] = {
    "binary": ("brier", "log_loss", "roc_auc", "calibration_error", "calibration_slope", "calibration_intercept", "base_rate"),
    "regression": ("mae", "rmse"),
}


@dataclass(frozen=True)
class Metric:
    """One score. `low` and `high` are None when nothing can be said about its certainty; `reason` says why `value` is None."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: {self.reason}"
        between = "" if self.low is None or self.high is None else f" ({self.low:.4g} to {self.high:.4g})"
        return f"{self.name} {self.value:.4g}{between}, {self.n} rows"


def losses(metric: str, y: ArrayLike, p: ArrayLike) -> Floats:
    """The loss of each row under the deciding metric; smaller is better.

    Parameters
    ----------
    metric : "brier" or "squared" (or "rmse": its rows are squared errors), "log_loss" (answers clipped to
        [0.01, 0.99]), "mae".
    y, p : shape (n,), labels and answers.

    Raises
    ------
    SettingInvalid : no such metric.
    """
    y, p = np.asarray(y, np.float64), np.asarray(p, np.float64)
    if metric in ("brier", "squared", "rmse"):
        loss: Floats = np.square(p - y)
    elif metric == "mae":
        loss = np.abs(p - y)
    elif metric == "log_loss":
        p = p.clip(CLIP, 1 - CLIP)
        loss = -(y * np.log(p) + (1 - y) * np.log1p(-p))
    else:
        raise SettingInvalid("gate.metric", metric, f"it must be one of {', '.join(LOSSES)}", "keepwell.toml")
    return loss


def score(task: Task, y: ArrayLike, p: ArrayLike, *, level: float = 0.95) -> dict[str, Metric]:
    """Every metric of the task, by name.

    Parameters
    ----------
    task : "binary" (labels 0 or 1, answers are probabilities) or "regression".
    y, p : shape (n,), labels and answers in time order.
    level : coverage of the intervals, a fraction.

    Returns
    -------
    binary: brier, log_loss (answers clipped to [0.01, 0.99]), roc_auc, calibration_error (equal-mass bins),
    calibration_slope and calibration_intercept (1 and 0 are perfect), base_rate. regression: mae, rmse.

    Examples
    --------
    >>> print(score("regression", [1, 2, 3, 4], [1, 2, 4, 4])["mae"].value)
    0.25
    """
    y, p = np.asarray(y, np.float64), np.asarray(p, np.float64)
    problem = unscorable(task, y, p)
    if problem:
        return {name: Metric(name, None, n=y.size, reason=problem) for name in NAMES[task]}
    found = _binary(y, p, level) if task == "binary" else _regression(y, p, level)
    return {metric.name: metric for metric in found}


def unscorable(task: Task, y: Floats, p: Floats) -> str:
    """Why these rows have no score at all; empty when they have."""
    if y.shape != p.shape or y.ndim != 1:
        return f"{y.size} labels but {p.size} answers"
    if not y.size:
        return "no labelled rows"
    for what, values in (("labels", y), ("answers", p)):
        missing = int(values.size - np.isfinite(values).sum())
        if missing:
            return f"{missing} of {values.size} {what} are missing or infinite"
    if task == "binary" and not np.all((y == 0) | (y == 1)):
        return "labels other than 0 and 1"
    if task == "binary" and (p.min() < 0 or p.max() > 1):
        return f"answers outside [0, 1] ({p.min():.4g} to {p.max():.4g}) are no probabilities"
    return ""


def _mean(name: str, values: Floats, level: float) -> Metric:
    mean, low, high = mean_interval(values, level=level)
    return _metric(name, mean, float(np.maximum(low, 0.0)), high, values.size)


def _metric(name: str, value: float, low: float, high: float, n: int) -> Metric:
    known = np.isfinite(low) and np.isfinite(high)
    return Metric(name, value, float(low) if known else None, float(high) if known else None, n)


def _binary(y: Floats, p: Floats, level: float) -> list[Metric]:
    n = y.size
    rate = float(y.mean())
    metrics = [_mean(name, losses(name, y, p), level) for name in ("brier", "log_loss")]
    one_class = f"all {n} labels are {rate:.0f}" if rate in (0.0, 1.0) else ""
    if one_class:
        metrics.append(Metric("roc_auc", None, n=n, reason=one_class))
    else:
        metrics.append(_metric("roc_auc", *auc_interval(y, p, level=level), n))
    metrics.append(_metric("calibration_error", *calibration_error(y, p, level=level), n))
    line = None if one_class else calibration_line(y, p, level=level)
    for index, name in enumerate(("calibration_slope", "calibration_intercept")):
        if line is None:
            reason = one_class or "the answers do not vary, or part the labels perfectly"
            metrics.append(Metric(name, None, n=n, reason=reason))
        else:
            metrics.append(_metric(name, *line[index], n))
    metrics.append(_metric("base_rate", rate, *share_interval(rate, effective_rows(y), level=level), n))
    return metrics


def _regression(y: Floats, p: Floats, level: float) -> list[Metric]:
    mean, low, high = mean_interval(losses("squared", y, p), level=level)
    root = float(np.sqrt(mean))
    half = (high - low) / (4 * root) if root > 0 else high - low  # delta method: d sqrt(m) = dm / (2 sqrt(m))
    return [_mean("mae", losses("mae", y, p), level), _metric("rmse", root, float(np.maximum(root - half, 0.0)), root + half, y.size)]
