"""Count one column of one piece of rows, with the ruler its profile has.

About 4 ns a number: every step is one pass of NumPy over arrays that are used again and again, and nulls, NaN and infinities leave
before the passes begin. Texts cost as much, for looking each of them up among the watched ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from keepwell.profiling.columns import COUNTED, HIGH, LOW, MEAN, MOMENTS, SQUARES, Column, Ruler, Segment, remember, width
from keepwell.profiling.rulers import Counts, Floats, NumberRuler, WordRuler, bin_of_cell, cell_count

FLAGS = WordRuler(("false", "true"))
LONGEST = 200  # characters of a value that are kept: a column of documents must not fill the profile
FEW_ROWS = 500  # runs that are shorter on average are offset by one array, longer ones each by a slice


@dataclass(frozen=True)
class Runs:
    """The segments of a piece in the order they stand in: `keys` without repetition, `sizes` their rows, shape (runs,)."""

    keys: tuple[Segment, ...]
    sizes: Counts

    def ascending(self) -> list[int]:
        """The places of the runs, segments ascending."""
        return sorted(range(len(self.keys)), key=self.keys.__getitem__)

    def of(self, rows: Counts) -> Counts:
        """The run that each row number belongs to."""
        return np.searchsorted(np.cumsum(self.sizes), rows, side="right").astype(np.int64)


class Scratch:
    """Arrays that every column's passes write into: new memory for each pass would cost more than the pass."""

    def __init__(self) -> None:
        self._arrays = np.empty((3, 0))

    def of(self, n: int) -> tuple[Floats, Floats, Counts]:
        """Two arrays for floats and one for counts, shape (n,), with anything in them."""
        if self._arrays.shape[1] < n:
            self._arrays = np.empty((3, n))
        return self._arrays[0, :n], self._arrays[1, :n], self._arrays[2, :n].view(np.int64)


def kind_of(dtype: pl.DataType) -> str:
    """How a column of this type is profiled."""
    if dtype == pl.Boolean:
        return "flags"
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        return "numbers"
    if dtype in (pl.Date, pl.Datetime):
        return "times"
    return "words" if dtype in (pl.String, pl.Categorical, pl.Enum) else "other"


def count(series: pl.Series, runs: Runs, layers: Counts, slices: int, *, kind: str, ruler: Ruler, scratch: Scratch) -> Column:
    """Count a column of a piece whose rows stand in `runs`.

    Parameters
    ----------
    layers : shape (runs,): the slice of each run, below `slices`.
    kind, ruler : as the profile has them; a value that does not fit the kind is counted as *odd*, not refused.
    """
    counts = np.zeros((runs.sizes.size, len(COUNTED)), dtype=np.int64)
    usable = _usable(series, kind)
    counts[:, 1] = _nulls(series, runs)
    if usable.null_count() > series.null_count():
        counts[:, 5] = _nulls(usable, runs) - counts[:, 1]
    if isinstance(ruler, NumberRuler):
        moments, bins, fine = _numbers(usable, runs, layers, slices, ruler, counts, scratch)
        return Column(kind=kind, dtype=str(series.dtype), ruler=ruler, counts=counts, moments=moments, bins=bins, fine=fine)
    counts[:, 0] = runs.sizes - counts[:, 1] - counts[:, 5]
    empty = np.full((runs.sizes.size, len(MOMENTS)), np.nan)
    if isinstance(ruler, WordRuler):
        bins, fine, others = _words(usable, runs, layers, slices, ruler, counts[:, 1] + counts[:, 5], scratch)
        return Column(kind=kind, dtype=str(series.dtype), ruler=ruler, counts=counts, moments=empty, bins=bins, fine=fine, others=others)
    bins, fine = np.zeros((runs.sizes.size, 0), dtype=np.int64), np.zeros((slices, 0), dtype=np.int64)
    return Column(kind=kind, dtype=str(series.dtype), ruler=None, counts=counts, moments=empty, bins=bins, fine=fine)


