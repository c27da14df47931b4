"""Values that are broken whatever stands around them, and columns whose newest values are broken together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from keepwell.validation.coerce import DTYPES, to_type
from keepwell.validation.marks import Mark, many, mark
from keepwell.validation.records import Column, Contract
from keepwell.validation.unit_change import UnitChange, find_unit_changes
from keepwell.validation.units import DECIMALS
from keepwell.validation.window import is_null_spike, run_lengths, stuck_limit, vanished_run

FEW_SHARE, FEW_ROWS = 0.05, 3  # new categories beyond both are more than a newcomer
LEAST_ALIKE, NEARLY_ALL = 3, 0.9  # values, and the share of them that one factor brings home, before it is named


@dataclass(frozen=True, eq=False)
class Sight:
    """The batch and the newest accepted rows as arrays, both in the order given.

    Attributes
    ----------
    numeric : the k numeric columns that the batch has.
    now, before : their values, shape (m, k) and (n, k), NaN for null.
    """

    batch: pl.DataFrame
    recent: pl.DataFrame
    numeric: list[Column]
    now: np.ndarray
    before: np.ndarray

    @classmethod
    def of(cls, contract: Contract, batch: pl.DataFrame, recent: pl.DataFrame) -> Sight:
        numeric = [column for column in contract.columns if column.is_numeric and column.name in batch.columns]
        return cls(batch, recent, numeric, _matrix(batch, numeric), _matrix(recent, numeric))


def _matrix(frame: pl.DataFrame, numeric: list[Column]) -> np.ndarray:
    matrix = np.full((frame.height, len(numeric)), np.nan, order="F")
    for at, column in enumerate(numeric):
        if column.name in frame.columns and frame.height:
            values = frame[column.name]
            matrix[:, at] = (values if values.dtype == DTYPES[column.type] else to_type(values, column.type)).to_numpy()
    return matrix


def row_verdicts(contract: Contract, typed: pl.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """(kind, column) -> which rows break it, for the promises a single value can break: null, range, category.

    The same verdict as `schema(contract)` gives through pandera, some hundred times faster on a few rows.
    """
    sight = Sight.of(contract, typed, typed.clear())
    verdicts = {("out of range", column.name): where for column, where in _out_of_range(sight)}
    for column in contract.columns:
        if column.name in typed.columns:
            if not column.nullable and typed[column.name].null_count():
                verdicts["null value", column.name] = typed[column.name].is_null().to_numpy()
            strange = _strangers(column, typed[column.name])
            if strange is not None:
                verdicts["new category", column.name] = strange
    return verdicts


def check_values(
    contract: Contract, sight: Sight, unread: dict[str, np.ndarray], order: np.ndarray | None, standing: Mapping[str, str]
) -> list[Mark]:
    """Marks on values. `unread`: per column the rows whose type was wrong; `order`: rows by time, None when they are."""
    marks = []
    changes = find_unit_changes(sight.numeric, sight.before, sight.now if order is None else sight.now[order], standing)
    changed: dict[str, np.ndarray] = {}
    for change in changes:
        where = change.where
        if order is not None:
            where = np.empty_like(change.where)
            where[order] = change.where
        changed[change.column.name] = where
        marks.append(_unit_mark(change, where))
    for column, where in _out_of_range(sight):
        where = where & ~changed[column.name] if column.name in changed else where
        if where.any():
            value = sight.now[int(np.argmax(where)), sight.numeric.index(column)]
            what = f"outside {_number(column.low, 'anything')} to {_number(column.high, 'anything')}{_factor(column, sight, where)}"
            todo = "Mend the source, or widen low and high in contract.toml."
            marks.append(mark("out of range", column.name, where, f"{value:g}", what, todo, is_fault=many(where)))
    for column in contract.columns:
        if column.name in sight.batch.columns:
            marks.extend(_nulls(column, sight, unread.get(column.name)))
            marks.extend(_categories(column, sight))
    return marks


def _factor(column: Column, sight: Sight, where: np.ndarray) -> str:
    """One common factor that brings nearly all values of the batch home, in words: another unit, or a slipped decimal point."""
    at = sight.numeric.index(column)
    values, usual = sight.now[:, at], sight.before[:, at]
    values, usual = values[np.isfinite(values)], usual[np.isfinite(usual)]
    if values.size < LEAST_ALIKE or where.sum() < values.size / 2 or not (column.quantiles or usual.size):
        return ""
    home = float(np.median(usual)) if usual.size else column.quantiles[len(column.quantiles) // 2]
    middle = float(np.median(values))
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    for factor in DECIMALS:
        undone = values / factor
        if ((undone >= low) & (undone <= high)).mean() >= NEARLY_ALL and home and 0.5 < middle / factor / home < 2:
            return f"; nearly all values are about {factor:g} times the usual ones, as in another unit or with a slipped decimal point"
    return ""


def check_constant(contract: Contract, sight: Sight, order: np.ndarray | None) -> list[Mark]:
    """Columns that stopped moving, for one entity or for all."""
    first = sight.recent.height
    by_time = None if order is None else np.concatenate([np.arange(first), first + order])
    orders: list[tuple[np.ndarray | None, np.ndarray | None]] = [(by_time, None)]
    entity = contract.entity
    if entity in sight.batch.columns and entity in sight.recent.columns:
        codes = pl.concat([sight.recent[entity].cast(pl.String), sight.batch[entity]]).rank("dense").fill_null(0).to_numpy()
        if codes.min() < codes.max():
            ordered = codes if by_time is None else codes[by_time]
            grouped = np.argsort(ordered, kind="stable")
            orders.append((grouped if by_time is None else by_time[grouped], ordered[grouped]))
    marks = []
    for at, column in enumerate(sight.numeric):
        limit = stuck_limit(column)
        if limit is None or limit > first + sight.batch.height:
            continue
        values = np.concatenate([sight.before[:, at], sight.now[:, at]])
        runs = np.zeros(values.size, dtype=np.int64)
        for places, groups in orders:
            placed = values if places is None else values[places]
            if np.count_nonzero(placed[1:] == placed[:-1]) < limit - 1:
                continue  # most columns never repeat themselves that often
            ending = run_lengths(placed, groups)
            if places is None:
                runs = np.maximum(runs, ending)
            else:
                runs[places] = np.maximum(runs[places], ending)
        where = runs[first:] >= limit
        if where.any():
            longest = int(np.argmax(runs[first:]))
            what = f"the same value {runs[first + longest]} times in a row, {column.longest_run} was the most in the reference"
            todo = "Look at the sensor; if it may rest, set may_be_constant in contract.toml."
            example = f"{sight.now[longest, at]:g}"
            marks.append(mark("constant", column.name, where, example, what, todo, action="note", is_fault=True))
    return marks


def _out_of_range(sight: Sight) -> list[tuple[Column, np.ndarray]]:
    """Infinite is outside of every range; null is a matter of its own."""
    found = []
    for at, column in enumerate(sight.numeric):
        values = sight.now[:, at]
        low = np.finfo(np.float64).min if column.low is None else column.low
        high = np.finfo(np.float64).max if column.high is None else column.high
        where = (values < low) | (values > high)
        if where.any():
            found.append((column, where))
    return found


def _unit_mark(change: UnitChange, where: np.ndarray) -> Mark:
    also = f" ({change.earlier} rows accepted earlier show it too)" if change.earlier else ""
    unit = f" {change.column.unit}" if change.column.unit else ""
    what = (
        f"looks as if delivered {change.conversion.story}: undoing that moves the median from {change.now:.4g} to "
        f"{change.undone:.4g}{unit}, usual is {change.home:.4g}{also}"
    )
    todo = "Convert it in gather, or change unit, range and quantiles in contract.toml."
    story, earlier, example = change.conversion.story, change.earlier, f"{change.now:.6g}"
    return mark("unit change", change.column.name, where, example, what, todo, is_fault=True, conversion=story, earlier=earlier)


def _nulls(column: Column, sight: Sight, unread: np.ndarray | None) -> list[Mark]:
    values = sight.batch[column.name]
    if not values.null_count():
        return []
    where = values.is_null().to_numpy()
    if unread is not None:
        where = where & ~unread
    if not where.any():
        return []
    before = sight.recent[column.name].is_null().to_numpy() if column.name in sight.recent.columns else np.zeros(0, dtype=bool)
    window = np.concatenate([before, where])
    run = vanished_run(window, where.size, column.max_null_rate)
    if run or (not column.nullable and where.all()):
        never = not column.nullable or column.null_rate == 0
        what = f"no value in the last {max(run, where.size)} rows, {1 - column.null_rate:.0%} had one in the reference"
        todo = "Mend the source; if the column is gone for good, remove it from contract.toml."
        return [mark("all null", column.name, where, "null", what, todo, action="quarantine" if never else "note", is_fault=True)]
    if not column.nullable:
        what, todo = "null, and the contract says nullable = false", "Mend the source, or allow nulls in contract.toml."
        return [mark("null value", column.name, where, "null", what, todo, is_fault=many(where))]
    if is_null_spike(int(window.sum()), window.size, column.max_null_rate):
        what = f"{window.mean():.0%} of the last {window.size} rows are null, the contract allows {column.max_null_rate:.0%}"
        todo = "Mend the source, or raise max_null_rate in contract.toml."
        return [mark("null spike", column.name, where, "null", what, todo, action="note", is_fault=True)]
    return []


def _strangers(column: Column, values: pl.Series) -> np.ndarray | None:
    if column.categories is None or values.null_count() == values.len():
        return None
    known = values.is_in(column.categories).fill_null(True)
    return None if known.all() else (~known).to_numpy()


def _categories(column: Column, sight: Sight) -> list[Mark]:
    values = sight.batch[column.name]
    where = _strangers(column, values)
    if where is None:
        return []
    earlier = _strangers(column, sight.recent[column.name]) if column.name in sight.recent.columns else None
    total = int(where.sum()) + (0 if earlier is None else int(earlier.sum()))
    is_fault = total >= FEW_ROWS and total >= FEW_SHARE * (where.size + sight.recent.height)
    what = f"not one of the {len(column.categories or ())} known categories ({', '.join((column.categories or ())[:5])}, ...)"
    todo = "If it is right, add it to categories in contract.toml; if not, mend the source."
    example = repr(values[int(np.argmax(where))])
    return [mark("new category", column.name, where, example, what, todo, action="note", is_fault=is_fault)]


def _number(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:g}"
