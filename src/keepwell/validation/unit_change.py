"""Find columns that began to arrive in another unit.

Each new value is asked twice how well it fits the newest accepted rows: as delivered, and with a conversion undone. The
log ratio of the two is summed from the best starting row on (a CUSUM of log likelihood ratios: Page 1954, Continuous
Inspection Schemes, Biometrika 41). The fit is a Student density with four degrees of freedom, so one odd value proves
little, around the recent median, or around what the row's other columns say (regression through the inverse correlation
matrix): 21 degrees is possible, but not on a day with a maximum of 80.

Honest levels move too. So a change is certain only when the values now lie far outside what was usual, undoing the
conversion brings them right back, and several rows agree (or the value is impossible as it stands).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keepwell.validation.records import Column
from keepwell.validation.units import Conversion, conversions, known

FREEDOM = 4.0
LEAST_HISTORY = 20  # rows with a value; with fewer the contract's quantiles are home
LEAST_RELATED = 40  # rows, less the UNSURE ones, before other columns are asked
CERTAIN = 25.0  # nats
LEAST_ROWS = 4
STRICTER = 1.5  # times all three, for a column whose unit nobody told (dozens of conversions are tried) or with a long tail
FAR, HOME = 4.25, 1.25  # median distance from home in spreads: now at least, undone at most (few rows may be off by chance)
ONE_HOME = 2.5  # a single impossible value counts when undone it is this close
UNSURE = 12  # newest accepted rows that may already be in the other unit: the relation is learnt without them
SKEWED = 1.4
BLOCK = 14  # rows judged against the history before them; a longer stretch of daily rows would be another season
HISTORY = 60
SAMPLE = 240
MANY_ROWS = 20_000  # batches above grow their blocks, so that a million rows stay about 200 blocks
CODES = (99.0, 99.9, 99.99, 999.0, 999.9, 9999.0, 9999.9, 99999.0, 999999.0)


@dataclass(frozen=True, eq=False)
class UnitChange:
    """`where`: rows of the batch, shape (m,); `earlier`: rows already accepted that show it too."""

    column: Column
    conversion: Conversion
    where: np.ndarray
    now: float
    undone: float
    home: float
    earlier: int


def find_unit_changes(
    columns: list[Column], recent: np.ndarray, batch: np.ndarray, standing: Mapping[str, str] | None = None
) -> list[UnitChange]:
    """Unit changes in a batch.

    Parameters
    ----------
    columns : the k numeric columns to look at.
    recent, batch : shape (n, k) and (m, k), in time order, NaN for null. The values, not scaled.
    standing : column -> story of the conversion that the batch before was in. It lasts as long as the rows speak more for it than
        against it: in spring the degrees of one scale come to look like those of the other.

    Returns
    -------
    At most one per column. Cost: O((n + m) k) when nothing is unusual.
    """
    columns_at = [at for at, column in enumerate(columns) if _can_change(column)]
    found: dict[int, UnitChange] = {}
    history = recent
    largest = BLOCK if batch.shape[0] <= MANY_ROWS else max(BLOCK, -(-batch.shape[0] // 200))
    start, size = 0, BLOCK
    named = {at: _named(columns[at], (standing or {}).get(columns[at].name)) for at in columns_at}
    running = {at: conversion for at, conversion in named.items() if conversion is not None}
    while start < batch.shape[0]:
        block = batch[start : start + size]
        clean = block.copy()
        # A large block is first asked through a sample: an honest one, the usual case, costs no more than a small one.
        step = -(-size // SAMPLE)
        changes = _in_block(columns, columns_at, history, block[::step], running)
        if step > 1 and changes:
            changes = _in_block(columns, columns_at, history, block, running)
        running = {at: change.conversion for at, change in changes.items() if change.where.size and change.where[-1]}
        for at, change in changes.items():
            where = np.zeros(batch.shape[0], dtype=bool)
            where[start : start + size] = change.where
            # Later blocks are compared with what these rows mean, not with what they say.
            clean[change.where, at] = change.conversion.scale * block[change.where, at] + change.conversion.offset
            if at in found and found[at].conversion == change.conversion:
                where |= found[at].where
            found[at] = UnitChange(change.column, change.conversion, where, change.now, change.undone, change.home, change.earlier)
        history = np.concatenate([history, clean[::step]])[-max(HISTORY, recent.shape[0], SAMPLE) :]
        start, size = start + size, min(2 * size, largest)
    return list(found.values())


def _named(column: Column, story: str | None) -> Conversion | None:
    return next((one for one in conversions(column.unit) if one.story == story), None) if story else None


def _can_change(column: Column) -> bool:
    return bool(column.quantiles) and column.quantiles[0] < column.quantiles[-1] and (column.low, column.high) != (0.0, 1.0)


def _skew(column: Column) -> float:
    """Length of the upper tail over that of the lower; 1 is even."""
    low, middle, high = column.quantiles[1], column.quantiles[3], column.quantiles[5]
    return (high - middle + 1e-12) / (middle - low + 1e-12)


def _is_uneven(column: Column) -> bool:
    return not 1 / SKEWED <= _skew(column) <= SKEWED


@dataclass(frozen=True, eq=False)
class _Home:
    """Where a column's values usually are: median and spread of its `view`."""

    column: Column
    is_log: bool
    middle: float
    spread: float

    def view(self, values: np.ndarray) -> np.ndarray:
        """Logarithms for quantities that cannot be negative: there a factor is a shift."""
        if not self.is_log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            seen: np.ndarray = np.log(np.where(values > 0, values, np.nan))
        return seen

    def distance(self, values: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (self.view(values) - self.middle) / self.spread
        return scaled


def _home(column: Column, values: np.ndarray) -> _Home:
    found = known(column.unit)
    # Without a unit, skew tells wind and rain from temperatures.
    is_log = column.quantiles[0] >= 0 and (_skew(column) > SKEWED if found is None else found[0] != "temperature")
    plain = _Home(column, is_log, 0.0, 1.0)
    reference = plain.view(np.array(column.quantiles))
    usual = (reference[5] - reference[1]) / 3.29  # 5% to 95% of a normal is 3.29 standard deviations
    if not np.isfinite(usual) or usual <= 0:
        usual = 1.0 if is_log else max(column.quantiles[-1] - column.quantiles[0], 1e-9) / 4.65
    seen = plain.view(values)
    seen = seen[np.isfinite(seen)]
    if seen.size < LEAST_HISTORY:
        return _Home(column, is_log, _median(reference[np.isfinite(reference)]), float(usual))
    centre = _median(seen)
    spread = 1.4826 * _median(np.abs(seen - centre))
    return _Home(column, is_log, centre, max(spread, (1.0 if _is_uneven(column) else 0.25) * float(usual)))


def _median(values: np.ndarray) -> float:
    """The upper median, without the overhead of np.median (40 microseconds a call)."""
    half = values.size // 2
    return float(np.partition(values, half)[half])


def _in_block(
    columns: list[Column], places: list[int], recent: np.ndarray, block: np.ndarray, running: dict[int, Conversion]
) -> dict[int, UnitChange]:
    rows = np.concatenate([recent, block])
    first = recent.shape[0]
    homes = {at: _home(columns[at], recent[:, at]) for at in places}
    distances = np.zeros((rows.shape[0], len(places)))
    for i, at in enumerate(places):
        distances[:, i] = np.clip(homes[at].distance(rows[:, at]), -1e6, 1e6)
    others = _Others.of(distances[: first - UNSURE]) if first - UNSURE >= LEAST_RELATED and len(places) > 1 else None
    changes: dict[int, UnitChange] = {}
    for at, conversion in running.items():
        i = places.index(at)
        beside = None if others is None else (others.residuals(distances)[:, i], others.pulls[i])
        lasting = _still(homes[at], conversion, rows[:, at], distances[:, i], beside, first)
        if lasting:
            changes[at], distances[:, i] = lasting
    impossible = [bool(_impossible(columns[at], block[:, at]).any()) for at in places]
    for _ in places:  # the clearest first; put right, it no longer casts doubt on its neighbours
        best: tuple[float, int, UnitChange, np.ndarray] | None = None
        related = None if others is None else others.residuals(distances)
        for i, at in enumerate(places):
            if at in changes:
                continue
            views = [(distances, 1.0)]
            if related is not None and others is not None:
                views.append((related, others.pulls[i]))
            for scaled, pull in views:
                if not (impossible[i] or _is_far(scaled[:, i], first)):
                    continue  # the usual case: nothing to explain
                seen = scaled[:, i]
                trial = _try(homes[at], rows[:, at], distances[:, i], seen, pull, first)
                if trial and (best is None or trial[0] > best[0]):
                    best = (trial[0], at, trial[1], trial[2])
        if best is None:
            break
        _, at, changes[at], put_right = best
        distances[:, places.index(at)] = put_right
    return changes


@dataclass(frozen=True, eq=False)
class _Others:
    """What the other columns say about each: conditional residuals of a normal with this inverse covariance."""

    inverse: np.ndarray
    pulls: np.ndarray

    @classmethod
    def of(cls, distances: np.ndarray) -> _Others:
        known_rows = np.clip(np.nan_to_num(distances), -4, 4)
        n, k = known_rows.shape
        covariance = known_rows.T @ known_rows / n
        share = 0.005 + 0.05 * k / n  # shrunk towards independence, a little: shrinking bends the relation where values are far out
        inverse = np.linalg.inv((1 - share) * covariance + share * np.diag(np.maximum(np.diag(covariance), 0.1)))
        return cls(inverse, np.sqrt(np.diag(inverse)))

    def residuals(self, distances: np.ndarray) -> np.ndarray:
        left: np.ndarray = np.nan_to_num(distances) @ self.inverse / self.pulls
        left[np.isnan(distances)] = np.nan
        return left


def _try(
    home: _Home, values: np.ndarray, distance: np.ndarray, seen: np.ndarray, pull: float, first: int
) -> tuple[float, UnitChange, np.ndarray] | None:
    """The most likely conversion of one column in the rows from `first` on, if any is certain."""
    column = home.column
    impossible = np.zeros(values.size, dtype=bool)
    impossible[first:] = _impossible(column, values[first:])
    is_told = known(column.unit) is not None
    strict = 1.0 if is_told and not _is_uneven(column) else STRICTER
    best = None
    for conversion in conversions(column.unit):
        undone = conversion.scale * values + conversion.offset
        back = home.distance(undone)
        back_seen = seen + pull * (back - distance)
        with np.errstate(invalid="ignore"):
            ratio = _ratio(home, conversion, seen, back_seen)
            ratio = np.where(np.isfinite(ratio), ratio, np.where(np.isfinite(distance), -CERTAIN, 0.0))
            # One value says little: only a column whose unit is known can be wrong in it by a single row.
            alone = impossible & (np.abs(back) <= ONE_HOME) & ~_outside(column, undone) & is_told
        where, score = _suffix(ratio, first)
        where &= np.isfinite(seen) & (ratio > 0)
        certain = (
            where.sum() >= strict * LEAST_ROWS
            and where[first:].any()
            and score >= strict * CERTAIN
            and np.median(np.abs(seen[where])) >= strict * FAR
            and np.median(np.abs(back_seen[where])) <= HOME + 1.5 / where.sum() ** 0.5
            and np.median(np.abs(back[where])) <= min(2 * HOME, np.median(np.abs(distance[where])))
            and (is_told or conversion.is_usual)
        )
        if certain:
            where = where | alone
        elif alone.any():
            where, score = alone, float(ratio[alone].sum())
        else:
            continue
        if best is None or score > best[0]:
            best = (score, _change(home, conversion, values, where, first), np.where(where, back, distance))
    return best


def _still(
    home: _Home, conversion: Conversion, values: np.ndarray, distance: np.ndarray, beside: tuple[np.ndarray, float] | None, first: int
) -> tuple[UnitChange, np.ndarray] | None:
    """A change that was certain in the block before lasts as long as the rows speak more for it than against it."""
    back = home.distance(conversion.scale * values + conversion.offset)
    seen, pull = beside or (distance, 1.0)
    ratio = np.nan_to_num(_ratio(home, conversion, seen, seen + pull * (back - distance)))
    total = np.cumsum(ratio[first:])
    if total.max() <= 0:
        return None
    where = np.zeros(values.size, dtype=bool)
    where[first : first + int(np.argmax(total)) + 1] = True
    where &= np.isfinite(values)
    return _change(home, conversion, values, where, first), np.where(where, back, distance)


def _change(home: _Home, conversion: Conversion, values: np.ndarray, where: np.ndarray, first: int) -> UnitChange:
    now = float(np.median(values[where]))
    usual = float(np.exp(home.middle)) if home.is_log else home.middle
    undone = conversion.scale * now + conversion.offset
    return UnitChange(home.column, conversion, where[first:], now, undone, usual, int(where[:first].sum()))


def _ratio(home: _Home, conversion: Conversion, seen: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Log likelihood ratio per row, undone against as delivered; on a logarithmic view a factor needs no Jacobian."""
    jacobian = 0.0 if home.is_log and conversion.offset == 0 else np.log(abs(conversion.scale))
    ratio: np.ndarray = _log_density(back) - _log_density(seen) + jacobian
    return ratio


def _log_density(distance: np.ndarray) -> np.ndarray:
    density: np.ndarray = -(FREEDOM + 1) / 2 * np.log1p(distance * distance / FREEDOM)
    return density


def _suffix(ratio: np.ndarray, first: int) -> tuple[np.ndarray, float]:
    """The stretch of rows with the largest sum that ends at `first` or later, and that sum."""
    total = np.concatenate([[0.0], np.cumsum(ratio)])
    lowest = np.minimum.accumulate(total)
    gain = total - lowest
    end = first + 1 + int(np.argmax(gain[first + 1 :]))
    begin = int(np.flatnonzero(total[: end + 1] == lowest[end])[-1])
    where = np.zeros(ratio.size, dtype=bool)
    where[begin:end] = True
    return where, float(gain[end])


def _outside(column: Column, values: np.ndarray) -> np.ndarray:
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    outside: np.ndarray = (values < low) | (values > high)
    return outside


def _impossible(column: Column, values: np.ndarray) -> np.ndarray:
    """Out of range, and not a code: -999, 9999 and the like mean "no value", but a thousandth of them would look like one."""
    outside = _outside(column, values)
    if outside.any():
        outside &= np.isfinite(values) & ~np.isin(np.abs(values), CODES)
    return outside


def _is_far(distance: np.ndarray, first: int) -> bool:
    """Some new row is far from home, and enough rows are in all."""
    far = np.abs(distance) >= FAR
    return bool(far[first:].any()) and int(far.sum()) >= LEAST_ROWS
