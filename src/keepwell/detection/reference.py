"""The reference: labelled rows that the model was not trained on, and all that is learned from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from keepwell.detection.channels import (
    TOLERATED,
    Channel,
    Last,
    batch_means,
    channels_of,
    column_values,
    label_noise,
    label_values,
    shares,
    tolerated,
)
from keepwell.detection.columns import Columns, Rows
from keepwell.detection.conditionals import CLIP, Conditionals
from keepwell.detection.null import WINDOWS, Null
from keepwell.detection.outcome import Outcome
from keepwell.errors import FrameInvalid

MIN_BATCHES, MIN_ROWS = 60, 200
ROWS_A_BATCH = 5.0
WILD_SHARE, WARY = 0.006, 3  # of a column's rows that are as wild as can be; batches that another such spell must last to be no spell
SHARE_ALTERNATIVES = np.array([0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45, 0.65, 0.9])  # as many as there are bets


@dataclass(frozen=True, eq=False)
class Reference:
    """What a well model looks like.

    `width` is the length of a batch in days; `rare` (C,) marks shares that are nearly always zero in the reference, whose evidence is
    binomial with the tolerated share `rate` (C,); `rows_a_batch` the usual number of rows; `notes` what could not be done, in words;
    `marginals` how the mean of each number, in standard deviations, behaves by itself: nothing rings by it, a diagnosis asks it who came.
    """

    columns: Columns
    conditionals: Conditionals
    outcome: Outcome
    channels: tuple[Channel, ...]
    null: Null
    width: float
    rare: np.ndarray
    rate: np.ndarray
    rows_a_batch: float
    notes: tuple[str, ...]
    marginals: Null

    @classmethod
    def fit(
        cls,
        frame: pl.DataFrame,
        label: np.ndarray,
        answer: np.ndarray,
        *,
        time: str,
        entity: str | None = None,
        names: Sequence[str] | None = None,
        task: str = "binary",
        width: float | None = None,
        slices: str | None = None,
        sensitive: bool = False,
    ) -> tuple[Reference, Fitted]:
        """Learn from rows in any order.

        Parameters
        ----------
        frame : (n rows) with the time column and the columns to watch. label : (n,) known truths. answer : (n,) or (n, classes).
        width : days a batch is long; default a day, or as many as give five rows. slices : a column for whose values the loss is watched by
            itself.

        Raises
        ------
        FrameInvalid : fewer than 200 rows or 60 batches, or a column that cannot be used.
        """
        columns = Columns.of(frame, time=time, entity=entity, names=names, slices=slices)
        rows = columns.read(frame, "reference")
        order = np.argsort(rows.time, kind="stable")
        rows, label, answer = rows.take(order), label[order], answer[order]
        if len(rows) < MIN_ROWS:
            raise FrameInvalid("reference", f"it has {len(rows)} rows, {MIN_ROWS} are needed", "Give labelled rows of a longer time.")
        if not np.isfinite(label).all() or not np.isfinite(answer).all():
            raise FrameInvalid("reference", "some rows have no label or no answer", "Give only rows that have both.")
        width = width or _width(rows.time)
        first = np.floor(rows.time / width).astype(int)
        numbers, batch = np.unique(first, return_inverse=True)
        if len(numbers) < MIN_BATCHES:
            cure = f"Give rows of a longer time, or batches shorter than {width:g} days."
            raise FrameInvalid("reference", f"it has {len(numbers)} batches of {width:g} days, {MIN_BATCHES} are needed", cure)
        conditionals, residuals = Conditionals.fit(columns, rows)
        basis = conditionals.basis(rows)
        outcome, labelled = Outcome.fit(task, label, answer, basis)
        channels = channels_of(columns, outcome)
        values = column_values(channels, columns, rows, residuals, Last.none(columns).repeats(columns, rows))
        values = np.where(np.isnan(values), label_values(channels, columns, rows, labelled), values)
        values[:, next(at for at, channel in enumerate(channels) if channel.kind == "diff")] = labelled["loss"] - labelled["gap"]
        noise = label_noise(channels, columns, rows, outcome.noise(answer, basis))
        means, counts = batch_means(values, batch, len(numbers), noise)
        middle = (numbers + 0.5) * width
        is_timid = np.array([channel.is_of_labels or channel.kind == "diff" for channel in channels])
        null = Null.fit(means, counts, middle, tolerated(channels, outcome, sensitive), is_timid)
        null = _wary(_floored(null, channels, values), channels, values)
        share = np.array([channel.is_share for channel in channels])
        known = np.maximum(np.isfinite(values).sum(axis=0), 1)
        usual = np.nansum(np.where(share, values, 0.0), axis=0) / known
        rare = share & (usual < 0.005)
        rate = np.where(rare, usual + 3 / known + np.array([TOLERATED.get(channel.kind, 0.0) for channel in channels]), 0.5)
        notes = _notes(columns, rows, width)
        own, known_own = batch_means(columns.standard(rows.numbers), batch, len(numbers))
        marginals = Null.fit(own, known_own, middle, np.zeros(own.shape[1]))
        made = cls(columns, conditionals, outcome, channels, null, width, rare, rate, len(rows) / len(numbers), notes, marginals)
        return made, Fitted(order, rows, numbers, means, counts)

    def batch_of(self, time: np.ndarray) -> np.ndarray:
        """Number of the batch that a moment (days since 1970) lies in."""
        return np.floor(np.asarray(time) / self.width).astype(np.int64)

    def middle(self, batch: np.ndarray) -> np.ndarray:
        """The moment in the middle of batches."""
        return (np.asarray(batch) + 0.5) * self.width

    def shares(self) -> np.ndarray:
        """Each channel's share of the false-alarm budget."""
        return shares(self.channels)

    def increments(self, means: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Log bets that replace those of the normal channels where a share is rare; (L, C), NaN elsewhere."""
        found = np.full((len(SHARE_ALTERNATIVES), len(self.channels)), np.nan)
        k, n, q0 = np.nan_to_num(means) * counts, counts, self.rate
        for bet, lift in enumerate(SHARE_ALTERNATIVES):
            q1 = q0 + lift * (1 - q0)
            value = k * np.log(q1 / q0) + (n - k) * np.log((1 - q1) / (1 - q0))
            found[bet, self.rare] = value[self.rare]
        return found

    def place(self, kind: str, column: str = "") -> int | None:
        """Where a channel stands."""
        return self._places.get((kind, column))

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        return {(channel.kind, channel.column): at for at, channel in enumerate(self.channels)}


@dataclass(frozen=True, eq=False)
class Fitted:
    """What the watch begins its memory with: the reference's rows in time order (`order` of the rows given), and its batches.

    `numbers` (T,) of the batches; `means` of the channels, out of fold, and `counts` (T, C) of rows, of noisy ones fewer.
    """

    order: np.ndarray
    rows: Rows
    numbers: np.ndarray
    means: np.ndarray
    counts: np.ndarray


def _width(time: np.ndarray) -> float:
    days = max(float(time[-1] - time[0]), 1.0)
    return max(1.0, float(np.ceil(ROWS_A_BATCH / max(len(time) / days, 1e-9) - 0.05)))


def _floored(null: Null, channels: Sequence[Channel], values: np.ndarray) -> Null:
    """Shares that hardly ever move in the reference still have the noise of counting."""
    known = np.maximum(np.isfinite(values).sum(axis=0), 1)
    usual = np.nansum(values, axis=0) / known
    share = np.array([channel.is_share for channel in channels])
    counting = np.clip(usual * (1 - usual), 0.002, None) * 0.25
    return replace(
        null,
        common=np.where(share, np.maximum(null.common, 1e-4), null.common),
        each=np.where(share, np.maximum(null.each, counting), null.each),
    )


def _wary(null: Null, channels: Sequence[Channel], values: np.ndarray) -> Null:
    """Where the reference has wild rows, a few batches may be full of them and be no fault: how far they could be is not known."""
    there = np.isfinite(values)
    wild = (there & (np.abs(np.where(there, values, 0.0)) >= CLIP)).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    is_wild = np.array([channel.kind in ("m", "s") for channel in channels]) & (wild > WILD_SHARE)
    is_short = np.array(WINDOWS) < WARY
    return replace(null, record=np.where(is_short[:, None] & is_wild, np.inf, null.record))


def _notes(columns: Columns, rows: Rows, width: float) -> tuple[str, ...]:
    span = float(rows.time[-1] - rows.time[0])
    found = []
    if span < 300:
        found.append(f"the reference spans {span:.0f} days: season and drift cannot be told apart")
    elif span < 550:
        found.append(f"the reference spans {span:.0f} days: one year tells the season only roughly")
    if len(rows) < 500:
        found.append(f"the reference has {len(rows)} rows: small changes take long to prove")
    if empty := [column.name for column in (*columns.numbers, *columns.categories) if column.nulls == 1]:
        found.append(f"{', '.join(empty)}: the reference holds no value, so none can be missed")
    if width > 1:
        found.append(f"few rows a day: {width:g} days are one batch")
    return tuple(found)
