"""Count one column of one chunk of rows, with the ruler its profile has.

A sixth of the cost of a profile is here, about 4 ns a number (`benchmarks/profiles.py --stages`): every step is one pass of
NumPy or Polars over a chunk that fits the cache, and nulls, NaN and infinities leave before the passes begin.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from keepwell.monitoring.columns import COUNTED, HIGH, LOW, MEAN, MOMENTS, SQUARES, Column, width
from keepwell.monitoring.rulers import Counts, Floats, NumberRuler
from keepwell.monitoring.segments import Runs
from keepwell.monitoring.vocabulary import LONGEST, WordRuler, remember

FLAGS = WordRuler(("false", "true"))
NOWHERE = np.empty(0, dtype=np.int64)


def kind_of(dtype: pl.DataType) -> str:
    """How a column of this type is profiled."""
    if dtype == pl.Boolean:
        return "flags"
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        return "numbers"
    if dtype in (pl.Date, pl.Datetime):
        return "times"
    return "words" if dtype in (pl.String, pl.Categorical, pl.Enum) else "other"


def count(series: pl.Series, runs: Runs, layers: Counts, slices: int, *, kind: str, ruler: NumberRuler | WordRuler | None) -> Column:
    """Count a column of a chunk whose rows stand in `runs`.

    Parameters
    ----------
    layers : shape (runs,): the slice of each run, below `slices`.
    kind, ruler : as the profile has them; a value that does not fit the kind is counted as *odd*, not refused.
    """
    counts = np.zeros((runs.sizes.size, len(COUNTED)), dtype=np.int64)
    usable = _usable(series, kind)
    missing = _where(series.is_null(), series.null_count())
    counts[:, 1] = _per_run(runs, missing)
    if usable.null_count() > series.null_count():
        counts[:, 5] = _per_run(runs, _where(usable.is_null() & series.is_not_null(), 1))
    if isinstance(ruler, NumberRuler):
        moments, bins, fine = _numbers(usable, runs, layers, slices, ruler, counts)
        return Column(kind=kind, dtype=str(series.dtype), ruler=ruler, counts=counts, moments=moments, bins=bins, fine=fine)
    counts[:, 0] = runs.sizes - counts[:, 1] - counts[:, 5]
    empty = np.full((runs.sizes.size, len(MOMENTS)), np.nan)
    if isinstance(ruler, WordRuler):
        bins, fine, others = _words(usable, runs, layers, slices, ruler, counts[:, 1] + counts[:, 5])
        return Column(
            kind=kind, dtype=str(series.dtype), ruler=ruler, counts=counts, moments=empty, bins=bins, fine=fine, others=others
        )
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
        return series.cast(pl.String)
    if (kind == "times") != (own == "times"):
        return pl.Series(series.name, [None], dtype=pl.Float64).new_from_index(0, len(series))
    if own == "times":
        return series.cast(pl.Datetime("us")).to_physical().cast(pl.Float64)
    if series.dtype in (pl.Duration, pl.Time):
        return series.to_physical().cast(pl.Float64)
    if own == "words":
        return series.cast(pl.String).cast(pl.Float64, strict=False)
    return series.cast(pl.Float64)


def as_floats(series: pl.Series, kind: str) -> Floats:
    """The finite values of a column, for the fit of its ruler."""
    values = _usable(series, kind).drop_nulls().to_numpy()
    return values[np.isfinite(values)]


def as_words(series: pl.Series) -> list[tuple[str, int]]:
    """The values of a text column with their counts, for the fit of its ruler."""
    return [(name[:LONGEST], n) for name, n in series.cast(pl.String).drop_nulls().value_counts().rows()]


def _where(mask: pl.Series, any_there: int) -> Counts:
    return mask.arg_true().to_numpy().astype(np.int64) if any_there else NOWHERE


def _per_run(runs: Runs, rows: Counts) -> Counts:
    if not rows.size:
        return np.zeros(runs.sizes.size, dtype=np.int64)
    return np.bincount(runs.of(rows), minlength=runs.sizes.size)


def _numbers(
    usable: pl.Series, runs: Runs, layers: Counts, slices: int, ruler: NumberRuler, counts: Counts
) -> tuple[Floats, Counts, Counts]:
    """Moments, bins and cells; fills in the counts of values, NaN and infinities."""
    values: Floats = usable.drop_nulls().to_numpy() if usable.dtype == pl.Float64 else np.empty(0)
    sizes = runs.sizes - counts[:, 1] - counts[:, 5]
    with np.errstate(over="ignore", invalid="ignore"):
        is_whole = np.isfinite(values.sum())  # one pass that is nearly always enough
    if not is_whole:
        finite = np.isfinite(values)
        bounds = np.cumsum(sizes)
        for place, mask in ((2, np.isnan(values)), (3, values == -np.inf), (4, values == np.inf)):
            counts[:, place] = np.bincount(np.searchsorted(bounds, np.flatnonzero(mask), side="right"), minlength=sizes.size)[: sizes.size]
        values, sizes = values[finite], sizes - counts[:, 2:5].sum(axis=1)
    counts[:, 0] = sizes
    n_bins, n_cells = width(ruler)
    cells = ruler.cells(values)
    run = np.repeat(np.arange(sizes.size) * n_bins, sizes)
    run += np.take(ruler.bin_of_cell(), cells, mode="wrap")
    bins = np.bincount(run, minlength=sizes.size * n_bins).reshape(sizes.size, n_bins)
    if slices > 1:
        cells += np.repeat(layers * n_cells, sizes)
    fine = np.bincount(cells, minlength=slices * n_cells).reshape(slices, n_cells)
    return _moments(values, sizes, ruler.centre), bins, fine


def _moments(values: Floats, sizes: Counts, centre: float) -> Floats:
    """Smallest, largest, mean, squares of each run; sums are taken about the ruler's centre, where they are small."""
    moments = np.full((sizes.size, len(MOMENTS)), np.nan)
    held = sizes > 0
    if not held.any():
        return moments
    n, starts = sizes[held], (np.cumsum(sizes) - sizes)[held]
    with np.errstate(over="ignore", invalid="ignore"):
        moved = values - centre
        mean = np.add.reduceat(moved, starts) / n
        squares = np.add.reduceat(moved * moved, starts) - n * mean * mean
        if not np.all(squares > 1e-6 * n * mean * mean):  # what is left after the subtraction has lost digits
            moved -= np.repeat(mean, n)
            squares = np.add.reduceat(moved * moved, starts)
    moments[held, LOW] = np.minimum.reduceat(values, starts)
    moments[held, HIGH] = np.maximum.reduceat(values, starts)
    moments[held, MEAN] = centre + mean
    moments[held, SQUARES] = squares
    return moments


