"""A version made ready to answer fast: the quickest runtime that answers as the version itself does.

Asked for the proof are the version's golden rows and, for each column, a golden row with that value missing and, where it is a text,
one with a word never seen. A runtime is taken only when every answer lies within `BOUND`; what was compared and by how much it
differed at most is kept and told.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from keepwell.model import Task
from keepwell.serving.predictor import Predictor
from keepwell.serving.runtimes import Frames, Runtime, quicker
from keepwell.serving.signature import Row, Signature

BOUND = 1e-12  # largest difference of an answer, relative for answers above 1
UNSEEN = "\x00never seen\x00"
TIMED_ROWS = 20


@dataclass(frozen=True)
class Agreement:
    """How a runtime was found: the rows it was compared on, and the largest difference from the version's own answers."""

    runtime: str
    rows: int
    largest_difference: float
    bound: float
    row_ms: float

    def as_dict(self) -> dict[str, object]:
        """As the metadata tell it."""
        return {
            "name": self.runtime,
            "compared_rows": self.rows,
            "largest_difference": self.largest_difference,
            "bound": self.bound,
            "row_ms": round(self.row_ms, 4),
        }


@dataclass(frozen=True, eq=False)
class Ready:
    """A version ready to answer.

    Attributes
    ----------
    takes_missing : whether it answers rows with a missing value; those of another version are refused with its own words.
    """

    predictor: Predictor
    signature: Signature
    runtime: Runtime
    agreement: Agreement
    takes_missing: bool
    frames: Runtime

    @property
    def number(self) -> int:
        """The version's number."""
        return self.predictor.version.number

    def answer(self, rows: Sequence[Row]) -> list[float]:
        """The answer to each row; one thread at a time. Raises what the version raises."""
        if not self.takes_missing and any(None in row for row in rows):
            return self.frames.answer(rows)  # which says what it does not take
        return self.runtime.answer(rows)


@dataclass(frozen=True, eq=False)
class Compared:
    """What was found when an estimator's quicker forms were compared with it."""

    runtime: Runtime
    agreement: Agreement
    takes_missing: bool
    frames: Runtime


def made_ready(predictor: Predictor, golden: pl.DataFrame | None = None) -> Ready:
    """Choose the runtime of a version and warm it up."""
    signature = Signature(predictor.signature)
    golden = predictor.golden if golden is None else golden
    found = compared(predictor.estimator, predictor.model.task, signature, golden, predictor.answer)
    return Ready(predictor, signature, found.runtime, found.agreement, found.takes_missing, found.frames)


def compared(estimator: Any, task: Task, signature: Signature, golden: pl.DataFrame, ask: Callable[[pl.DataFrame], Any]) -> Compared:
    """The quickest form of an estimator that answers as `ask` does."""
    frames = Frames(ask, signature)
    whole = [row for row in golden.select(signature.names).rows() if _holds(row)] if signature.is_plain and golden.height else []
    if not whole:
        return Compared(frames, Agreement(frames.name, 0, 0.0, BOUND, 1e3), True, frames)
    probes, expected, takes_missing = _probes(signature, whole, frames)
    for runtime in quicker(estimator, task, signature):
        largest = _largest(runtime, probes, expected)
        if largest <= BOUND:
            agreement = Agreement(runtime.name, len(probes), largest, BOUND, _row_ms(runtime, probes))
            return Compared(runtime, agreement, takes_missing, frames)
    return Compared(frames, Agreement(frames.name, len(probes), 0.0, BOUND, _row_ms(frames, probes)), takes_missing, frames)


def _holds(row: Row) -> bool:
    """Requests name no NaN and no infinity, so golden rows that hold one are asked with it missing, as a probe does."""
    return all(not isinstance(value, float) or np.isfinite(value) for value in row)


def _probes(signature: Signature, whole: list[Row], frames: Frames) -> tuple[list[Row], list[float], bool]:
    missing, unseen = [], []
    for at, kind in enumerate(signature.kinds.values()):
        row = whole[at % len(whole)]
        missing.append((*row[:at], None, *row[at + 1 :]))
        if kind == "String":
            unseen.append((*row[:at], UNSEEN, *row[at + 1 :]))
    given = [row for row in whole if None not in row]
    gaps = [row for row in whole if None in row] + missing
    probes, expected = [], []
    takes_missing = False
    for rows, is_gap in ((given, False), (unseen, False), (gaps, True)):
        answers = _asked(frames, rows)
        if answers is not None:
            probes += rows
            expected += answers
            takes_missing = takes_missing or is_gap
    return probes, expected, takes_missing


def _asked(runtime: Runtime, rows: list[Row]) -> list[float] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about words never seen, which are asked on purpose
            return runtime.answer(rows) if rows else []
    except Exception:  # the estimator is somebody else's code, and a form of it may not know the row
        return None


def _largest(runtime: Runtime, probes: list[Row], expected: list[float]) -> float:
    """The largest difference, all at once and one by one: a batch must not change an answer either."""
    found = _asked(runtime, probes)
    if found is None or len(found) != len(expected):
        return float("inf")
    alone = [_asked(runtime, [row]) for row in probes]
    if any(one is None or len(one) != 1 for one in alone):
        return float("inf")
    single = [one[0] for one in alone if one]
    right = np.asarray(expected)
    scale = np.maximum(1.0, np.abs(right))
    differences = [np.where(np.isnan(right) & np.isnan(given), 0.0, np.abs(np.asarray(given) - right) / scale) for given in (found, single)]
    largest = float(np.max(differences)) if len(right) else 0.0
    return largest if np.isfinite(largest) else float("inf")


def _row_ms(runtime: Runtime, probes: list[Row]) -> float:
    """Median time of one row alone, which also warms it up, milliseconds."""
    taken = []
    for row in probes[:TIMED_ROWS]:
        begin = time.perf_counter()
        runtime.answer([row])
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken)) * 1e3 if taken else 1e3
