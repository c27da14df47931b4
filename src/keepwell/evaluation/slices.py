"""The same scores for parts of the rows: each station, each season, each kind of customer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from keepwell.errors import SchemaMismatch
from keepwell.evaluation.metrics import Metric, score
from keepwell.model import Task


@dataclass(frozen=True)
class SliceScore:
    """The scores of the rows where `column` is `value`."""

    column: str
    value: str
    n: int
    metrics: dict[str, Metric]


def by_slice(task: Task, y: ArrayLike, p: ArrayLike, slices: pl.DataFrame, *, level: float = 0.95) -> list[SliceScore]:
    """Score every value of every slice column.

    Parameters
    ----------
    y, p : shape (n,), labels and answers in time order.
    slices : n rows, one column per way of slicing; a null is a slice of its own, named "(missing)".

    Returns
    -------
    One `SliceScore` per value, in column order, then by value.

    Raises
    ------
    SchemaMismatch : the frame has another number of rows.
    """
    y, p = np.asarray(y, np.float64), np.asarray(p, np.float64)
    if slices.width and slices.height != y.size:
        raise SchemaMismatch("The frame of slices", [f"{y.size} rows"], [f"{slices.height} rows"])
    return [SliceScore(column, value, rows.size, score(task, y[rows], p[rows], level=level)) for column, value, rows in members(slices)]


def members(slices: pl.DataFrame) -> Iterator[tuple[str, str, NDArray[np.intp]]]:
    """Each (column, value) with the positions of its rows, in row order."""
    for column in slices.columns:
        values = slices[column].cast(pl.String).fill_null("(missing)").to_numpy()
        names, codes = np.unique(values.astype(str), return_inverse=True)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes, minlength=names.size))
        for name, rows in zip(names, np.split(order, ends[:-1]), strict=True):
            yield column, str(name), rows
