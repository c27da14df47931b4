"""Rows that do not come, or come twice: worth a note, whatever their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keepwell.diagnosis import Cause
from keepwell.monitoring.memory import KEY, Kept

if TYPE_CHECKING:
    from keepwell.monitoring.signals import Signal
    from keepwell.monitoring.watch import Watch

FEW, TWICE = 0.75, 0.10
BATCHES = 3


def arrivals_note(watch: Watch, batch: Kept | None, number: int) -> Signal | None:
    """A note when rows stay away (over three batches) or repeat themselves; once until it is over."""
    expected = BATCHES * watch.reference.rows_a_batch
    diff = watch.reference.place("diff")
    came = float(watch.series.counts[-BATCHES:, diff].sum())
    is_out = came < FEW * expected and came < expected - 3 * np.sqrt(expected)
    words = f"{came:.0f} rows came in {BATCHES} batches, {expected:.0f} are usual"
    if (found := _once(watch, "outage", is_out, number, words)) is not None:
        return found
    rows = batch.frame.height if batch is not None else 0
    twice = 0
    if batch is not None:
        names = [name for name in batch.frame.columns if name != KEY or watch.key is None]
        # Two equal rows are one too many, not two.
        twice = rows - batch.frame.select(names).n_unique()
    share = twice / max(rows, 1)
    return _once(watch, "duplicate_rows", share > TWICE and twice >= 2, number, f"{share:.0%} of the rows came twice")


def _once(watch: Watch, kind: str, is_so: bool, number: int, words: str) -> Signal | None:
    if not is_so:
        if number - watch.noted.get(kind, number) > 7:
            watch.noted.pop(kind, None)
        return None
    is_new = kind not in watch.noted
    watch.noted[kind] = number
    return watch.signal("note", number, [Cause(kind, detail=words)]) if is_new else None
