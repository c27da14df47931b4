"""Feature frames in the form a model reads them: its own columns in its own order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from keepwell.errors import InputInvalid, SchemaMismatch


def column_order(found: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The found columns that `wanted` names, in that order; blanks may have become underscores, as LightGBM does.

    Raises
    ------
    SchemaMismatch : a wanted column is not there.
    """
    known = {name.replace(" ", "_"): name for name in found} | {name: name for name in found}
    missing = [name for name in wanted if name not in known]
    if missing:
        raise SchemaMismatch("The feature frame", missing, list(found), "The model was fitted on these columns.")
    return [known[name] for name in wanted]


def matrix(X: Any, names: Sequence[str] | None = None) -> NDArray[np.float64]:
    """A frame or array as float64 of shape (n, features); nulls become NaN.

    Raises
    ------
    SchemaMismatch : a column of `names` is not in the frame.
    InputInvalid : a column holds no numbers.
    """
    if isinstance(X, np.ndarray):
        return X.astype(np.float64, copy=False)
    if not isinstance(X, pl.DataFrame):
        return np.asarray(X[column_order(list(X.columns), names)] if names else X, np.float64)
    if names and X.columns != list(names):
        X = X.select(column_order(X.columns, names))
    strange = [name for name, kind in X.schema.items() if not (kind.is_numeric() or kind == pl.Boolean or kind == pl.Null)]
    if strange:
        raise InputInvalid(
            f"The model takes numbers, but {', '.join(strange)} has type {X.schema[strange[0]]}",
            "Encode it in `features`, or fit the estimator on a frame with named columns.",
        )
    if any(kind != pl.Float64 for kind in X.dtypes):
        X = X.select(pl.all().cast(pl.Float64))
    rows: NDArray[np.float64] = X.to_numpy()
    return rows


def named(X: pl.DataFrame, names: Sequence[str], frame: Literal["polars", "pandas"]) -> Any:
    """The frame with exactly the columns `names`, of the kind the estimator was fitted on."""
    if X.columns != list(names):
        X = X.select(column_order(X.columns, names))
    return X if frame == "polars" else X.to_pandas()
