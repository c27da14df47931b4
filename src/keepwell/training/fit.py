"""Call the scientist's `train`, and insist that what it returns can answer."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import polars as pl

from keepwell.errors import EstimatorInvalid, FunctionBroken, KeepwellError
from keepwell.ingestion import to_kind
from keepwell.model import Model
from keepwell.training.prepare import inputs_and_labels


def fit(model: Model, rows: pl.DataFrame, *, settings: dict[str, Any], seed: int) -> Any:
    """A fitted estimator.

    Parameters
    ----------
    rows : training rows (entity, time, label, features...).
    settings : the free table ``[train]``.
    seed : handed to `train`; the global generators of `random` and NumPy are seeded with it as well.

    Raises
    ------
    FunctionBroken : `train` raised.
    EstimatorInvalid : it returned something without `predict` (or, for a binary task, without probabilities).
    """
    X, y = inputs_and_labels(rows)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        estimator = model.train(to_kind(X, model.frame), y, settings=dict(settings), seed=seed)
    except KeepwellError:
        raise
    except Exception as error:
        raise FunctionBroken("train", f"raised {type(error).__name__}: {error}") from error
    check_estimator(estimator)
    return estimator


def check_estimator(estimator: Any) -> None:
    """Refuse what cannot answer.

    Raises
    ------
    EstimatorInvalid : it has no `predict`; native ONNX models answer through their own session and are let through.
    """
    if type(estimator).__module__.split(".")[0].startswith("onnx"):
        return
    if not callable(getattr(estimator, "predict", None)):
        raise EstimatorInvalid(f"{type(estimator).__module__}.{type(estimator).__qualname__}", "predict")
