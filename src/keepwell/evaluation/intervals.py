"""How sure a mean is when neighbouring rows resemble each other.

Losses of neighbouring days, and of several entities on the same day, are not independent; a standard error that
thinks they are is too small and promotes models by luck. All intervals of this room come from `spread`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_WAVES = 40  # more would add little certainty (t with 40 degrees is near normal) but lean on shorter and shorter stretches


def spread(values: Floats) -> tuple[float, int]:
    """Standard error of the mean of an autocorrelated series, with its degrees of freedom.

    The series is projected on the B slowest cosine waves; B times an estimate of the long-run variance falls out, so the
    mean divided by this error follows Student's t with B degrees of freedom (equal-weighted cosine estimator).

    Parameters
    ----------
    values : shape (n,), in time order, n >= 2. Rows of the same time stand next to each other.

    Returns
    -------
    The standard error and B = 0.41 n^(2/3), at least 4 (or n - 1), at most 40. Cost: O(n log n).

    References
    ----------
    Lazarus, Lewis, Stock, Watson (2018), HAR Inference: Recommendations for Practice, JBES 36.
    """
    n = values.size
    waves = min(max(int(0.41 * n ** (2 / 3)), 4), MOST_WAVES, n - 1)
    # The type 2 cosine transform by way of the even extension's spectrum: SciPy's own would be half of the time this room takes to load.
    turn = np.exp(-0.5j * np.pi * np.arange(1, waves + 1) / n)
    slow = (np.fft.rfft(np.concatenate((values, values[::-1])))[1 : waves + 1] * turn).real
    # A projection on an orthonormal wave is slow / sqrt(2 n); the mean of their squares is the long-run variance, over n the error's.
    return float(np.sqrt(slow @ slow / (2.0 * waves)) / n), waves


@lru_cache(maxsize=4096)
def quantile(probability: float, freedom: int) -> float:
    """Student's t quantile; cached, since a check-up asks for the same few thousands of times."""
    from scipy.special import stdtrit  # on use: who only imports a room need not wait for it

    return float(stdtrit(freedom, probability))


def mean_interval(values: Floats, *, level: float = 0.95) -> tuple[float, float, float]:
    """The mean of a time-ordered series and its two-sided interval.

    Parameters
    ----------
    values : shape (n,), in time order, any unit, n >= 1.
    level : coverage, a fraction.

    Returns
    -------
    (mean, low, high); low and high are NaN when n == 1.
    """
    mean = float(values.mean())
    if values.size < 2:
        return mean, float("nan"), float("nan")
    error, freedom = spread(values)
    half = quantile(0.5 + level / 2, freedom) * error
    return mean, mean - half, mean + half


def mean_bound(values: Floats, *, confidence: float) -> float:
    """The value that the true mean exceeds with `confidence` (one-sided); minus infinity when n < 2."""
    if values.size < 2:
        return float("-inf")
    error, freedom = spread(values)
    return float(values.mean()) - quantile(confidence, freedom) * error


def share_interval(share: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share seen in `n` (effective) trials; inside [0, 1] and open also at 0 and 1.

    References
    ----------
    Wilson (1927), JASA 22.
    """
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def effective_rows(values: Floats) -> float:
    """How many independent rows would say as much about the mean: n times plain variance over long-run variance.

    Never above n: a series that looks calmer than independent rows is given no credit for it.
    """
    n = values.size
    if n < 2:
        return float(n)
    error, _ = spread(values)
    return float(min(n, max(1.0, values.var() / error**2))) if error > 0 else float(n)
