"""The last step of a scikit-learn model in a quick form: trees through treelite, straight lines as one product."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keepwell.model import Task

Answers = Callable[[Any], list[float]]
FORESTS = {
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
}
LINES = {"LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "HuberRegressor"}
LOGISTIC = {"LogisticRegression", "LogisticRegressionCV"}


def forest(estimator: Any, task: Task) -> Answers | None:
    """Trees read by treelite (the extra `fast`); None when it is not installed, or does not know them."""
    if type(estimator).__name__ not in FORESTS:
        return None
    try:
        import treelite
    except ImportError:
        return None
    try:
        model = treelite.sklearn.import_model(estimator)
    except (treelite.TreeliteError, NotImplementedError, ValueError, TypeError, AttributeError, RuntimeError):
        return None
    predict, is_rounded = treelite.gtil.predict, not type(estimator).__name__.startswith("Hist")

    def answer(matrix: Any) -> list[float]:
        if is_rounded:  # as scikit-learn does before it asks these trees: a value beside a threshold may fall on its other side
            matrix = np.asarray(matrix, np.float32).astype(np.float64)
        found = predict(model, matrix, nthread=1).reshape(len(matrix), -1)
        return [float(value) for value in found[:, -1]]

    return answer


def linear(estimator: Any, task: Task) -> Answers | None:
    """A linear or two-class logistic model; row by row, so that an answer does not depend on what is asked beside it."""
    kind = type(estimator).__name__
    if kind not in LINES | LOGISTIC:
        return None
    weights = np.asarray(estimator.coef_, np.float64)
    weights = weights.reshape(-1)
    offset = np.asarray(estimator.intercept_, np.float64).reshape(-1)
    if offset.size != 1 or weights.size != np.asarray(estimator.coef_).shape[-1]:
        return None
    start, is_chance = float(offset[0]), kind in LOGISTIC and task == "binary"
    if kind in LOGISTIC and not is_chance:
        return None

    def answer(matrix: Any) -> list[float]:
        sums = [float(row @ weights) + start for row in matrix]
        return [_chance(value) for value in sums] if is_chance else sums

    return answer


def _chance(score: float) -> float:
    if score >= 0:
        return 1.0 / (1.0 + math.exp(-score))
    power = math.exp(score)
    return power / (1.0 + power)
