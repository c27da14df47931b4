"""Just before against just after: what moved when a change began, and by how much more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keepwell.detection import Rows, Told
from keepwell.diagnosis.records import Case

BEFORE = 180  # batches; the whole reference would bring slow harmless changes in
ROWS = 4_000  # of each side; the rest adds cost and little else


@dataclass(frozen=True, eq=False)
class Contrast:
    """The two sides of an onset: positions in the case's batches (`pre`, `post`) and in its rows (`before`, `after`)."""

    case: Case
    pre: np.ndarray
    post: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @classmethod
    def at(cls, case: Case, onset: int) -> Contrast:
        """The sides of the batch at position `onset`."""
        pre = np.flatnonzero(np.isfinite(case.apart[:onset]).any(axis=1))[-BEFORE:]
        post = np.arange(onset, len(case.numbers))
        place = np.searchsorted(case.numbers, case.batch)
        before = _thinned(np.flatnonzero((place >= (pre[0] if len(pre) else 0)) & (place < onset)))
        after = _thinned(np.flatnonzero(place >= onset))
        return cls(case, pre, post, before, after)

    @cached_property
    def past(self) -> np.ndarray:
        """Positions of the rows of the year before the onset: every season, for what a fault will cost."""
        if len(self.post) == 0:
            return self.before
        first = int(self.case.numbers[self.post[0]])
        year = round(365 / self.case.reference.width)
        return _thinned(np.flatnonzero((self.case.batch < first) & (self.case.batch >= first - year)))

    @cached_property
    def answers(self) -> np.ndarray:
        """What the model answers to the rows of `past`: asked once, whatever is done to them afterwards."""
        assert self.case.predict is not None
        return np.asarray(self.case.predict(self.case.frame[self.past]))

    @cached_property
    def both(self) -> Rows:
        """Rows of both sides, before first."""
        return self.case.rows.take(np.r_[self.before, self.after])

    @cached_property
    def told(self) -> Told:
        """What the columns tell of one another in `both`; rows with some columns repaired are told from it."""
        return self.case.reference.conditionals.told(self.both)

    @cached_property
    def repairs(self) -> dict[frozenset[str], Rows]:
        """Rows of `both` with these columns repaired, as far as they were asked for."""
        return {}

    @cached_property
    def is_after(self) -> np.ndarray:
        """Mask over `both`."""
        return np.asarray(np.r_[np.zeros(len(self.before), bool), np.ones(len(self.after), bool)])

    def effect(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each channel, from batches: the change of its mean, and that in standard errors; (C,) both."""
        change = self._mean(self.post) - self._mean(self.pre)
        return change, np.nan_to_num(change / self.error())

    def error(self) -> np.ndarray:
        """Standard error of the change of each channel's mean, (C,)."""
        null = self.case.reference.null
        lengthened = (1 + null.memory) / (1 - null.memory)
        total = np.zeros(len(self.case.reference.channels))
        for side in (self.pre, self.post):
            counts = np.where(np.isfinite(self.case.apart[side]), self.case.counts[side], 0.0)
            size = np.maximum(counts.sum(axis=0), 1e-9)
            total += ((counts / size) ** 2 * null.variance(counts)).sum(axis=0)
        return np.asarray(np.sqrt(lengthened * np.maximum(total, 1e-12)))

    def _mean(self, side: np.ndarray) -> np.ndarray:
        apart = self.case.apart[side]
        counts = np.where(np.isfinite(apart), self.case.counts[side], 0.0)
        return np.asarray((np.nan_to_num(apart) * counts).sum(axis=0) / np.maximum(counts.sum(axis=0), 1e-9))

    def misfits(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """Of rows like `both`, perhaps repaired: the change of each number's mean misfit and of its mean absolute misfit; (d,) both."""
        apart = self.case.reference.conditionals.residuals(rows, self.told)
        there = np.isfinite(apart)
        sides = (slice(0, len(self.before)), slice(len(self.before), None))
        known = [np.maximum(there[side].sum(axis=0), 1) for side in sides]
        apart[~there] = 0.0
        pre, post = (apart[side].sum(axis=0) / count for side, count in zip(sides, known, strict=True))
        np.abs(apart, out=apart)
        pre_size, post_size = (apart[side].sum(axis=0) / count for side, count in zip(sides, known, strict=True))
        return post - pre, post_size - pre_size

    def mean_by_batch(self, values: np.ndarray, index: np.ndarray) -> tuple[float, float]:
        """Mean of row values and its standard error with batches as the unit; `index` are the rows' positions in the case."""
        if len(values) == 0:
            return 0.0, float("inf")
        _, place, counts = np.unique(self.case.batch[index], return_inverse=True, return_counts=True)
        means = np.bincount(place, values) / counts
        mean = float(values.mean())
        if len(means) < 2:
            return mean, float(values.std() / np.sqrt(len(values))) if len(values) > 1 else abs(mean)
        weights = counts / counts.sum()
        # A few batches tell their own spread badly: the rows' spread stands behind it.
        between = np.sqrt((weights**2 * (means - mean) ** 2).sum() * len(means) / (len(means) - 1))
        within = values.std() / np.sqrt(len(values))
        return mean, float(max(between, within))


def _thinned(index: np.ndarray) -> np.ndarray:
    if len(index) <= ROWS:
        return index
    return np.asarray(index[np.linspace(0, len(index) - 1, ROWS).astype(int)])
