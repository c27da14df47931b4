"""Which values of `[train]` are best: those of `[search]`, tried on rows that come after the ones they were fitted on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from sklearn.model_selection import ParameterGrid

from keepwell.errors import EmptyWindow
from keepwell.model import Model
from keepwell.training.answers import answers
from keepwell.training.fit import fit
from keepwell.training.prepare import inputs_and_labels

JUDGED = 0.25  # newest share of the training rows; fewer say little, more leave little to learn from
LEAST = 20  # rows on either side


def search(
    model: Model,
    rows: pl.DataFrame,
    *,
    settings: dict[str, Any],
    choices: Mapping[str, Sequence[Any]],
    seed: int,
    loss: Callable[[np.ndarray, np.ndarray], float],
) -> dict[str, Any]:
    """Fit with every combination on the older rows and judge it on the newest quarter; the holdout stays unseen.

    A forward split and not folds: a fold would let the model learn from what comes after the rows that judge it. Labels that
    were not known when the judged rows begin are left out of the fit. Of equal combinations the first wins.

    Parameters
    ----------
    rows : training rows (entity, time, label, features...) in time order.
    settings : the free table ``[train]``; the combination goes over it.
    choices : name -> values, as ``[search]`` has them.
    loss : mean loss of (labels, answers); smaller is better.

    Returns
    -------
    `settings`: ``[train]`` with the best combination; `tried`: each combination with its loss; `rows`: how many judged.

    Raises
    ------
    EmptyWindow : too few rows on either side.
    FunctionBroken, EstimatorInvalid : as `fit`, for the combination that is said in it.
    """
    since = rows[model.time][int(rows.height * (1 - JUDGED))]
    older = rows.filter(pl.col(model.time) <= since - timedelta(days=model.horizon_days))
    newest = rows.filter(pl.col(model.time) > since)
    if min(older.height, newest.height) < LEAST:
        raise EmptyWindow(f"The search in {rows.height} training rows", min(older.height, newest.height), LEAST)
    X, y = inputs_and_labels(newest)
    tried = []
    for combination in ParameterGrid({name: list(values) for name, values in choices.items()}):
        estimator = fit(model, older, settings={**settings, **combination}, seed=seed)
        tried.append({"values": combination, "loss": float(loss(y, answers(estimator, X, model.task, frame=model.frame)))})
    best = min(tried, key=lambda one: one["loss"] if math.isfinite(one["loss"]) else math.inf)
    return {"settings": {**settings, **best["values"]}, "values": best["values"], "tried": tried, "rows": newest.height}
