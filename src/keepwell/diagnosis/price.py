"""What does a broken column cost? The model is asked again with the column repaired; no label is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from keepwell.detection import Rows
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.isolation import repaired

Undo = Callable[[np.ndarray], np.ndarray]


def as_frame(contrast: Contrast, rows: Rows, columns: list[str]) -> pl.DataFrame:
    """The case's frame of both sides with some columns as `rows` has them."""
    reference = contrast.case.reference
    frame = contrast.case.frame[np.r_[contrast.before, contrast.after]]
    changed = []
    for place, column in enumerate(reference.columns.numbers):
        if column.name in columns and frame.schema[column.name].is_numeric():
            values = pl.Series(column.name, rows.numbers[:, place])
            changed.append(values.fill_nan(None))
    for place, column in enumerate(reference.columns.categories):
        if column.name in columns:
            codes, was = rows.codes[:, place], contrast.both.codes[:, place]
            told = [column.levels[code] if code >= 0 else None for code in codes]
            old = frame[column.name].cast(pl.String, strict=False).to_list()
            values = pl.Series(column.name, [new if code != before else kept for new, code, before, kept in zip(told, codes, was, old, strict=True)])
            changed.append(values.cast(frame.schema[column.name], strict=False))
    return frame.with_columns(changed)


def price(contrast: Contrast, column: str, others: list[str], undo: Undo | None = None) -> tuple[float, float] | None:
    """Expected regret of answering with a broken column, per row since the onset, beyond what repairing costs before it.

    Parameters
    ----------
    others : columns repaired on both sides, so that only this one is priced.
    undo : maps a broken value back; where it is known the repair is exact, else the column is told by the others.

    Returns
    -------
    (harm, standard error) in the loss's unit, or None when the model cannot be asked.
    """
    case = contrast.case
    if case.predict is None:
        return None
    base = repaired(contrast, others) if others else contrast.both
    fixed = repaired(contrast, [column], base)
    if undo is not None:
        place = next(at for at, one in enumerate(case.reference.columns.numbers) if one.name == column)
        numbers = base.numbers.copy()
        numbers[contrast.is_after, place] = undo(numbers[contrast.is_after, place])
        fixed = Rows(base.time, base.entity, numbers, base.codes)
    before = np.asarray(case.predict(as_frame(contrast, base, others)))
    after = np.asarray(case.predict(as_frame(contrast, fixed, [*others, column])))
    cost = case.reference.outcome.divergence(after, before)
    index = np.r_[contrast.before, contrast.after]
    post, post_error = contrast.mean_by_batch(cost[contrast.is_after], index[contrast.is_after])
    pre, pre_error = contrast.mean_by_batch(cost[~contrast.is_after], index[~contrast.is_after]) if len(contrast.before) else (0.0, 0.0)
    return post - pre, float(np.hypot(post_error, pre_error))
