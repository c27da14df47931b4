"""Rows that do not come, or come twice; labels that come late, or of some rows only: worth a note, whatever their values."""

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
LABELLED, PATIENCE = 0.9, 1.5  # share of a batch's labels with which it is tested, and label delays after which with those that are in
SELECTED, SURELY, NEWEST, LEAST, MOST = 0.1, 3.0, 30, 20, 1_000  # of the reference's loss; standard errors; batches; rows


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


def labels_note(watch: Watch, number: int) -> Signal | None:
    """A note when labels that are due are not in, or when they come of other rows than the rest; once until it is over.

    Labels of the easier rows only make a model look better than it is. Whose labels came and whose did not is told by the loss to expect of
    them, which needs no label.
    """
    kept, ref = watch.kept, watch.reference
    is_known = np.isfinite(kept.label)
    delay = watch.label_delay_days
    if delay is not None:
        due = number - int(np.ceil(PATIENCE * delay / ref.width)) - 1
        share = float(is_known[kept.batch == due].mean()) if (kept.batch == due).any() else 1.0
        words = f"{share:.0%} of the labels are in {(number - due) * ref.width:.0f} days after their rows, {delay:.0f} are usual"
        if (found := _once(watch, "late_labels", share < LABELLED, number, words)) is not None:
            return found
    if not watch.tested:
        return None
    lately = (kept.batch > watch.tested[-1] - NEWEST) & (kept.batch <= watch.tested[-1])
    sides = [np.flatnonzero(lately & known) for known in (is_known, ~is_known)]
    sides = [side[:: len(side) // MOST + 1] for side in sides]  # it is asked at each batch
    if min(len(side) for side in sides) < LEAST:
        return None
    expected = [ref.outcome.expected(kept.answer[side], ref.conditionals.basis(kept.rows.take(side))) for side in sides]
    apart = float(expected[0].mean() - expected[1].mean())
    error = float(np.sqrt(sum(values.var() / len(values) for values in expected)))
    is_selected = abs(apart) > SELECTED * ref.outcome.loss and abs(apart) > SURELY * error
    words = (
        f"rows whose labels came are {'harder' if apart > 0 else 'easier'} than the others: the loss to expect differs by {abs(apart):.3f}"
    )
    return _once(watch, "selective_labels", is_selected, number, words)


def _once(watch: Watch, kind: str, is_so: bool, number: int, words: str) -> Signal | None:
    if not is_so:
        if number - watch.noted.get(kind, number) > 7:
            watch.noted.pop(kind, None)
        return None
    is_new = kind not in watch.noted
    watch.noted[kind] = number
    return watch.signal("note", number, [Cause(kind, detail=words)]) if is_new else None
