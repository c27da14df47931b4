"""Do the probabilities mean what they say?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keepwell.evaluation.intervals import Floats, mean_interval, quantile, spread

Interval = tuple[float, float, float]
ROWS_PER_BIN = 50  # with fewer the noise of the bins alone looks like a calibration error of 0.1
MOST_BINS = 10


def bins(p: Floats) -> tuple[NDArray[np.intp], int]:
    """Equal-mass bins of the answers; equal answers always share one. Returns each row's bin and the number of bins."""
    count = int(np.clip(p.size // ROWS_PER_BIN, 2, MOST_BINS))
    edges = np.unique(np.quantile(p, np.arange(1, count) / count))
    return np.searchsorted(edges, p, side="right"), edges.size + 1


def calibration_error(y: Floats, p: Floats, *, level: float = 0.95) -> Interval:
    """Expected calibration error: the mean distance between answer and frequency over equal-mass bins.

    With 2 to 10 bins of about 50 rows. It is never below the noise of the bins: about 0.05 for a perfect model with 50
    rows a bin. The interval holds the direction of each bin's error fixed, and allows for resembling neighbours.

    Returns
    -------
    (error, low, high), fractions.

    References
    ----------
    Nixon et al. (2019), Measuring Calibration in Deep Learning (equal-mass bins).
    """
    where, count = bins(p)
    gaps = np.bincount(where, weights=y - p, minlength=count)
    # The mean of these row values is exactly sum over bins of share * |frequency - mean answer|.
    signed = np.sign(gaps)[where] * (y - p)
    error, low, high = mean_interval(signed, level=level)
    return error, float(np.maximum(low, 0.0)), high


def calibration_line(y: Floats, p: Floats, *, level: float = 0.95) -> tuple[Interval, Interval] | None:
    """Slope and intercept of the logistic line from the answers' log odds to the labels (answers clipped to [0.01, 0.99]).

    Slope below 1: the answers are too extreme; intercept below 0: they are too high. Intervals come from each row's
    influence on the fit, in time order.

    Returns
    -------
    ((slope, low, high), (intercept, low, high)), or None when the answers do not vary or part the classes perfectly.

    References
    ----------
    Cox (1958), Two further applications of a model for binary regression, Biometrika 45.
    """
    from scipy.special import expit, logit  # on use, as in `intervals`

    odds = logit(p.clip(0.01, 0.99))
    if y.size < 3 or np.ptp(odds) < 1e-9:
        return None
    design = np.column_stack([odds, np.ones_like(odds)])
    found = np.array([1.0, 0.0])
    for _ in range(50):
        fitted = expit(design @ found)
        curvature = design.T @ (design * (fitted * (1 - fitted))[:, None])
        if np.linalg.cond(curvature) > 1e12:
            return None
        step = np.linalg.solve(curvature, design.T @ (y - fitted))
        found = found + np.clip(step, -2, 2)
        if np.abs(found).max() > 50:  # the classes are parted: the likelihood has no top
            return None
        if np.abs(step).max() < 1e-9:
            break
    else:
        return None
    influence = np.linalg.solve(curvature, (design * (y - expit(design @ found))[:, None]).T) * y.size
    slope, intercept = (_around(float(value), rows, level) for value, rows in zip(found, influence, strict=True))
    return slope, intercept


def _around(value: float, influence: Floats, level: float) -> Interval:
    error, freedom = spread(influence)
    half = quantile(0.5 + level / 2, freedom) * error
    return value, value - half, value + half
