"""What is known of one column: exact counts and moments per segment, a histogram per segment, fine cells per slice.

A *segment* is the part of the rows that belongs to one batch of time and one slice. Everything here adds up: counts and
histograms exactly, moments by the pairwise formula, so a year is the sum of its days.

Of texts that are not watched a fixed number is remembered by name: those whose hash is smallest. Which these are depends only on
the set of values, not on the order they came in, so their counts are exact too and two halves add up to the whole; and how small
the hashes are tells how many distinct values there must be.

References
----------
Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan (2002), Counting Distinct Elements in a Data Stream, RANDOM 2002.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from keepwell.profiling.rulers import Counts, Floats, NumberRuler, WordRuler, cell_count, quantiles

COUNTED = ("values", "nulls", "nans", "low_infinite", "high_infinite", "odd")
MOMENTS = ("low", "high", "mean", "squares")
VALUES = COUNTED.index("values")
LOW, HIGH, MEAN, SQUARES = range(4)
REMEMBERED = 256
SPACE = 2.0**32
Ruler = NumberRuler | WordRuler | None
Segment = tuple[str, str]  # (batch, slice)
NO_TIME = ""  # the batch of rows whose time is null, and of all rows when no time column is named


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One column of a profile.

    Parameters
    ----------
    kind : numbers, times (microseconds since 1970), words, flags, or other (counted, not profiled).
    dtype : the type it was read with first.
    counts : shape (segments, 6): usable values, nulls, NaN, minus and plus infinity, and values that are not of the kind.
    moments : shape (segments, 4): smallest, largest, mean and the sum of squared distances to it; NaN where there are no values.
    bins : shape (segments, bins): the histogram of each segment.
    fine : shape (slices, cells or watched values): the same in detail, over all batches.
    others : values of a text column that are not watched: some of them, with exact counts (see `remember`).
    """

    kind: str
    dtype: str
    ruler: Ruler
    counts: Counts
    moments: Floats
    bins: Counts
    fine: Counts
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_numeric(self) -> bool:
        """Whether it has moments and quantiles."""
        return isinstance(self.ruler, NumberRuler)

    def count(self, name: str) -> int:
        """A count over all segments, by its name in `COUNTED`."""
        return int(self.counts[:, COUNTED.index(name)].sum())

    def moment(self) -> tuple[float, float, float, float]:
        """Smallest, largest, mean and standard deviation over all segments; NaN without values. The deviation is that of n - 1."""
        low, high, mean, squares = add_up(self.counts[:, VALUES], self.moments)
        n = self.count("values")
        return low, high, mean, float(np.sqrt(squares / (n - 1))) if n > 1 else float("nan")

    def quantiles(self, probabilities: Sequence[float]) -> Floats:
        """Quantiles over all segments, shape (k,); see `rulers.quantiles` for how exact."""
        assert isinstance(self.ruler, NumberRuler)
        low, high, _, _ = self.moment()
        return quantiles(self.ruler, self.fine.sum(axis=0), np.asarray(probabilities, dtype=float), low=low, high=high)

    def distinct(self) -> tuple[int, bool]:
        """How many distinct values a text column has, and whether that is exact."""
        return distinct(int((self.fine.sum(axis=0) > 0).sum()), self.others)

    def top(self, n: int) -> list[tuple[str, int]]:
        """The most frequent watched values with their exact counts."""
        assert isinstance(self.ruler, WordRuler)
        total = self.fine.sum(axis=0)
        order = np.argsort(-total, kind="stable")[:n]
        return [(self.ruler.watched[i], int(total[i])) for i in order if total[i]]

    def part(self, segments: Sequence[int], slices: Sequence[int]) -> Column:
        """Only these segments and slices. What is remembered of rare values stays, as it is kept over all of them."""
        some, layers = np.asarray(segments, dtype=int), np.asarray(slices, dtype=int)
        return replace(self, counts=self.counts[some], moments=self.moments[some], bins=self.bins[some], fine=self.fine[layers])


def width(ruler: Ruler) -> tuple[int, int]:
    """How many bins and how many cells a ruler has."""
    if isinstance(ruler, NumberRuler):
        return len(ruler.cuts) + 1, cell_count()
    if isinstance(ruler, WordRuler):
        return ruler.named() + 1, len(ruler.watched)
    return 0, 0


