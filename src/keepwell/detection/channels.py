"""The channels of a model: what is averaged over each batch, how much of a change is tolerated, and what a channel speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keepwell.detection.columns import Columns, Rows
from keepwell.detection.outcome import LEAST_NOISE, Outcome

TOLERATED = {"m": 0.15, "s": 0.08, "n": 0.02, "r": 0.05, "u": 0.005}
LOSS_TOLERATED = {"gap": 0.005, "loss": 0.0075, "diff": 0.05}  # shares of the reference's mean loss
ERROR_TOLERATED = 0.0003  # a constant error that costs this share of it; what it really costs is measured before anything is told
SHARES = (0.6, 0.25, 0.15)
SLICES = 12  # the commonest ones are watched
TWO_SIDED = ("m", "s", "signed", "score")


@dataclass(frozen=True)
class Channel:
    """What is averaged.

    `kind` of the labels: "gap" (loss beyond what these cases let expect), "loss", "signed" (error with its sign), "score" (that error times
    a column: does it depend on it?), "slice" (the gap of some rows). Without labels: "diff" (estimated loss), and of a column "m" (misfit),
    "s" (spread of the misfit), "n" (missing), "r" (repeated), "u" (unseen level). `column` is its name, of "signed" the class, of "slice"
    the value, "" where there is none.
    """

    kind: str
    column: str = ""

    @property
    def name(self) -> str:
        """As it is shown."""
        return f"{self.kind}:{self.column}" if self.column else self.kind

    @property
    def is_of_labels(self) -> bool:
        """Does it need labels?"""
        return self.kind in ("gap", "loss", "signed", "score", "slice")

    @property
    def is_of_column(self) -> bool:
        """Does it say whether a column is as it should be?"""
        return self.kind in ("m", "s", "n", "r", "u")

    @property
    def is_two_sided(self) -> bool:
        """Is a move down a change, too?"""
        return self.kind in TWO_SIDED

    @property
    def is_share(self) -> bool:
        """Is it a share of rows?"""
        return self.kind in ("n", "r", "u")


def channels_of(columns: Columns, outcome: Outcome) -> tuple[Channel, ...]:
    """The channels in their order: labels first, then the estimate, then columns."""
    signed = [Channel("signed", str(number)) for number in range(outcome.classes)] if outcome.task == "multiclass" else [Channel("signed")]
    scores = [Channel("score", column.name) for column in columns.numbers if column.is_watched] if outcome.task != "multiclass" else []
    place = columns.slices_place
    slices = [Channel("slice", level) for level in columns.categories[place].levels[:SLICES]] if place is not None else []
    found = [Channel("gap"), Channel("loss"), *signed, *scores, *slices, Channel("diff")]
    for column in columns.numbers:
        if column.is_watched:
            found += [Channel(kind, column.name) for kind in ("m", "s", "r")]
        found.append(Channel("n", column.name))
    for column in columns.categories:
        if column.is_watched:
            found.append(Channel("u", column.name))
        found.append(Channel("n", column.name))
    return tuple(found)


def tolerated(channels: Sequence[Channel], outcome: Outcome, sensitive: bool = False) -> np.ndarray:
    """The change of each channel's mean that is no decline, (C,)."""
    found = []
    for channel in channels:
        if channel.kind in ("slice", *LOSS_TOLERATED):
            share = LOSS_TOLERATED["gap" if channel.kind == "slice" else channel.kind]
            found.append(0.0 if sensitive and channel.is_of_labels else share * outcome.loss)
        elif channel.kind in ("signed", "score"):
            error = np.sqrt(ERROR_TOLERATED * outcome.loss * (1.0 if outcome.task == "regression" else 2 * outcome.spread))
            found.append(0.0 if sensitive else float(error))
        else:
            found.append(TOLERATED[channel.kind])
    return np.array(found)


def shares(channels: Sequence[Channel]) -> np.ndarray:
    """Of the false-alarm budget: so much each for the label channels, the scores with the slices, and the others, equal within; (C,).

    What labels tell comes slowly, and a larger share brings it sooner; a broken column rings in a batch or two, whatever its share.
    """
    scores = np.array([channel.kind in ("score", "slice") for channel in channels])
    labelled = np.array([channel.is_of_labels for channel in channels]) & ~scores
    found = sum(share * group / max(group.sum(), 1) for share, group in zip(SHARES, (labelled, scores, ~labelled & ~scores), strict=True))
    return np.asarray(found / np.sum(found))


def label_values(channels: Sequence[Channel], columns: Columns, rows: Rows, told: dict[str, np.ndarray]) -> np.ndarray:
    """Row values of the label channels, (n, C), from what `Outcome.channels` told; the others are left NaN."""
    found = np.full((len(rows), len(channels)), np.nan)
    for at, channel in enumerate(channels):
        if channel.kind == "score":
            found[:, at] = told["signed"] * columns.line(rows.numbers, channel.column)
        elif channel.kind == "slice":
            found[:, at] = np.where(_in_slice(columns, rows, channel.column), told["gap"], np.nan)
        elif channel.is_of_labels:
            found[:, at] = told[channel.name]
    return found


