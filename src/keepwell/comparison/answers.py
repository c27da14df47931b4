"""Two models' answers to the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class AnswerChange:
    """How answers changed: of `rows`, `changed` differ; sizes are absolute; `crossed` went over `threshold`.

    `slices` holds (name, rows, share changed, mean size) of each slice, largest mean size first.
    """

    rows: int
    changed: int
    mean: float
    largest: float
    crossed: int
    threshold: float
    slices: tuple[tuple[str, int, float, float], ...]

    @property
    def sentence(self) -> str:
        """The change in words."""
        if not self.changed:
            return f"all {self.rows:,} answers are the same"
        share = self.changed / self.rows
        crossed = f", {self.crossed:,} across {self.threshold:g}" if self.crossed else ""
        return f"{share:.0%} of {self.rows:,} answers differ, by {self.mean:.3g} on average and {self.largest:.3g} at most{crossed}"


def answer_change(before: np.ndarray, after: np.ndarray, slices: pl.DataFrame | None = None, threshold: float = 0.5) -> AnswerChange:
    """Compare answers of shape (n,); rows that one side could not answer (NaN) are left out.

    Parameters
    ----------
    slices : n rows; each column's values name slices.
    threshold : an answer that goes from below it to above, or back, has crossed.
    """
    there = np.isfinite(before) & np.isfinite(after)
    apart = np.abs(after - before)
    crossed = (before < threshold) != (after < threshold)
    parts = []
    for column in slices.iter_columns() if slices is not None else ():
        for value in column.unique().drop_nulls().sort().to_list():
            mine = there & (column == value).fill_null(value=False).to_numpy()
            if mine.any():
                parts.append((f"{column.name} = {value}", int(mine.sum()), float((apart[mine] > 0).mean()), float(apart[mine].mean())))
    parts.sort(key=lambda part: -part[3])
    apart = apart[there]
    return AnswerChange(
        int(apart.size),
        int((apart > 0).sum()),
        float(apart.mean()) if apart.size else 0.0,
        float(apart.max(initial=0.0)),
        int(crossed[there].sum()),
        threshold,
        tuple(parts),
    )
