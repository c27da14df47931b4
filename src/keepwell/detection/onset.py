"""When exactly: the most likely beginning of a change, with an interval and its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GROWING = (4, 6, 9, 13, 20, 30, 45, 68, 100)  # batches that a change may take to grow to its full size
GROWS = 1.0  # log likelihood by which a growing change must be likelier than a step
WIDTHS = (5, 10, 20, 40, 80, 160)  # the same, where all widths are weighed
GROWS_ODDS, TRUSTED = 0.5, 0.7  # how often a changed relation grows; the part of a log likelihood that is believed
SHORTEST_RAMP, TOLD_RAMP = 3, 6  # batches that a growing change must have lasted to be looked for, and to be told


@dataclass(frozen=True)
class Onset:
    """Positions in the scanned series: `at` is the first batch of which at least half has changed, `low` to `high` the interval of it;
    `shape` is "step" or "ramp"; `size` the mean change afterwards, `score` the gain in log likelihood."""

    at: int
    low: int
    high: int
    shape: str
    size: float
    score: float


def scan(z: np.ndarray, *, shortest: int = 1, level: float = 0.9) -> Onset:
    """Find the most likely first batch of an upward change that lasts to the end.

    The change is a step, which may begin in the midst of a batch, or grows for some time and then stays. The interval holds every batch
    whose log likelihood, with the shape that suits it best, is near enough to the best: within -log(1 - sqrt(level)), from Siegmund's
    limit law of the likelihood ratio; it is a little wider than it must be, because time comes in batches.

    Parameters
    ----------
    z : (n,) standardised innovations in time order, signed so that the change is upward; NaN batches are passed over.
    shortest : fewest batches after it.

    References
    ----------
    Hinkley (1970), Inference about the change-point, Biometrika 57. Siegmund (1988), Confidence sets in change-point problems, ISR 56.
    """
    z = np.nan_to_num(np.asarray(z, float))
    n = len(z)
    steps = _steps(z)
    steps[max(n - shortest + 1, 1) :] = -np.inf
    ramps = np.max([_scores(z, width) for width in (*GROWING, n)], axis=0) - GROWS
    ramps[max(n - max(shortest, SHORTEST_RAMP) + 1, 1) :] = -np.inf
    is_ramp = n - int(ramps.argmax()) >= TOLD_RAMP and bool(ramps.max() > steps.max())
    told, scores = ramps if is_ramp else steps, np.maximum(steps, ramps)
    at = int(told.argmax())
    near = np.flatnonzero(scores >= scores.max() + np.log(1 - np.sqrt(level)))
    size = float(z[int(steps.argmax()) :].mean())
    return Onset(at, min(at, int(near[0])), max(at, int(near[-1])), "ramp" if is_ramp else "step", size, float(told[at]))


def _steps(z: np.ndarray) -> np.ndarray:
    """Gain in log likelihood by a step that begins in the second half of the batch before each position, or in the first of its own; (n,).

    Of the batch in which it begins only a part f has changed: with the regressor f, 1, 1, ... the gain is (f z + sum of the later z)^2 /
    (2 (f^2 + later batches)), which is largest at f = z / mean of the later z, or at the end of its range that is nearest to it.
    """
    later = np.cumsum(z[::-1])[::-1] - z
    length = np.arange(len(z) - 1, -1, -1).astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.where(later > 0, z * length / later, 1.0)

    def gain(least: float, most: float) -> np.ndarray:
        part = np.clip(best, least, most)
        return np.asarray(np.maximum(part * z + later, 0.0) ** 2 / (2 * (part**2 + np.maximum(length, 1e-9))))

    own = gain(0.5, 1.0)
    own[-1] = max(z[-1], 0.0) ** 2 / 2  # nothing is later
    before = np.r_[0.0, gain(0.0, 0.5)[:-1]]
    return np.asarray(np.maximum(own, before))


def _scores(z: np.ndarray, width: int) -> np.ndarray:
    """Gain in log likelihood by a change from each position that grows evenly for `width` batches, one being a step; (n,).

    With the regressor x = 1, 2, ..., width, width, ... it is (sum of z x)^2 / (2 sum of x^2), zero where the sum is negative.
    """
    n = len(z)
    after = np.cumsum(z[::-1])[::-1]
    grown = np.append(np.cumsum(after[::-1])[::-1], np.zeros(width))  # sum over i >= k of z_i (i - k + 1)
    sums = grown[:n] - grown[width : width + n]
    length = np.arange(n, 0, -1).astype(float)
    growing = np.minimum(length, width)
    squares = growing * (growing + 1) * (2 * growing + 1) / 6 + (length - growing) * width**2
    return np.asarray(np.where(sums > 0, sums**2 / (2 * squares), 0.0))


def scan_told(told: np.ndarray, *, shortest: int = 3, level: float = 0.9) -> Onset:
    """Find when a change began of which each batch tells how likely it is at each size: it lasts to the end, at once or after growing.

    All beginnings, sizes and widths of growth are weighed by the likelihood (Bayes), tempered because the change is never quite the one
    that is asked about. The onset is the median of what comes out, the interval its quantiles.

    Parameters
    ----------
    told : (S, T) log likelihood of each batch at 1/S, 2/S, ... of the largest size, over that without a change. shortest : fewest batches
        after it.
    """
    told = TRUSTED * np.vstack([np.zeros(told.shape[1]), told])
    sizes, n = len(told), told.shape[1]
    full = np.hstack([np.cumsum(told[:, ::-1], axis=1)[:, ::-1], np.zeros((sizes, 1))])  # at full size from each batch on
    grown = []
    for width in WIDTHS:
        later = np.minimum(np.arange(n) + width, n)
        for size in range(1, sizes):
            total = full[size, later]
            for lag in range(min(width, n)):
                total[: n - lag] += told[round(size * (lag + 1) / (width + 1)), lag:]
            grown.append(total)
    top = max(float(full[1:, :n].max()), float(np.max(grown)))
    steps, ramps = (np.exp(np.asarray(part) - top).mean(axis=0) for part in (full[1:, :n], grown))
    steps[max(n - shortest + 1, 1) :] = 0.0
    ramps[max(n - TOLD_RAMP + 1, 1) :] = 0.0
    share = np.cumsum((1 - GROWS_ODDS) * steps + GROWS_ODDS * ramps)
    low, at, high = (int(np.searchsorted(share, part * share[-1])) for part in ((1 - level) / 2, 0.5, (1 + level) / 2))
    return Onset(at, low, high, "ramp" if ramps.sum() > steps.sum() else "step", 0.0, top)
