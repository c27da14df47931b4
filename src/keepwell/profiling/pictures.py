"""The shares that a small picture of a column shows, before and after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keepwell.profiling.columns import Column
from keepwell.profiling.rulers import Floats, NumberRuler, WordRuler

BARS, WORDS = 32, 8
Bars = tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]


def bars(before: Column, after: Column) -> Bars:
    """Labels, shares before and shares after: of equal steps of value, or of the most frequent words.

    Steps reach from the 0.5 % to the 99.5 % quantile of both sides; their labels are their ends, one more than there are shares. All
    three are empty where there is one value only.
    """
    if isinstance(before.ruler, WordRuler):
        shown = np.argsort(-np.maximum(_share(before), _share(after)), kind="stable")[:WORDS]
        names = tuple(before.ruler.watched[place] for place in shown)
        return names, _floats(_share(before)[shown]), _floats(_share(after)[shown])
    assert isinstance(before.ruler, NumberRuler)
    ends = np.concatenate([column.quantiles((0.005, 0.995)) for column in (before, after)])
    pad = float(ends.max() - ends.min()) / (2 * BARS)
    steps = np.linspace(ends.min() - pad, ends.max() + pad, BARS + 1)
    if not pad > 0 or not np.isfinite(steps).all():
        return (), (), ()
    return tuple(f"{step:.4g}" for step in steps), _floats(_heights(before, steps)), _floats(_heights(after, steps))


def _heights(column: Column, steps: Floats) -> Floats:
    """The share of values within each step: those of a cell with one value stand at it, those of other cells evenly."""
    assert isinstance(column.ruler, NumberRuler)
    low, high, _, _ = column.moment()
    fine, atoms = column.fine.sum(axis=0), dict(column.ruler.atoms)
    single = np.array([cell in atoms for cell in range(fine.size)])
    standing, _ = np.histogram([atoms[int(cell)] for cell in np.flatnonzero(single)], bins=steps, weights=fine[single])
    reached = np.concatenate(([0.0], np.cumsum(np.where(single, 0, fine))))
    spread_out = np.diff(np.interp(steps, np.clip(column.ruler.edges(), low, high), reached))
    return np.asarray((standing + spread_out) / column.count("values"), dtype=np.float64)


def _share(column: Column) -> Floats:
    return np.asarray(column.fine.sum(axis=0) / column.count("values"), dtype=np.float64)


def _floats(values: Floats | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
