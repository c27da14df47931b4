"""Vital signs: what is measured of a model in a period, held against the period before. Frames and numbers in, records out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from keepwell.evaluation import Metric, losses, mean_interval, score
from keepwell.model import Task
from keepwell.reporting.records import Value, Vital

MOST_POINTS = 24
LEAST_ROWS = 20  # labelled rows in one point of the chart
SHOWN = {  # metric -> its name for people, its form, and whether smaller is better (None: neither)
    "brier": ("Brier score", "number", True),
    "log_loss": ("Log loss", "number", True),
    "roc_auc": ("ROC AUC", "number", False),
    "calibration_error": ("Calibration error", "number", True),
    "base_rate": ("Share of label 1", "percent", None),
    "mae": ("Mean absolute error", "number", True),
    "rmse": ("Root mean squared error", "number", True),
}


@dataclass(frozen=True)
class Span:
    """What is on record of one period.

    Attributes
    ----------
    scored : one answer a row of the world with `time`, `answer`, `label` (null while unknown) and `labelled_at`, in time order.
    due : how many of them should have a label by now.
    answers : answers given, asked twice counted twice. observations, set_aside : rows that came, and of these those in quarantine.
    cycles, failed : care cycles that are done, and that failed. source_failures : gathers in which the source gave nothing.
    """

    scored: pl.DataFrame
    due: int
    answers: int
    observations: int
    set_aside: int
    cycles: int
    failed: int
    source_failures: int


def vitals(task: Task, metric: str, now: Span, before: Span, expected: float | None) -> tuple[Vital, ...]:
    """All vital signs, the deciding metric first."""
    scores, earlier = (_scores(task, span.scored) for span in (now, before))
    names = [metric, *(name for name in SHOWN if name in scores and name != metric)]
    found = []
    for name in names:
        title, form, is_loss = SHOWN.get(name, (name, "number", True))
        values = _value(scores.get(name)), _value(earlier.get(name))
        found.append(Vital(title, form, *values, expected if name == metric else None, _word(*values, is_loss)))
    answers = _mean(now.scored, "answer"), _mean(before.scored, "answer")
    found.append(Vital("Mean answer", "percent" if task == "binary" else "number", *answers))
    found.append(Vital("Labels in, of those due", "percent", _share(now), _share(before)))
    found.append(Vital("Days until a label is known", "days", _delay(now), _delay(before)))
    counts = (
        ("Answers given", "answers"),
        ("Observations", "observations"),
        ("Set aside in quarantine", "set_aside"),
        ("Care cycles", "cycles"),
        ("Cycles that failed", "failed"),
        ("Gathers without an answer of the source", "source_failures"),
    )
    found += [Vital(title, "count", Value(getattr(now, name)), Value(getattr(before, name))) for title, name in counts]
    return tuple(found)


def points(metric: str, scored: pl.DataFrame, most: int = MOST_POINTS) -> list[dict[str, Any]]:
    """Loss over time: up to `most` stretches of labelled rows, each with its mean, its 95 % interval and its middle moment."""
    known = scored.filter(pl.col("label").is_not_null())
    if known.is_empty():
        return []
    loss = losses(metric, known["label"].to_numpy(), known["answer"].to_numpy())
    found = []
    for part in np.array_split(np.arange(known.height), int(np.clip(known.height // LEAST_ROWS, 1, most))):
        mean, low, high = mean_interval(loss[part])
        middle = known["time"][int(part[len(part) // 2])]
        point = {"time": middle.isoformat(), "loss": mean, "rows": len(part)}
        found.append(point | {"low": max(low, 0.0) if np.isfinite(low) else None, "high": high if np.isfinite(high) else None})
    return found


def compared(metric: str, now: Vital) -> str:
    """How the deciding metric compares with the period before, in words."""
    if now.now is None:
        return "Nothing can be said about performance: no label of this period is in"
    text = f"{now.name} {_said(now.now)}"
    if now.before is not None:
        text += f", {_said(now.before)} in the period before: {_difference(now)}"
    if now.expected is not None:
        text += f"; {now.expected:.4g} was expected at evaluation"
    return text


def _difference(vital: Vital) -> str:
    return {"better": "better", "worse": "worse", "as before": "no proven difference"}.get(vital.word, "too little to compare")


def _said(value: Value) -> str:
    around = f" ({value.low:.4g} to {value.high:.4g})" if value.low is not None and value.high is not None else ""
    return f"{value.value:.4g}{around} over {value.n:,} labels"


def _scores(task: Task, scored: pl.DataFrame) -> dict[str, Metric]:
    known = scored.filter(pl.col("label").is_not_null())
    return score(task, known["label"].to_numpy(), known["answer"].to_numpy())


def _value(metric: Metric | None) -> Value | None:
    if metric is None or metric.value is None:
        return None
    return Value(float(metric.value), metric.low, metric.high, metric.n)


def _word(now: Value | None, before: Value | None, is_loss: bool | None) -> str:
    """Better or worse only where the difference stands out of both intervals taken together (errors add up in squares)."""
    if is_loss is None:
        return ""
    if now is None or before is None or None in (now.low, now.high, before.low, before.high):
        return "unknown"
    half = np.hypot((now.high - now.low) / 2, (before.high - before.low) / 2)  # type: ignore[operator]
    moved = now.value - before.value
    if abs(moved) <= half:
        return "as before"
    return "worse" if (moved > 0) == is_loss else "better"


def _mean(scored: pl.DataFrame, column: str) -> Value | None:
    values = scored[column].drop_nulls().to_numpy() if scored.height else np.empty(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    mean, low, high = mean_interval(values.astype(np.float64))
    known = np.isfinite(low) and np.isfinite(high)
    return Value(mean, low if known else None, high if known else None, values.size)


def _share(span: Span) -> Value | None:
    if not span.due:
        return None
    there = int(span.scored["label"].head(span.due).is_not_null().sum())
    return Value(there / span.due, n=span.due)


def _delay(span: Span) -> Value | None:
    known = span.scored.filter(pl.col("label").is_not_null() & pl.col("labelled_at").is_not_null())
    if known.is_empty():
        return None
    days = ((known["labelled_at"] - known["time"]).dt.total_seconds() / 86400).to_numpy()
    return Value(float(np.median(days)), n=days.size)
