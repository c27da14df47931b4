"""What a monitor's statements are worth: did it notice, since when, why, and how often was it wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
from protocol import CLASS_OF

SETTLED = 4  # batches after its first alarm in which a monitor may improve its diagnosis
CLOSE = 3  # batches by which an onset may be wrong


@dataclass(frozen=True)
class Grade:
    """One scenario and one monitor."""

    expect: str
    fault: str
    quiet_batches: float  # in which an alarm is false
    false_episodes: int
    is_alarmed: bool = False  # falsely
    is_detected: bool = False
    delay: float | None = None
    onset_error: float | None = None
    is_class: bool = False
    is_kind: bool = False
    is_column: bool | None = False  # None: no column is asked
    says_kind: bool = False
    says_column: bool = False
    is_solved: bool = False
    is_located: bool = False  # solved, the kind not asked


def grade(truth: Any, said: Sequence[dict[str, Any]], start: np.datetime64, end: np.datetime64, batch: np.timedelta64) -> Grade:
    """Alarms before the onset are false, on a quiet stream all are. The diagnosis is that of the last alarm within SETTLED batches."""
    alarms = [(np.datetime64(one["at"], "ns"), one) for one in said if one["kind"] == "decline"]
    until = end if truth.expect == "quiet" else truth.onset
    false = sorted({at for at, _ in alarms if at <= until})
    episodes = sum(1 for k, at in enumerate(false) if k == 0 or at - false[k - 1] > batch * 1.5)
    quiet = float((until - start) / batch)
    known: dict[str, Any] = {
        "expect": truth.expect,
        "fault": truth.fault,
        "quiet_batches": quiet,
        "false_episodes": episodes,
        "is_alarmed": bool(false),
    }
    known["is_column"] = False if truth.columns else None
    if truth.expect == "quiet":
        return Grade(**known, is_solved=not false, is_located=not false)
    true = [(at, one) for at, one in alarms if at > truth.onset]
    if truth.expect == "open" or not true:
        return Grade(**known)
    first = true[0][0]
    _, last = [pair for pair in true if pair[0] <= first + batch * SETTLED][-1]
    kind, column = best(last["causes"], 0), best(last["causes"], 1)
    error = None if last["onset"] is None else abs(float((np.datetime64(last["onset"], "ns") - truth.onset) / batch))
    known["is_column"] = is_column = column in truth.columns if truth.columns else None
    is_close, is_class = error is not None and error <= CLOSE, kind is not None and CLASS_OF[kind] == truth.cause
    is_located = not false and is_close and is_column is not False
    return Grade(
        **known,
        is_detected=True,
        delay=float((first - truth.onset) / batch),
        onset_error=error,
        is_class=is_class,
        is_kind=kind == truth.kind,
        says_kind=kind is not None,
        says_column=column is not None,
        is_solved=is_located and is_class,
        is_located=is_located,
    )


def best(causes: Sequence[Sequence[str | None]], which: int) -> str | None:
    """The first that is named at all."""
    return next((cause[which] for cause in causes if cause[which] is not None), None)


def summary(grades: Sequence[Grade], seconds: Sequence[float]) -> dict[str, float | None]:
    """One column of the table. Shares are fractions; None where nothing can be said."""
    harm, quiet = [one for one in grades if one.expect == "alarm"], [one for one in grades if one.expect == "quiet"]
    seen = [one for one in harm if one.is_detected]
    asked = [one for one in seen if one.is_column is not None]
    errors = [one.onset_error for one in seen if one.onset_error is not None]
    says_kind = any(one.says_kind for one in seen)
    return {
        "scenarios": len(grades),
        "harmful": len(harm),
        "quiet": len(quiet),
        "solved": share(harm + quiet, lambda one: one.is_solved) if says_kind or not seen else None,
        "solved_harmful": share(harm, lambda one: one.is_solved) if says_kind or not seen else None,
        "located": share(harm, lambda one: one.is_located),
        "recall": share(harm, lambda one: one.is_detected),
        "clean_recall": share(harm, lambda one: one.is_detected and not one.is_alarmed),
        "quiet_alarmed": share(quiet, lambda one: one.is_alarmed),
        "false_per_1000": 1000 * sum(one.false_episodes for one in grades) / max(1.0, sum(one.quiet_batches for one in grades)),
        "delay": median([one.delay for one in seen if one.delay is not None]) if seen else None,
        "onset_error": median(errors) if errors else None,
        "onset_close": share(seen, lambda one: one.onset_error is not None and one.onset_error <= CLOSE),
        "class": share(seen, lambda one: one.is_class) if says_kind else None,
        "kind": share(seen, lambda one: one.is_kind) if says_kind else None,
        "column": share(asked, lambda one: bool(one.is_column)) if any(one.says_column for one in asked) else None,
        "seconds": fmean(seconds) if seconds else None,
    }


def share(grades: Sequence[Grade], holds: Callable[[Grade], bool]) -> float | None:
    return fmean(float(holds(one)) for one in grades) if grades else None


LINES = (  # key, words, how to print
    ("scenarios", "scenarios", "{:.0f}"),
    ("harmful", "of them harmful", "{:.0f}"),
    ("quiet", "of them quiet", "{:.0f}"),
    ("solved", "solved", "{:.0%}"),
    ("solved_harmful", "solved, of harmful", "{:.0%}"),
    ("located", "solved, of harmful, class not asked", "{:.0%}"),
    ("recall", "recall: alarm after the onset", "{:.0%}"),
    ("clean_recall", "recall, and none before it", "{:.0%}"),
    ("quiet_alarmed", "quiet streams alarmed", "{:.0%}"),
    ("false_per_1000", "false episodes in 1,000 batches", "{:.1f}"),
    ("delay", "median delay, batches", "{:.1f}"),
    ("onset_error", "median onset error, batches", "{:.1f}"),
    ("onset_close", "onset within 3 batches, of detected", "{:.0%}"),
    ("class", "class right, of detected", "{:.0%}"),
    ("kind", "kind right, of detected", "{:.0%}"),
    ("column", "column right, of detected", "{:.0%}"),
    ("seconds", "processor seconds a scenario", "{:.1f}"),
)


def cells(summaries: dict[str, dict[str, float | None]]) -> list[list[str]]:
    """The table as rows of words, its head first."""
    rows = [["", *summaries]]
    for key, words, shape in LINES:
        rows.append([words, *("-" if one[key] is None else shape.format(one[key]) for one in summaries.values())])
    return rows
