"""When exactly: the most likely beginning of a change, with an interval and its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Onset:
    """Positions in the scanned series: `at` is the first changed batch, `low` to `high` its interval; `shape` is "step" or "ramp";
    `size` the mean change afterwards, `score` the gain in log likelihood."""

    at: int
    low: int
    high: int
    shape: str
    size: float
    score: float


def scan(z: np.ndarray, *, shortest: int = 1, level: float = 0.9) -> Onset:
    """Find the most likely first batch of an upward change that lasts to the end.

    The interval holds every batch whose log likelihood is near enough to the best: within -log(1 - sqrt(level)), from Siegmund's limit
    law of the likelihood ratio; it is a little wider than it must be, because time comes in batches.

    Parameters
    ----------
    z : (n,) standardised innovations in time order, signed so that the change is upward; NaN batches are passed over.
    shortest : fewest batches after it.

    References
    ----------
    Hinkley (1970), Inference about the change-point, Biometrika 57. Siegmund (1988), Confidence sets in change-point problems, ISR 56.
    """
    z = np.nan_to_num(np.asarray(z, float))
    steps, ramps = (scores[: max(len(z) - last + 1, 1)] for scores, last in ((_scores(z), shortest), (_ramp_scores(z), max(shortest, 3))))
    is_ramp = ramps.max() > steps.max() + 1.0 and len(z) - ramps.argmax() >= 6
    scores = ramps if is_ramp else steps
    at = int(scores.argmax())
    near = np.flatnonzero(scores >= scores[at] + np.log(1 - np.sqrt(level)))
    size = float(z[int(steps.argmax()) :].mean())
    return Onset(at, int(near[0]), int(near[-1]), "ramp" if is_ramp else "step", size, float(scores[at]))


def _scores(z: np.ndarray) -> np.ndarray:
    """Of a step at each position: (sum of what follows)^2 / (2 length), zero where the sum is negative; (n,)."""
    sums = np.cumsum(z[::-1])[::-1]
    lengths = np.arange(len(z), 0, -1)
    return np.asarray(np.where(sums > 0, sums**2 / (2 * lengths), 0.0))


def _ramp_scores(z: np.ndarray) -> np.ndarray:
    """Of a ramp from each position, regressor 1, 2, 3, ...; (n,). The sums follow from cumulative ones."""
    n = len(z)
    ones = np.cumsum(z[::-1])[::-1]
    tails = np.cumsum(ones[::-1])[::-1]  # sum over i >= k of z_i (i - k + 1)
    length = np.arange(n, 0, -1).astype(float)
    squares = length * (length + 1) * (2 * length + 1) / 6
    return np.asarray(np.where(tails > 0, tails**2 / (2 * squares), 0.0))
