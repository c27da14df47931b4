"""Hold one profile against another: how far each column moved, and which ones to list."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from keepwell.errors import ProfilesDiffer
from keepwell.profiling.columns import NO_TIME, VALUES, Column
from keepwell.profiling.drift import (
    FEWEST_BATCHES,
    Series,
    chi_square,
    e_bh,
    e_of_batches,
    e_of_rows,
    jensen_shannon,
    kolmogorov_smirnov,
    psi,
    psi_by_chance,
    wasserstein,
)
from keepwell.profiling.page import Bars, bars, page
from keepwell.profiling.profiles import Profile
from keepwell.profiling.rulers import NumberRuler
from keepwell.profiling.words import comparison_markdown, comparison_table, evidence, told

LEVEL = 0.1  # false listings among the listed, on average
SMALLEST_PSI = 0.02  # a move below it is not worth a line, however sure
SMALLEST_MISSING = 0.01  # the same for the share of missing values


@dataclass(frozen=True, kw_only=True)
class ColumnComparison:
    """One column, before and after.

    Parameters
    ----------
    state : compared, gone, new, changed kind, or empty (no values on one side).
    measures : psi, psi_by_chance, jensen_shannon; of numbers ks, ks_error, wasserstein (in standard deviations of the reference), shift
        (of the mean, likewise), widening (ratio of standard deviations); of words chi_square, freedom.
    before, after : counts and moments of each side.
    e_value : the evidence; its mean is at most 1 when nothing changed.
    is_large : whether the move is worth a line.
    is_listed : whether it is large and the evidence suffices among all columns; also what is gone, new or of another kind.
    bars : (labels, shares before, shares after) for a small picture.
    """

    name: str
    kind: str
    state: str
    measures: dict[str, float] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    e_value: float = 1.0
    is_large: bool = False
    is_listed: bool = False
    sentence: str = ""
    bars: Bars = ((), (), ())


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table now, held against a table before: its columns, the listed ones first, then by how far they moved.

    Parameters
    ----------
    unit : what counts as a witness: "batches", "rows", or "none" where there are too few batches to prove anything.
    """

    rows: tuple[int, int]
    batches: tuple[int, int]
    every: str
    unit: str
    level: float
    columns: tuple[ColumnComparison, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        """The names of the listed columns."""
        return tuple(column.name for column in self.columns if column.is_listed)

    @property
    def evidence(self) -> str:
        """What the listing rests on, in a sentence; also that there is too little to prove anything."""
        return evidence(self)

    def as_dict(self) -> dict[str, Any]:
        """All numbers, as JSON has them."""
        return {**asdict(self), "listed": list(self.listed), "columns": [asdict(column) for column in self.columns]}

    def as_markdown(self) -> str:
        """For a pull request or a report."""
        return comparison_markdown(self)

    def _repr_html_(self) -> str:
        """For a notebook, and the page that `keepwell profile --html` writes."""
        return page(self)

    def __rich__(self) -> Any:
        """For the terminal."""
        return comparison_table(self)


def compare(reference: Profile, current: Profile, *, level: float = LEVEL) -> Comparison:
    """Say which columns of a table changed, how, and how far.

    A column is listed when its move is large enough to matter and its evidence stands among that of all columns, so that of the listed
    ones on average at most a share `level` is false. With a time column, batches are the evidence; without, rows.

    Parameters
    ----------
    reference, current : the latter profiled with `reference=`, so that both have the same rulers.
    level : the allowed share of false listings, a fraction.

    Raises
    ------
    ProfilesDiffer : when a column of both was measured with different rulers.
    """
    unit = _unit(reference, current)
    names = list(dict.fromkeys([*reference.columns, *current.columns]))
    found = [_column(name, reference, current, unit) for name in names]
    tested = [place for place, one in enumerate(found) if one.state == "compared"]
    proven = e_bh([found[place].e_value for place in tested], level) if tested else []
    for place, is_proven in zip(tested, proven, strict=True):
        found[place] = replace(found[place], is_listed=is_proven and found[place].is_large)
    made = [replace(one, sentence=told(one)) for one in found]
    made.sort(key=lambda one: (not one.is_listed, -one.measures.get("psi", 0.0)))
    batches = (len(reference.batches), len(current.batches))
    return Comparison(
        rows=(reference.height, current.height), batches=batches, every=reference.every, unit=unit, level=level, columns=tuple(made)
    )


def _unit(reference: Profile, current: Profile) -> str:
    if reference.time is None or current.time is None:
        return "rows"
    return "batches" if min(len(reference.batches), len(current.batches)) >= FEWEST_BATCHES else "none"


def _column(name: str, reference: Profile, current: Profile, unit: str) -> ColumnComparison:
    before, after = reference.columns.get(name), current.columns.get(name)
    if before is None or after is None:
        there = before or after
        assert there is not None
        state = "new" if before is None else "gone"
        sides = {} if before is None else _side(before), {} if after is None else _side(after)
        return ColumnComparison(name=name, kind=there.kind, state=state, before=sides[0], after=sides[1], is_large=True, is_listed=True)
    if before.kind != after.kind or before.ruler != after.ruler:
        raise ProfilesDiffer(f"column '{name}' was measured with another ruler")
    found = ColumnComparison(name=name, kind=before.kind, state="compared", before=_side(before), after=_side(after))
    if after.count("odd") > after.count("values") and before.count("odd") <= before.count("values"):
        return replace(found, state="changed kind", is_large=True, is_listed=True)
    missing = found.after["missing"] - found.before["missing"]
    if before.ruler is None or not before.count("values") or not after.count("values"):
        lost = abs(missing) >= SMALLEST_MISSING and before.ruler is not None
        e_value = _evidence(before, after, reference, current, unit)
        return replace(found, state="compared" if lost else "empty", is_large=lost, e_value=e_value)
    measures = _measures(before, after)
    is_large = measures["psi"] - measures["psi_by_chance"] >= SMALLEST_PSI or abs(missing) >= SMALLEST_MISSING
    e_value = _evidence(before, after, reference, current, unit)
    return replace(found, measures=measures, e_value=e_value, is_large=bool(is_large), bars=bars(before, after))


def _side(column: Column) -> dict[str, Any]:
    values, rows = column.count("values"), int(column.counts.sum())
    found: dict[str, Any] = {"type": column.dtype, "values": values, "missing": (rows - values) / rows if rows else 0.0}
    if isinstance(column.ruler, NumberRuler) and values:
        low, high, mean, sd = column.moment()
        found |= {"min": low, "max": high, "mean": mean, "sd": sd if np.isfinite(sd) else None}
    return found


def _measures(before: Column, after: Column) -> dict[str, float]:
    one, two = before.bins.sum(axis=0), after.bins.sum(axis=0)
    found = {"psi": psi(one, two), "psi_by_chance": psi_by_chance(one, two), "jensen_shannon": jensen_shannon(one, two)}
    if isinstance(before.ruler, NumberRuler):
        fine, other = before.fine.sum(axis=0), after.fine.sum(axis=0)
        found["ks"], found["ks_error"] = kolmogorov_smirnov(fine, other)
        (low, high, mean, sd), (least, most, moved, wide) = before.moment(), after.moment()
        if sd > 0 and np.isfinite(sd):
            edges = np.clip(before.ruler.edges(), min(low, least), max(high, most))
            found["wasserstein"] = wasserstein(edges, fine, other, scale=sd)
            found |= {"shift": (moved - mean) / sd, "widening": wide / sd}
    else:
        statistic, freedom = chi_square(one, two)
        found |= {"chi_square": statistic, "freedom": float(freedom)}
    return {key: value for key, value in found.items() if np.isfinite(value)}


def _evidence(before: Column, after: Column, reference: Profile, current: Profile, unit: str) -> float:
    is_ordered = isinstance(before.ruler, NumberRuler)
    if unit == "none":
        return 1.0
    if unit == "rows":
        cells = (before.fine.sum(axis=0), after.fine.sum(axis=0)) if is_ordered else (before.bins.sum(axis=0), after.bins.sum(axis=0))
        missing = [(int(one.counts.sum()) - one.count("values"), int(one.counts.sum())) for one in (before, after)]
        return e_of_rows(*cells, (missing[0], missing[1]), is_ordered=is_ordered)
    return e_of_batches(_series(before, reference), _series(after, current), is_ordered=is_ordered)


def _series(column: Column, profile: Profile) -> Series:
    """A column batch by batch, over all slices; rows without a time are in none."""
    timed = [place for place, (batch, _) in enumerate(profile.segments) if batch != NO_TIME]
    names = [profile.segments[place][0] for place in timed]
    first = [place for place, name in enumerate(names) if place == 0 or name != names[place - 1]]
    bins = np.add.reduceat(column.bins[timed], first, axis=0)
    counts = np.add.reduceat(column.counts[timed], first, axis=0)
    rows = counts.sum(axis=1)
    return Series(bins, 1 - counts[:, VALUES] / np.maximum(rows, 1), rows)
