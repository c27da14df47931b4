"""What answers a version's rows: the estimator itself, or a quicker form of it that has been shown to answer the same.

The seam is one method: rows in, one finite or non-finite float each out. Which form is taken is decided when a version is loaded,
by asking both the version's golden rows, each also with a value missing or never seen (`agreement.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import polars as pl

from keepwell.model import Task
from keepwell.serving.lookup import Prepared, prepared
from keepwell.serving.native import LightGBMRows, XGBoostRows
from keepwell.serving.signature import Row, Signature
from keepwell.serving.trees import forest, linear
from keepwell.training import NativeModel


class Runtime(Protocol):
    """Answers rows.

    Attributes
    ----------
    name : what it is, as the model's metadata say it.
    """

    name: str

    def answer(self, rows: Sequence[Row]) -> list[float]:
        """The answer to each row."""


class Frames:
    """The version itself, on frames: the reference that every other runtime is compared with."""

    name = "estimator"

    def __init__(self, ask: Callable[[pl.DataFrame], Any], signature: Signature) -> None:
        self._ask = ask
        self._schema = {name: getattr(pl, kind.split("(")[0], pl.String) for name, kind in signature.kinds.items()}

    def answer(self, rows: Sequence[Row]) -> list[float]:
        frame = pl.DataFrame(list(rows), schema=self._schema, orient="row")
        return [float(value) for value in self._ask(frame)]


class Matrix:
    """A model of a library of its own, asked with an array of numbers."""

    def __init__(self, model: NativeModel, order: Sequence[int] | None) -> None:
        self.name, self._model, self._order = model.format, model, order

    def answer(self, rows: Sequence[Row]) -> list[float]:
        held = np.array(rows, np.float64)
        found = self._model.answer(held if self._order is None else held[:, self._order])
        if found.ndim == 2:
            found = found[:, 1]
        return [float(value) for value in found]


class Compiled:
    """A scikit-learn pipeline: its fitted preprocessing as tables, its last step as trees or as one product."""

    def __init__(self, name: str, tables: Prepared, last: Callable[[Any], list[float]]) -> None:
        self.name, self._tables, self._last = name, tables, last

    def answer(self, rows: Sequence[Row]) -> list[float]:
        return self._last(self._tables(rows))


def quicker(estimator: Any, task: Task, signature: Signature) -> list[Runtime]:
    """Forms of the version that may be quicker than frames, the quickest first; none of them is trusted yet."""
    if isinstance(estimator, NativeModel):
        return _native(estimator, signature) if signature.is_numeric else []
    if not type(estimator).__module__.startswith("sklearn."):
        return []
    return _sklearn(estimator, signature, task)


def _native(model: NativeModel, signature: Signature) -> list[Runtime]:
    order = _order(model.feature_names, signature.names)
    found: list[Runtime] = []
    if model.format == "lightgbm":
        found += LightGBMRows.of(model, order)
    if model.format == "xgboost":
        found += XGBoostRows.of(model, order)
    return [*found, Matrix(model, order)]


def _order(wanted: Sequence[str] | None, given: Sequence[str]) -> list[int] | None:
    """Places of the model's columns in a row; None when they are the row's own."""
    if wanted is None:
        return None
    place = {name.replace(" ", "_"): at for at, name in enumerate(given)} | {name: at for at, name in enumerate(given)}
    order = [place[name] for name in wanted]
    return None if order == list(range(len(given))) else order


def _sklearn(estimator: Any, signature: Signature, task: Task) -> list[Runtime]:
    tables, last = prepared(estimator, signature)
    if tables is None:
        return []
    found: list[Runtime] = []
    for name, make in (("tables and product", linear), ("tables and trees", forest)):
        answer = make(last, task)
        if answer is not None:
            found.append(Compiled(name, tables, answer))
    return found
