"""Read a first good window and write down what it promises.

A first window is short: 200 days have not seen a year, a year has not seen a record. Ranges are therefore wide: they
are for values that cannot be (a sentinel, a slipped decimal point), not for values that are rare.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from keepwell.errors import EmptyWindow, SchemaMismatch
from keepwell.validation.records import LEVELS, Column, Contract, Type
from keepwell.validation.units import known
from keepwell.validation.window import run_lengths

LEAST_ROWS = 10
MOST_CATEGORIES = 50
NULL_MARGIN = 0.05  # outages come in spells, so the share of one window says little about the next
CROWDED = 0.02
CONSTANT_SHARE = 0.9  # a column that mostly repeats itself cannot be called stuck


def infer(frame: pl.DataFrame, *, entity: str | None, time: str, units: Mapping[str, str] | None = None) -> Contract:
    """Make the first contract from a window that is known to be good.

    Parameters
    ----------
    frame : the window, any order; a few hundred rows are enough, ten the least.
    entity : key column besides time; None when all rows are about the same thing.
    units : column -> unit ("°F", "hPa", "knot"); makes unit changes easier to find and to name.

    Raises
    ------
    SchemaMismatch : entity, time or a column named in `units` is not in the frame.
    EmptyWindow : fewer than ten rows.
    """
    units = units or {}
    wanted = [time, *([entity] if entity else []), *units]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise SchemaMismatch("The contract's first window", missing, frame.columns)
    if frame.height < LEAST_ROWS:
        raise EmptyWindow("The contract's first window", frame.height, LEAST_ROWS)
    keys = [time] if entity is None else [entity, time]
    by_time, by_entity = frame.sort(time), frame.sort(keys)
    groups = np.zeros(frame.height) if entity is None else by_entity[entity].rank("dense").fill_null(0).to_numpy()
    columns = tuple(_column(by_time[n], by_entity[n], groups, units.get(n)) for n in frame.columns if n not in keys)
    return Contract(entity, time, columns, _freshness(_days(by_time[time])), frame.height)


def type_of(dtype: pl.DataType) -> Type:
    """The contract's word for a polars type."""
    if dtype.is_integer():
        return "integer"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_temporal():
        return "time"
    return "number" if dtype.is_numeric() or dtype == pl.Null else "text"


def _column(by_time: pl.Series, by_entity: pl.Series, groups: np.ndarray, unit: str | None) -> Column:
    kind = type_of(by_time.dtype)
    if by_time.dtype.is_float():
        by_time, by_entity = by_time.fill_nan(None), by_entity.fill_nan(None)
    rate = by_time.null_count() / by_time.len()
    spike = min(1.0, round(1.5 * rate + NULL_MARGIN, 4))
    column = Column(by_time.name, kind, unit, null_rate=round(rate, 6), max_null_rate=spike)
    if kind == "text":
        return _with(column, categories=_categories(by_time))
    if not column.is_numeric:
        return column
    values = by_time.cast(pl.Float64).to_numpy()
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return column
    quantiles = tuple(float(f"{q:.7g}") for q in np.quantile(finite, LEVELS))
    low, high = _range(finite, kind, unit)
    grouped = by_entity.cast(pl.Float64).to_numpy()
    longest = max(int(run_lengths(values).max()), int(run_lengths(grouped, groups).max()))
    same = np.unique(finite, return_counts=True)[1].max() / finite.size
    return _with(column, low=low, high=high, quantiles=quantiles, longest_run=longest, may_be_constant=bool(same >= CONSTANT_SHARE))


def _with(column: Column, **changes: object) -> Column:
    return Column(**{**column.__dict__, **changes})


def _range(values: np.ndarray, kind: Type, unit: str | None) -> tuple[float, float]:
    """Limits wide enough for the next fifty years of an honest series.

    A quantity that has both signs, or stays far from zero, may go beyond what was seen by the whole spread seen. One that
    starts at zero and has a long tail (rain, wind) may multiply: by the ratio of its maximum to its 90% level, at least 3.
    """
    least, most = float(values.min()), float(values.max())
    if kind == "integer" and least >= 0 and most <= 1:
        return 0.0, 1.0
    spread = (most - least) or max(abs(most), 1.0)
    found = known(unit)
    if found and found[1] == "%" and least >= 0 and most <= 100:
        return 0.0, 100.0
    if least >= 0 and least <= 0.25 * spread and not (found and found[0] == "temperature"):
        # Without a unit a temperature that once touched zero looks the same: only values that crowd at zero shut the door below.
        crowded = least == 0 and float(np.quantile(values, 0.01)) <= CROWDED * spread
        low = 0.0 if crowded or found else _outward(least - spread)
        tail = most / max(float(np.quantile(values, 0.9)), 1e-9)
        return low, _outward(most * min(max(tail, 3.0), 10.0))
    return _outward(least - spread), _outward(most + spread)


def _outward(value: float) -> float:
    """Three figures, away from zero: a limit people can read."""
    if value == 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(abs(value))) - 2)
    return float(f"{np.sign(value) * np.ceil(abs(value) / step) * step:.6g}")


def _categories(values: pl.Series) -> tuple[str, ...] | None:
    texts = values.cast(pl.String).drop_nulls()
    distinct = texts.unique()
    # As many different texts as rows are names or remarks, not categories.
    if distinct.len() == 0 or distinct.len() > min(MOST_CATEGORIES, max(2, texts.len() // 5)):
        return None
    return tuple(sorted(distinct.to_list()))


def _days(times: pl.Series) -> np.ndarray:
    """The distinct times, rising, in days."""
    distinct = times.drop_nulls().unique().sort().cast(pl.Datetime("us")).dt.epoch("us")
    days: np.ndarray = distinct.to_numpy() / 86_400e6
    return days


def _freshness(days: np.ndarray) -> float | None:
    """Three usual steps, or one and a half times the longest common one, whichever is longer."""
    steps = np.diff(days)
    return float(f"{max(3 * np.median(steps), 1.5 * np.quantile(steps, 0.99)):.3g}") if steps.size else None