def _usable(series: pl.Series, kind: str) -> pl.Series:
    """The column as floats or texts; null where a value is not of the kind."""
    own = kind_of(series.dtype)
    if kind == "other":
        return series
    if own == "other":
        return pl.Series(series.name, [None], dtype=pl.Float64).new_from_index(0, len(series)) if series.dtype != pl.Null else series
    if kind in ("words", "flags"):
        return series if series.dtype == pl.String else series.cast(pl.String)
    if (kind == "times") != (own == "times"):
        return pl.Series(series.name, [None], dtype=pl.Float64).new_from_index(0, len(series))
    if own == "times":
        return series.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    if series.dtype in (pl.Duration, pl.Time):
        return series.to_physical().cast(pl.Float64)
    if own == "words":
        return series.cast(pl.String).cast(pl.Float64, strict=False)
    return series if series.dtype == pl.Float64 else series.cast(pl.Float64)


def as_floats(series: pl.Series, kind: str) -> Floats:
    """The finite values of a column, for the fit of its ruler."""
    values: Floats = _usable(series, kind).drop_nulls().to_numpy()
    return values[np.isfinite(values)]


def as_words(series: pl.Series) -> list[tuple[str, int]]:
    """The values of a text column with their counts, for the fit of its ruler."""
    return [(name[:LONGEST], n) for name, n in series.cast(pl.String).drop_nulls().value_counts().rows()]


def _nulls(series: pl.Series, runs: Runs) -> Counts:
    """The nulls of each run."""
    if not series.null_count():
        return np.zeros(runs.sizes.size, dtype=np.int64)
    if runs.sizes.size * FEW_ROWS > len(series):
        return np.bincount(runs.of(np.flatnonzero(series.is_null().to_numpy())), minlength=runs.sizes.size)
    firsts = np.cumsum(runs.sizes) - runs.sizes
    return np.array([series.slice(first, n).null_count() for first, n in zip(firsts.tolist(), runs.sizes.tolist(), strict=True)])


def _numbers(
    usable: pl.Series, runs: Runs, layers: Counts, slices: int, ruler: NumberRuler, counts: Counts, scratch: Scratch
) -> tuple[Floats, Counts, Counts]:
    """Moments, bins and cells; fills in the counts of values, NaN and infinities."""
    values: Floats = usable.drop_nulls().to_numpy() if usable.dtype == pl.Float64 else np.empty(0)
    sizes = runs.sizes - counts[:, 1] - counts[:, 5]
    with np.errstate(over="ignore", invalid="ignore"):
        is_whole = np.isfinite(values.sum())  # one pass that is nearly always enough
    if not is_whole:
        values = _set_aside(values, sizes, counts)
        sizes = sizes - counts[:, 2:5].sum(axis=1)
    counts[:, 0] = sizes
    moved, square, cells = scratch.of(values.size)
    keys = square.view(np.int64)
    with np.errstate(over="ignore"):
        np.subtract(values, ruler.centre, out=moved)
    moments = _moments(values, moved, square, sizes, ruler.centre)
    ruler.cells_of_moved(moved, keys, cells)
    return moments, *_histograms(cells, keys, sizes, layers, slices, n_cells=cell_count(), cuts=ruler.cuts)


def _histograms(
    cells: Counts, free: Counts, sizes: Counts, layers: Counts, slices: int, *, n_cells: int, cuts: Sequence[int]
) -> tuple[Counts, Counts]:
    """Bins of each run and cells of each slice; bins begin at the first cell and at `cuts`. Both arrays of cells may be written over."""
    runs, n_bins = sizes.size, len(cuts) + 1
    if 2 * runs * n_cells <= cells.size:  # few runs: their cells are counted, and bins and slices are sums of these
        _set_apart(cells, sizes, np.arange(runs) * n_cells)
        joint = np.bincount(cells, minlength=runs * n_cells).reshape(runs, n_cells)
        fine = np.zeros((slices, n_cells), dtype=np.int64)
        for layer in range(slices):
            fine[layer] = joint[layers == layer].sum(axis=0)
        return np.add.reduceat(joint, [0, *cuts], axis=1), fine
    bins = np.take(bin_of_cell(n_cells, cuts), cells, out=free, mode="wrap")
    _set_apart(bins, sizes, np.arange(runs) * n_bins)
    if slices > 1:
        _set_apart(cells, sizes, layers * n_cells)
    fine = np.bincount(cells, minlength=slices * n_cells).reshape(slices, n_cells)
    return np.bincount(bins, minlength=runs * n_bins).reshape(runs, n_bins), fine


