"""The rulers that columns are measured with: of numbers fine cells around a centre, grouped into a few bins; of texts watched values.

A number's cell is read from the bits of its distance to the centre: sign, octave, and up to six bits within the octave. That
takes a subtraction, a multiplication by a power of two, a shift and two look-ups, with no search among edges and no rounding
that could put a value into a neighbour's cell. Within two scales of the centre all cells are 1/64 of a scale wide; further out
they widen with the distance, so that a far value can never take the detail from the middle. Cells are counted, never sampled:
histograms made with one ruler add up exactly, in any order.

Of texts the most frequent values of a sample are *watched*: each has its exact count. All others are counted together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BINS = 64
WATCHED = 1000
SLOTS = 14  # bits of a text's hash: a table that stays in the cache
DETAIL = 6  # bits within an octave: a cell is 1/64 of a scale wide near the centre
SHIFT = np.uint64(52 - DETAIL)
KEYS = 1 << (12 + DETAIL)  # a sign, eleven bits of octave, six within it
# (from this octave of distance on, bits within an octave, octaves to a group)
FAR = ((1, 6, 1), (4, 5, 1), (6, 4, 1), (10, 2, 1), (20, 0, 20), (40, 0, 60), (100, 0, 924))


@lru_cache(maxsize=1)
def _side() -> tuple[Floats, Counts]:
    """Lower ends of the cells on the positive side, in scales; and the cell of each positive key, 0 being the centre's."""
    lows = [k / 64 for k in range(1, 128)]
    for place, (first, bits, group) in enumerate(FAR):
        stop = FAR[place + 1][0] if place + 1 < len(FAR) else first + 1
        for octave in range(first, stop, group):
            lows += [math.ldexp(1 + step / 2**bits, octave) for step in range(2**bits)]
    keys = np.arange(KEYS // 2, dtype=np.uint64) << SHIFT
    with np.errstate(invalid="ignore"):
        values = keys.view(np.float64)
    values = np.where(np.isnan(values), np.inf, values)
    return np.array(lows), np.searchsorted(np.array(lows), values, side="right").astype(np.int64)


@lru_cache(maxsize=1)
def _cell_of_key() -> Counts:
    lows, side = _side()
    return np.concatenate((lows.size + side, lows.size - side))


def cell_count() -> int:
    """How many cells every ruler has."""
    return 2 * int(_side()[0].size) + 1


def bin_of_cell(n_cells: int, cuts: Sequence[int]) -> Counts:
    """The bin of each cell, shape (n_cells,); bins begin at the first cell and at `cuts`."""
    return np.searchsorted(np.asarray(cuts, dtype=np.int64), np.arange(n_cells), side="right").astype(np.int64)


@dataclass(frozen=True)
class NumberRuler:
    """Where the cells and bins of a numeric column lie.

    Parameters
    ----------
    centre : in the column's unit; the middle of the centre cell.
    octave : one scale is 2^octave of the column's unit, about a standard deviation.
    cuts : ascending cells at which a bin begins, without the first; at most 63.
    atoms : (cell, value) where the sample had one value again and again and no other: a quantile there is that value.
    """

    centre: float
    octave: int
    cuts: tuple[int, ...] = ()
    atoms: tuple[tuple[int, float], ...] = ()

    def cells(self, values: Floats) -> Counts:
        """The cell of each finite value, shape (n,), 0 the lowest."""
        with np.errstate(over="ignore"):  # what is infinitely far is in the outermost cell
            moved = values - self.centre
        return self.cells_of_moved(moved, np.empty(moved.size, dtype=np.int64), np.empty(moved.size, dtype=np.int64))

    def cells_of_moved(self, moved: Floats, keys: Counts, out: Counts) -> Counts:
        """The same of values less the centre, in arrays that are there already, which takes half the time.

        `moved` and `keys`, both shape (n,), are written over; the cells are in `out`.
        """
        with np.errstate(over="ignore"):
            np.multiply(moved, math.ldexp(1.0, -self.octave), out=moved)
        np.right_shift(moved.view(np.uint64), SHIFT, out=keys.view(np.uint64))
        return np.take(_cell_of_key(), keys, out=out, mode="wrap")  # `wrap` checks no index, and no key can be outside

    def edges(self) -> Floats:
        """Ends of the cells in the column's unit, shape (cells + 1,), the outer two infinite."""
        lows = _side()[0]
        with np.errstate(over="ignore"):
            inner = self.centre + np.concatenate((-lows[::-1], lows)) * math.ldexp(1.0, self.octave)
        return np.concatenate(([-np.inf], inner, [np.inf]))

    def bin_edges(self) -> Floats:
        """Ends of the bins in the column's unit, shape (bins + 1,), the outer two infinite."""
        return self.edges()[[0, *self.cuts, cell_count()]]


def fit_number_ruler(sample: Floats, *, bins: int = BINS) -> NumberRuler:
    """The ruler that suits a sample: centred on its median, scaled by its spread, cut at its quantiles.

    The sample decides only where the detail lies. What is counted with the ruler is exact whatever the sample was.

    Parameters
    ----------
    sample : shape (n,), finite, any unit, any order; may be empty.
    bins : at most so many bins, each with about the same share of the sample; ties and atoms make them fewer.
    """
    if sample.size == 0:
        return NumberRuler(0.0, 0)
    # Quantiles that are values of the sample: no interpolation can overflow, and a frequent value can be the centre.
    low, median, high = (float(value) for value in np.quantile(sample, (0.25, 0.5, 0.75), method="inverted_cdf"))
    scale = high / 1.349 - low / 1.349  # of a normal column that is the standard deviation
    if not scale > 0:  # more than half of the values are equal
        with np.errstate(over="ignore"):
            scale = float(np.sqrt(np.mean((sample - median) ** 2)))
    if not scale > 0:
        scale = abs(median) or 1.0
    scale = min(scale, 1e300)
    octave = max(-1000, min(1000, round(math.log2(scale))))
    step = math.ldexp(1.0, octave - DETAIL)
    tidy = round(median / step) * step if abs(median / step) < 2**52 else median
    centre = tidy if math.isfinite(tidy) else median  # rounding the largest floats up would leave them
    cells = NumberRuler(centre, octave).cells(sample)
    return NumberRuler(centre, octave, _cuts(np.bincount(cells, minlength=cell_count()), bins), _atoms(sample, cells))


def _cuts(counted: Counts, bins: int) -> tuple[int, ...]:
    """Cells after which another 1/bins of the counts is full."""
    reached = np.cumsum(counted)
    places = np.searchsorted(reached, np.arange(1, bins) * reached[-1] / bins, side="left") + 1
    last = int(np.flatnonzero(counted)[-1])
    return tuple(sorted({int(cell) for cell in places if cell <= last}))


def _atoms(sample: Floats, cells: Counts) -> tuple[tuple[int, float], ...]:
    """Cells that hold one value twice or more, and no other."""
    order = np.argsort(sample)
    owners, ordered = cells[order], sample[order]
    first = np.flatnonzero(np.diff(owners, prepend=-1))
    sizes = np.diff(first, append=owners.size)
    alone = (sizes > 1) & (ordered[first] == ordered[first + sizes - 1])
    return tuple((int(owners[place]), float(ordered[place])) for place in first[alone])


def quantiles(ruler: NumberRuler, cells: Counts, probabilities: Floats, *, low: float, high: float) -> Floats:
    """Quantiles of what was counted, each inside the cell that holds the exact one.

    Parameters
    ----------
    cells : shape (cells,), counts.
    probabilities : shape (k,), fractions.
    low, high : the exact smallest and largest value; no quantile leaves them.

    Returns
    -------
    Shape (k,), in the column's unit, linear inside a cell: wrong by less than the cell's width (1/64 of a scale near the
    centre, at most 1/64 of the distance to it up to 16 scales out). NaN when nothing was counted.
    """
    total = int(cells.sum())
    if total == 0:
        return np.full(len(probabilities), np.nan)
    edges = np.clip(ruler.edges(), low, high)
    reached = np.cumsum(cells)
    wanted = np.asarray(probabilities) * total
    place = np.minimum(np.searchsorted(reached, wanted, side="left"), np.flatnonzero(cells)[-1])
    place = np.maximum(place, np.flatnonzero(cells)[0])
    inside = np.clip((wanted - (reached[place] - cells[place])) / np.maximum(cells[place], 1), 0.0, 1.0)
    found = edges[place] + inside * (edges[place + 1] - edges[place])
    atoms = dict(ruler.atoms)
    return np.array([atoms.get(int(cell), value) for cell, value in zip(place, found, strict=True)]).clip(low, high)


@dataclass(frozen=True)
class WordRuler:
    """The watched values of a text column, most frequent of the sample first; bins are the first 63, and the rest."""

    watched: tuple[str, ...] = ()

    def named(self) -> int:
        """How many values have a bin of their own."""
        return min(len(self.watched), BINS - 1)

    def find(self, texts: pl.Series) -> Counts:
        """The place of each text among the watched values, shape (n,); len(watched) for all others and for nulls.

        Texts are told apart by 64 bits of Polars' hash, which never leaves this process: in a table of a billion rows one row might be
        taken for a watched value with a chance below one in ten million. It is four times as fast as a cast to an enumeration.
        """
        slot_hash, slot_code, ordered, order = _slots(self.watched)
        hashes = texts.hash(seed=0).to_numpy()
        slots = (hashes >> np.uint64(64 - SLOTS)).view(np.int64)
        found = np.take(slot_code, slots, mode="wrap")
        apart = np.flatnonzero(np.take(slot_hash, slots, mode="wrap") != hashes)
        if apart.size:  # unknown, or a watched value whose slot a more frequent one holds
            rest = hashes[apart]
            place = np.minimum(np.searchsorted(ordered, rest), max(ordered.size - 1, 0))
            is_watched = ordered[place] == rest if ordered.size else np.zeros(rest.size, dtype=bool)
            found[apart] = np.where(is_watched, order[place], len(self.watched)) if ordered.size else len(self.watched)
        return found


@lru_cache(maxsize=1024)
def _slots(watched: tuple[str, ...]) -> tuple[NDArray[np.uint64], Counts, NDArray[np.uint64], Counts]:
    """A slot for each of the first bits of a hash, with the hash and the place of its most frequent value; and all hashes in order."""
    hashes = pl.Series(watched, dtype=pl.String).hash(seed=0).to_numpy()
    slots = (hashes >> np.uint64(64 - SLOTS)).view(np.int64)
    slot_hash, slot_code = np.zeros(1 << SLOTS, dtype=np.uint64), np.full(1 << SLOTS, len(watched), dtype=np.int64)
    slot_hash[slots[::-1]], slot_code[slots[::-1]] = hashes[::-1], np.arange(len(watched))[::-1]
    order = np.argsort(hashes)
    return slot_hash, slot_code, hashes[order], order


def fit_word_ruler(counted: Iterable[tuple[str, int]]) -> WordRuler:
    """Watch the most frequent values of a sample; ties by name, so that the same sample gives the same ruler."""
    ranked = sorted(counted, key=lambda pair: (-pair[1], pair[0]))
    return WordRuler(tuple(name for name, _ in ranked[:WATCHED]))
