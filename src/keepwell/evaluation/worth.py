"""Does each feature earn its place? How much worse the answers get when one feature's values are exchanged among the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from keepwell.evaluation.intervals import Floats, mean_interval
from keepwell.evaluation.metrics import losses

MOST_ROWS = 2000  # of the newest held-out rows; more cost time and change little
MOST_FEATURES = 200
DEALS = 8  # of each feature, averaged: one deal alone adds as much noise as there is to see


def worth(
    answer: Callable[[pl.DataFrame], Floats], X: pl.DataFrame, y: Floats, *, metric: str, seed: int, level: float = 0.95
) -> list[dict[str, Any]]:
    """Permutation value of each feature on rows the model was not trained on.

    The rise of the loss, row by row, when the feature's values are dealt out anew; its interval allows for neighbouring rows being
    alike, and is widened for the number of features (Bonferroni), so that of features without any value all are called so with
    probability `level`. Of two features that say the same, neither may seem to be worth anything.

    Returns
    -------
    One row per feature, the most valuable first: `feature`, `gain` (rise of the mean loss), `low`, `high`, `is_useful` (`low` > 0).
    Empty where there are fewer than 30 rows or too many features.

    References
    ----------
    Fisher, Rudin, Dominici (2019), All Models are Wrong, but Many are Useful, JMLR 20.
    """
    if X.height < 30 or not 0 < X.width <= MOST_FEATURES:
        return []
    X, y = X.tail(MOST_ROWS), y[-MOST_ROWS:]
    base = losses(metric, y, answer(X))
    found = []
    for place, name in enumerate(X.columns):
        draw = np.random.default_rng([seed, place])
        dealt = [X.with_columns(X[name].gather(draw.permutation(X.height))) for _ in range(DEALS)]
        rise = np.mean([losses(metric, y, answer(rows)) for rows in dealt], axis=0) - base
        there = rise[np.isfinite(rise)]
        gain, low, high = mean_interval(there, level=1 - (1 - level) / X.width) if there.size > 1 else (0.0, 0.0, 0.0)
        found.append({"feature": name, "gain": gain, "low": low, "high": high, "is_useful": bool(low > 0)})
    return sorted(found, key=lambda row: -row["gain"])