def _set_aside(values: Floats, sizes: Counts, counts: Counts) -> Floats:
    """Count NaN and infinities of each run, and give the finite values."""
    bounds = np.cumsum(sizes)
    for place, mask in ((2, np.isnan(values)), (3, values == -np.inf), (4, values == np.inf)):
        counts[:, place] = np.bincount(np.searchsorted(bounds, np.flatnonzero(mask), side="right"), minlength=sizes.size)
    return values[np.isfinite(values)]


def _set_apart(numbers: Counts, sizes: Counts, offsets: Counts) -> None:
    """Add each run's offset to its numbers, in place."""
    if sizes.size * FEW_ROWS > numbers.size:
        numbers += np.repeat(offsets, sizes)
        return
    stop = 0
    for size, offset in zip(sizes.tolist(), offsets.tolist(), strict=True):
        start, stop = stop, stop + size
        numbers[start:stop] += offset


def _moments(values: Floats, moved: Floats, square: Floats, sizes: Counts, centre: float) -> Floats:
    """Smallest, largest, mean, squares of each run; sums are taken about the ruler's centre, where they are small."""
    moments = np.full((sizes.size, len(MOMENTS)), np.nan)
    held = sizes > 0
    if not held.any():
        return moments
    n, starts = sizes[held], (np.cumsum(sizes) - sizes)[held]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.add.reduceat(moved, starts) / n
        squares = np.add.reduceat(np.multiply(moved, moved, out=square), starts) - n * mean * mean
        if not np.all(squares > 1e-6 * n * mean * mean):  # what is left after the subtraction has lost digits
            np.subtract(moved, np.repeat(mean, n), out=square)
            squares = np.add.reduceat(np.multiply(square, square, out=square), starts)
    moments[held, LOW] = np.minimum.reduceat(values, starts)
    moments[held, HIGH] = np.maximum.reduceat(values, starts)
    with np.errstate(over="ignore", invalid="ignore"):
        moments[held, MEAN] = centre + mean
    moments[held, SQUARES] = squares
    return moments


def _words(
    usable: pl.Series, runs: Runs, layers: Counts, slices: int, ruler: WordRuler, missing: Counts, scratch: Scratch
) -> tuple[Counts, Counts, dict[str, int]]:
    """Bins, counts of watched values, and what is remembered of the others. `missing` is shape (runs,)."""
    watched, (n_bins, _) = len(ruler.watched), width(ruler)
    if usable.dtype != pl.String:  # nothing of it is text
        return np.zeros((runs.sizes.size, n_bins), dtype=np.int64), np.zeros((slices, watched), dtype=np.int64), {}
    code = ruler.find(usable)
    unknown = code == watched  # and nulls
    is_other = np.count_nonzero(unknown) > usable.null_count()
    others = usable.filter(pl.Series(unknown) & usable.is_not_null()) if is_other else usable.clear()
    _, _, free = scratch.of(code.size)
    cuts = range(1, n_bins)  # beyond the watched cells is one for all others
    bins, fine = _histograms(code, free, runs.sizes, layers, slices, n_cells=watched + 1, cuts=cuts)
    bins[:, -1] -= missing
    return bins, fine[:, :watched], remember(*({name[:LONGEST]: n} for name, n in others.value_counts().rows()))