def _words(
    usable: pl.Series, runs: Runs, layers: Counts, slices: int, ruler: WordRuler, missing: Counts
) -> tuple[Counts, Counts, dict[str, int]]:
    """Bins, counts of watched values, and what is remembered of the others. `missing` is shape (runs,)."""
    watched, (n_bins, _) = len(ruler.watched), width(ruler)
    if usable.dtype != pl.String:  # nothing of it is text
        return np.zeros((runs.sizes.size, n_bins), dtype=np.int64), np.zeros((slices, watched), dtype=np.int64), {}
    codes = usable.cast(pl.Enum(ruler.watched), strict=False).to_physical()
    unknown = codes.null_count() - usable.null_count()
    others = usable.filter(codes.is_null() & usable.is_not_null()) if unknown else usable.clear()
    code = codes.cast(pl.Int64).fill_null(watched).to_numpy()
    run = np.repeat(np.arange(runs.sizes.size) * n_bins, runs.sizes)
    bins = np.bincount(run + np.minimum(code, n_bins - 1), minlength=runs.sizes.size * n_bins).reshape(-1, n_bins)
    bins[:, -1] -= missing
    layer = np.repeat(layers * (watched + 1), runs.sizes) if slices > 1 else 0
    fine = np.bincount(code + layer, minlength=slices * (watched + 1)).reshape(slices, watched + 1)[:, :watched]
    return bins, fine, remember(*({name[:LONGEST]: n} for name, n in others.value_counts().rows()))