def label_noise(channels: Sequence[Channel], columns: Columns, rows: Rows, told: dict[str, np.ndarray]) -> np.ndarray:
    """How noisy each of `label_values` is, over a usual row, (n, C), from what `Outcome.noise` told; one for the other channels."""
    found = np.ones((len(rows), len(channels)))
    for at, channel in enumerate(channels):
        if channel.kind == "score":
            found[:, at] = np.maximum(told["signed"] * columns.line(rows.numbers, channel.column) ** 2, LEAST_NOISE)
        elif channel.is_of_labels:
            found[:, at] = told["gap" if channel.kind == "slice" else channel.name]
    return found


def _in_slice(columns: Columns, rows: Rows, level: str) -> np.ndarray:
    """Mask of the rows of a slice."""
    place = columns.slices_place
    assert place is not None
    return np.asarray(rows.codes[:, place] == columns.categories[place].levels.index(level))


@dataclass(eq=False)
class Last:
    """The last value of each number for each entity, (E + 1, d); rows of unknown entities share the last place."""

    values: np.ndarray

    @classmethod
    def none(cls, columns: Columns) -> Last:
        """Nothing seen yet."""
        place = columns.entity_place
        entities = len(columns.categories[place].levels) if place is not None else 0
        return cls(np.full((entities + 1, len(columns.numbers)), np.nan))

    def repeats(self, columns: Columns, rows: Rows) -> np.ndarray:
        """Which values equal their entity's last one and are not among those that many rows share, (n, d); remembers the newest."""
        found = np.zeros(rows.numbers.shape, bool)
        if len(rows) == 0:
            return found
        entity = np.where((rows.entity >= 0) & (rows.entity < len(self.values) - 1), rows.entity, len(self.values) - 1)
        order = np.lexsort((np.arange(len(rows)), entity))
        sorted_entity, values = entity[order], rows.numbers[order]
        before = np.vstack([self.values[sorted_entity[:1]], values[:-1]])
        first = np.r_[True, sorted_entity[1:] != sorted_entity[:-1]]
        before[first] = self.values[sorted_entity[first]]
        same = values == before
        if columns.entity_place is not None:  # the same row once more is no value that stays
            time = rows.time[order]
            same &= (first | np.r_[True, time[1:] != time[:-1]])[:, None]
        for place, column in enumerate(columns.numbers):
            if column.masses:
                same[:, place] &= ~np.isin(values[:, place], column.masses)
        found[order] = same
        last = np.r_[sorted_entity[1:] != sorted_entity[:-1], True]
        newest = values[last]
        self.values[sorted_entity[last]] = np.where(np.isnan(newest), self.values[sorted_entity[last]], newest)
        return found


def column_values(channels: Sequence[Channel], columns: Columns, rows: Rows, residuals: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """Row values of the column channels, (n, C) with NaN where a channel says nothing of a row; label channels and `diff` are left NaN."""
    numbers = {column.name: place for place, column in enumerate(columns.numbers)}
    categories = {column.name: place for place, column in enumerate(columns.categories)}
    found = np.full((len(rows), len(channels)), np.nan)
    for at, channel in enumerate(channels):
        if channel.kind in ("m", "s"):
            apart = residuals[:, numbers[channel.column]]
            found[:, at] = apart if channel.kind == "m" else np.abs(apart)
        elif channel.kind == "r":
            known = np.isfinite(rows.numbers[:, numbers[channel.column]])
            found[known, at] = repeats[known, numbers[channel.column]]
        elif channel.kind == "n" and channel.column in numbers:
            found[:, at] = np.isnan(rows.numbers[:, numbers[channel.column]])
        elif channel.kind == "n":
            found[:, at] = rows.codes[:, categories[channel.column]] == -1
        elif channel.kind == "u":
            codes = rows.codes[:, categories[channel.column]]
            found[codes != -1, at] = codes[codes != -1] == -2
    return found


def batch_means(values: np.ndarray, batch: np.ndarray, count: int, noise: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Means and counts of row values (n, C) by batch number 0 to count - 1: both (count, C), means NaN where there is no row.

    Parameters
    ----------
    noise : (n, C) variance of each value over a usual one. A batch of noisy rows then counts as fewer: as many as have its mean's variance.
    """
    there = np.isfinite(values)

    def added(what: np.ndarray) -> np.ndarray:
        if count == 1:
            return np.asarray(what.sum(axis=0, dtype=float)[None])
        sums = np.zeros((count, values.shape[1]))
        np.add.at(sums, batch, what)
        return sums

    sums, counts = added(np.where(there, values, 0.0)), added(there)
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    if noise is not None:
        counts = counts**2 / np.maximum(added(np.where(there, noise, 0.0)), 1e-9)
    return means, counts
