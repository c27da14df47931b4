"""Scenarios: one stream, one fault or none put in at a known moment, and the harm that it really did.

The harm is measured, not assumed: the same model answers the same rows with the fault and without it (where a fault changes who turns
up, the rows that would have turned up). Its loss tells what a monitor should have said:

    alarm   log loss rose by 4 % or more and by twice its standard error over batches, or AUC fell by 0.02 and log loss rose by 1 %
    quiet   no fault; or log loss rose by less than 1 % and AUC fell by less than 0.005. A note is welcome, an alarm is false.
    open    between the two: only alarms before the onset are counted, as false
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from data_streams import STREAMS, Stream, When, log_loss, make_stream
from faults import FAULTS, ON_IGNORED, inject, moment
from numpy.random import Generator
from protocol import CLASS_OF
from sklearn.metrics import roc_auc_score

SIZES = ("small", "medium", "large")
NOT_BUNDLED = ("new_category", "mix")  # one station, no category
TWINS = 0.85  # columns of at least this rank correlation are the same answer for a concept shift and a tilt


@dataclass(frozen=True)
class Spec:
    """Names one scenario; the same spec makes the same rows."""

    stream: str
    fault: str  # of FAULTS, or "none", or "harmless"
    size: int
    seed: int

    @property
    def id(self) -> str:
        return f"{self.stream}-{self.fault}-{SIZES[self.size]}-{self.seed}"


@dataclass(frozen=True)
class Truth:
    """What a perfect monitor would say."""

    expect: str  # alarm, quiet, open
    fault: str
    size: str
    kind: str | None
    cause: str | None  # class of the kind
    columns: tuple[str, ...]  # any of them is right; none asked when empty
    onset: np.datetime64 | None
    loss_without: float
    loss_with: float


@dataclass
class Scenario:
    """Rows, answers and labels of production, and the truth about them."""

    spec: Spec
    stream: Stream
    rows: pd.DataFrame
    answers: np.ndarray
    truth: Truth


def specs(seeds: Iterable[int], streams: Iterable[str] = STREAMS) -> list[Spec]:
    """All scenarios of these seeds, in an order shuffled once: every n-th is a fair sample."""
    found = []
    for seed in seeds:
        for stream in streams:
            for size in range(3):
                names = [name for name in FAULTS if stream != "bundled" or name not in NOT_BUNDLED]
                found += [Spec(stream, name, size, seed) for name in [*names, "none", "harmless"]]
    return [found[k] for k in np.random.default_rng(11).permutation(len(found))]


def make_scenario(spec: Spec) -> Scenario:
    """Build the stream, choose a column, put the fault in and measure."""
    key = zlib.crc32(f"{spec.stream} {spec.fault} {spec.size}".encode())
    stream = make_stream(spec.stream, [spec.seed, key])
    rng = np.random.default_rng([spec.seed, key, 1])
    clean = stream.model.predict(stream.production)
    if spec.fault == "none":
        rows = stream.production
        loss = float(log_loss(rows["y"], clean).mean())
        return Scenario(spec, stream, rows, clean, Truth("quiet", "none", "none", None, None, (), None, loss, loss))
    onset = moment(stream, rng)
    fault = str(rng.choice(ON_IGNORED)) if spec.fault == "harmless" else spec.fault
    tried = []
    for column in places(stream, spec.fault, fault, rng):
        rows = inject(stream, fault, onset, column, spec.size, np.random.default_rng([spec.seed, key, 2]))
        answers = stream.model.predict(rows)
        tried.append((column, rows, answers, measure(stream, clean, rows, answers, onset)))
        if tried[-1][3][0] == ("quiet" if spec.fault == "harmless" else "alarm"):
            break
    else:
        tried = tried[:1]
    column, rows, answers, (expect, without, with_it) = tried[-1]
    kind = FAULTS[fault][0]
    columns = right_columns(stream, fault, column, rows, onset)
    truth = Truth(expect, spec.fault, SIZES[spec.size], kind, CLASS_OF[kind], columns, onset, without, with_it)
    return Scenario(spec, stream, rows, answers, truth)


def places(stream: Stream, role: str, fault: str, rng: Generator) -> list[Any]:
    """Up to three columns where the fault may sit: among those that the model leans on, or among those that it ignores."""
    model = stream.model
    if fault in ("label_shift", "mix"):
        return [None]
    if role == "harmless":
        ignored = [name for name in stream.numeric if name not in model.features and (fault != "unit_change" or stream.units[name])]
        return list(rng.permutation(ignored or [name for name in stream.numeric if name not in model.features]))
    if fault == "new_category":
        return [name for name in model.categorical if name != stream.entity]
    known = log_loss(stream.reference["y"], model.predict(stream.reference)).mean()
    price = {}
    for name in model.features:
        if name in stream.numeric and (fault != "unit_change" or stream.units[name]):
            shuffled = stream.reference.assign(**{name: rng.permutation(stream.reference[name].to_numpy())})
            price[name] = float(log_loss(shuffled["y"], model.predict(shuffled)).mean() - known)
    top = sorted(price, key=lambda name: -price[name])[:3]
    if fault == "swapped":
        pairs = [(top[0], top[1]), (top[0], top[2]), (top[1], top[2])]
        return [pairs[k] for k in rng.permutation(3)]
    return list(rng.permutation(top))


def measure(stream: Stream, clean: np.ndarray, rows: pd.DataFrame, answers: np.ndarray, onset: When) -> tuple[str, float, float]:
    """What should have been said, and the log loss after the onset without and with the fault."""
    before, after = stream.production["time"].to_numpy() >= onset, rows["time"].to_numpy() >= onset
    y0, p0, y1, p1 = stream.production["y"].to_numpy()[before], clean[before], rows["y"].to_numpy()[after], answers[after]
    loss0, loss1 = log_loss(y0, p0), log_loss(y1, p1)
    by_batch = [
        pd.Series(loss).groupby(((frame["time"].to_numpy()[use] - onset) / stream.batch).astype(int)).mean()
        for loss, frame, use in ((loss0, stream.production, before), (loss1, rows, after))
    ]
    apart = (by_batch[1] - by_batch[0]).dropna()
    error = float(apart.std() / np.sqrt(len(apart)))
    rise = float(loss1.mean() - loss0.mean())
    share, fall = rise / float(loss0.mean()), float(roc_auc_score(y0, p0) - roc_auc_score(y1, p1))
    if (share >= 0.04 and rise >= 2 * error) or (fall >= 0.02 and share >= 0.01):
        expect = "alarm"
    else:
        expect = "quiet" if share < 0.01 and fall < 0.005 else "open"
    return expect, float(loss0.mean()), float(loss1.mean())


def right_columns(stream: Stream, fault: str, column: Any, rows: pd.DataFrame, onset: When) -> tuple[str, ...]:
    """Every column that is a right answer to 'where'."""
    if fault == "label_shift":
        return ()
    if fault == "swapped":
        return tuple(column)
    if fault == "mix":
        without, with_it = (frame[frame["time"].to_numpy() >= onset] for frame in (stream.production, rows))
        moved = {name: abs(without[name].mean() - with_it[name].mean()) / without[name].std() for name in stream.numeric}
        return (str(stream.entity), *sorted(moved, key=lambda name: -moved[name])[:3])
    if fault in ("concept_shift", "tilt"):
        alike = stream.reference[stream.numeric].corr("spearman")[column].abs()
        return (str(column), *(name for name in stream.numeric if name != column and alike[name] >= TWINS))
    return (str(column),)