def blank(kind: str, dtype: str, ruler: Ruler) -> Column:
    """A column of no rows: what others are added to."""
    bins, cells = width(ruler)
    whole, real = np.int64, np.float64
    counts, moments = np.zeros((0, len(COUNTED)), dtype=whole), np.zeros((0, len(MOMENTS)), dtype=real)
    empty, fine = np.zeros((0, bins), dtype=whole), np.zeros((0, cells), dtype=whole)
    return Column(kind=kind, dtype=dtype, ruler=ruler, counts=counts, moments=moments, bins=empty, fine=fine)


def sum_columns(parts: Sequence[Column], places: Sequence[Counts], layers: Sequence[Counts], segments: int, slices: int) -> Column:
    """Add up one column of several profiles.

    Parameters
    ----------
    places : for each part, shape (its segments,): where its segments stand in the sum.
    layers : for each part, shape (its slices,): the same for its slices.
    segments, slices : how many the sum has.
    """
    first = parts[0]
    bins, cells = width(first.ruler)
    counts = np.zeros((segments, len(COUNTED)), dtype=np.int64)
    moments = np.full((segments, len(MOMENTS)), np.nan)
    histogram = np.zeros((segments, bins), dtype=np.int64)
    fine = np.zeros((slices, cells), dtype=np.int64)
    for part, place, layer in zip(parts, places, layers, strict=True):
        moments[place] = _joined(counts[place, VALUES], moments[place], part.counts[:, VALUES], part.moments)
        counts[place] += part.counts
        histogram[place] += part.bins
        fine[layer] += part.fine
    others = remember(*(part.others for part in parts)) if isinstance(first.ruler, WordRuler) else {}
    return replace(first, counts=counts, moments=moments, bins=histogram, fine=fine, others=others)


def _joined(n: Counts, one: Floats, m: Counts, two: Floats) -> Floats:
    """Moments of the union, segment by segment: Chan, Golub, LeVeque (1983), The American Statistician 37."""
    both = np.maximum(n + m, 1)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = two[:, MEAN] - one[:, MEAN]
        mean = one[:, MEAN] + gap * (m / both)
        squares = one[:, SQUARES] + two[:, SQUARES] + gap * gap * (n * (m / both))
    joined = np.stack((np.fmin(one[:, LOW], two[:, LOW]), np.fmax(one[:, HIGH], two[:, HIGH]), mean, squares), axis=1)
    return np.where((n == 0)[:, None], two, np.where((m == 0)[:, None], one, joined))


def add_up(n: Counts, moments: Floats) -> tuple[float, float, float, float]:
    """Moments of all segments together; NaN when none has values."""
    held = n > 0
    if not held.any():
        return (float("nan"),) * 4
    weights, some = n[held].astype(float), moments[held]
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(np.average(some[:, MEAN], weights=weights))
        squares = float(some[:, SQUARES].sum() + (weights * (some[:, MEAN] - mean) ** 2).sum())
    return float(some[:, LOW].min()), float(some[:, HIGH].max()), mean, squares


def remember(*parts: Mapping[str, int]) -> dict[str, int]:
    """Add up counts of values that are not watched, and keep those with the smallest hashes.

    A value that is kept in the end was kept in every part that held it, so its count is exact.
    """
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    if len(total) <= REMEMBERED:
        return dict(sorted(total.items()))
    names = list(total)
    hashes = _hashes(names)
    limit = np.partition(hashes, REMEMBERED - 1)[REMEMBERED - 1]
    first = sorted((int(hashes[i]), names[i]) for i in np.flatnonzero(hashes <= limit))[:REMEMBERED]
    return {name: total[name] for name in sorted(name for _, name in first)}


def distinct(watched_seen: int, remembered: Mapping[str, int]) -> tuple[int, bool]:
    """How many distinct values there are, and whether that is exact; otherwise its standard error is about 6 %."""
    if len(remembered) < REMEMBERED:
        return watched_seen + len(remembered), True
    largest = float(_hashes(list(remembered)).max())
    return watched_seen + round((REMEMBERED - 1) * SPACE / max(largest, 1.0)), False


def _hashes(names: list[str]) -> NDArray[np.uint64]:
    """32 bits each: a checksum, then mixed, since near texts have near checksums. The same in every version, unlike a library's own."""
    found = np.fromiter((zlib.crc32(name.encode()) for name in names), dtype=np.uint64, count=len(names))
    for multiplier in (0x85EBCA6B, 0xC2B2AE35):  # the finaliser of MurmurHash3
        found ^= found >> np.uint64(16)
        found = (found * np.uint64(multiplier)) & np.uint64(0xFFFFFFFF)
    return found ^ (found >> np.uint64(13))
