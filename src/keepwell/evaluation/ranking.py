"""Area under the ROC curve, with an interval that allows for rows that resemble their neighbours."""

from __future__ import annotations

import numpy as np

from keepwell.evaluation.intervals import Floats, quantile, share_interval, spread


def auc_interval(y: Floats, p: Floats, *, level: float = 0.95) -> tuple[float, float, float]:
    """How often a positive row was given a higher answer than a negative one; ties count half.

    The interval is DeLong's (each row's placement among the other class), but its variance is the long-run one of the
    placements in time order; taken on the logit scale so that it stays inside [0, 1].

    Parameters
    ----------
    y : shape (n,), 0 or 1 with both present, in time order.
    p : shape (n,), answers.

    Returns
    -------
    (area, low, high). Cost: O(n log n).

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44. Sun, Xu (2014), IEEE Signal Processing Letters 21 (fast ranks).
    """
    from scipy.special import expit, logit  # on use, as in `intervals`

    positive = y == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    ranks = _ranks(p)
    above = np.empty(y.size)  # share of the other class that the row beats (positives) or is beaten by (negatives)
    above[positive] = (ranks[positive] - _ranks(p[positive])) / zeros
    above[~positive] = 1.0 - (ranks[~positive] - _ranks(p[~positive])) / ones
    area = float(above[positive].mean())
    if not 0.0 < area < 1.0:
        return area, *share_interval(area, min(ones, zeros), level=level)
    influence = (above - area) * np.where(positive, y.size / ones, y.size / zeros)
    error, freedom = spread(influence)
    half = quantile(0.5 + level / 2, freedom) * error / (area * (1 - area))
    return area, float(expit(logit(area) - half)), float(expit(logit(area) + half))


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, ties share their mean. (scipy.stats has it too, but takes half a second to load.)"""
    _, where, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2)[where]
    return ranks
