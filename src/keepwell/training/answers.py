"""Ask any estimator for its answers, one row or many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from keepwell.errors import EmptyWindow, EstimatorInvalid
from keepwell.model import Task
from keepwell.training.boosters import FEW_ROWS, native
from keepwell.training.rows import matrix, named

Floats = NDArray[np.float64]


def answers(estimator: Any, X: pl.DataFrame, task: Task, *, frame: Literal["polars", "pandas"] = "polars") -> Floats:
    """The estimator's answer to each row.

    Parameters
    ----------
    estimator : fitted, or loaded by `formats.load`.
    X : n rows of features. The estimator gets a frame when it was fitted on named columns (in its own order), else a
        float64 array.
    task : "binary" gives the probability of class 1 (`predict` when there is no `predict_proba`), "regression" the
        prediction.
    frame : kind of frame for estimators fitted on named columns.

    Returns
    -------
    Shape (n,), float64.

    Raises
    ------
    SchemaMismatch : a column the estimator was fitted on is missing.
    EstimatorInvalid : it cannot predict, or answers with another shape.
    """
    if not X.height:
        return np.empty(0)
    booster = native(estimator)
    if booster is not None:
        found = booster.answer(booster.rows(X))
        return _one_class(estimator, found) if task == "binary" and found.ndim == 2 else _flat(estimator, found, X.height)
    names = getattr(estimator, "feature_names_in_", None)
    given = matrix(X) if names is None else named(X, list(names), frame)
    with _threads(estimator, X.height):
        if task == "binary" and hasattr(estimator, "predict_proba"):
            return _one_class(estimator, np.asarray(estimator.predict_proba(given), np.float64))
        if not hasattr(estimator, "predict"):
            raise EstimatorInvalid(type(estimator).__name__, "predict")
        return _flat(estimator, np.asarray(estimator.predict(given), np.float64), X.height)


def _one_class(estimator: Any, chances: Floats) -> Floats:
    if chances.ndim == 2 and chances.shape[1] == 2:
        return chances[:, 1]
    classes = getattr(estimator, "classes_", None)
    if chances.ndim == 2 and chances.shape[1] == 1 and classes is not None:
        return np.full(len(chances), float(classes[0]))  # fitted on labels of one kind only
    if chances.ndim == 1:
        return chances
    raise EstimatorInvalid(f"{type(estimator).__name__} with {chances.shape[1]} classes", "probability of one class 1")


def _flat(estimator: Any, found: Floats, n: int) -> Floats:
    if found.size != n:
        raise EstimatorInvalid(f"{type(estimator).__name__} whose answers have shape {found.shape}", "single answer per row")
    return found.reshape(n)


@contextmanager
def _threads(estimator: Any, n: int) -> Iterator[None]:
    """For few rows, one thread: histogram boosting wakes all of them once per tree, which costs more than the tree."""
    if n >= FEW_ROWS:
        yield
        return
    with _controller(f"{type(estimator).__module__}.{type(estimator).__name__}").limit(limits=1, user_api="openmp"):
        yield


@lru_cache(maxsize=64)
def _controller(kind: str) -> Any:
    """Found once per type (its libraries are loaded by then), since looking for the loaded libraries takes longer than an answer."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def latency_ms(estimator: Any, X: pl.DataFrame, task: Task, *, tries: int = 30, frame: Literal["polars", "pandas"] = "polars") -> float:
    """Median time of one single-row answer, milliseconds; wall time, after one answer to warm up.

    Raises
    ------
    EmptyWindow : there is no row to ask for.
    """
    if not X.height:
        raise EmptyWindow("The frame to measure latency on", 0, 1)
    rows = [X[i % X.height : i % X.height + 1] for i in range(tries)]
    answers(estimator, rows[0], task, frame=frame)
    taken = []
    for row in rows:
        start = time.perf_counter()
        answers(estimator, row, task, frame=frame)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken)) * 1e3
