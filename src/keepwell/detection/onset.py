"""When exactly: the most likely beginning of a change, with an interval and its shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 200


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


def scan(z: np.ndarray, *, shortest: int = 1, level: float = 0.9, seed: int = 0, draws: int = DRAWS) -> Onset:
    """Find the most likely first batch of an upward change that lasts to the end.

    Parameters
    ----------
    z : (n,) standardised innovations in time order, signed so that the change is upward; NaN batches are passed over.
    shortest : fewest batches after it.
    level : of the interval, from `draws` bootstraps of the residuals of the fitted step.

    References
    ----------
    Hinkley (1970), Inference about the change-point, Biometrika 57. Page (1954).
    """
    z = np.nan_to_num(np.asarray(z, float))
    at, score = _step(z, shortest)
    size = float(z[at:].mean())
    begin, ramp = _ramp(z, shortest)
    if ramp > score + 1.0 and len(z) - begin >= 6:
        shape, at, score = "ramp", begin, ramp
        low, high = _interval(z, at, shortest, level, seed, draws, is_ramp=True)
    else:
        shape = "step"
        low, high = _interval(z, at, shortest, level, seed, draws, is_ramp=False)
    return Onset(at, min(low, at), max(high, at), shape, size, float(score))


def _scores(z: np.ndarray) -> np.ndarray:
    """Of a step at each position: (sum of what follows)^2 / (2 length), zero where the sum is negative. Works on (..., n)."""
    sums = np.cumsum(z[..., ::-1], axis=-1)[..., ::-1]
    lengths = np.arange(z.shape[-1], 0, -1)
    return np.asarray(np.where(sums > 0, sums**2 / (2 * lengths), 0.0))


def _step(z: np.ndarray, shortest: int) -> tuple[int, float]:
    scores = _scores(z)[: max(len(z) - shortest + 1, 1)]
    at = int(scores.argmax())
    return at, float(scores[at])


def _ramp_scores(z: np.ndarray) -> np.ndarray:
    """Of a ramp from each position, regressor 1, 2, 3, ...; (..., n). The sums follow from cumulative ones."""
    n = z.shape[-1]
    ones = np.cumsum(z[..., ::-1], axis=-1)[..., ::-1]
    tails = np.cumsum(ones[..., ::-1], axis=-1)[..., ::-1]  # sum over i >= k of z_i (i - k + 1)
    length = np.arange(n, 0, -1).astype(float)
    squares = length * (length + 1) * (2 * length + 1) / 6
    return np.asarray(np.where(tails > 0, tails**2 / (2 * squares), 0.0))


def _ramp(z: np.ndarray, shortest: int) -> tuple[int, float]:
    scores = _ramp_scores(z)[: max(len(z) - max(shortest, 3) + 1, 1)]
    at = int(scores.argmax())
    return at, float(scores[at])


def _interval(z: np.ndarray, at: int, shortest: int, level: float, seed: int, draws: int, *, is_ramp: bool) -> tuple[int, int]:
    n = len(z)
    if n < 3 or draws == 0:
        return at, at
    if is_ramp:
        steps = np.maximum(np.arange(n) - at + 1, 0).astype(float)
        fitted = steps * (z @ steps) / (steps @ steps)
    else:
        fitted = np.where(np.arange(n) >= at, z[at:].mean(), 0.0)
    apart = z - fitted
    before, after = apart[:at], apart[at:]
    draw = np.random.default_rng([seed, n, at])
    # A short segment has residuals too small for its own noise: it borrows from the quiet side, whose noise is the unit.
    pool_after = after if len(after) >= 10 else np.concatenate([after, before[-60:]]) if len(before) else after
    pool_before = before if len(before) >= 10 else apart
    noise = np.concatenate([draw.choice(pool_before, (draws, at)), draw.choice(pool_after, (draws, n - at))], axis=1)
    scores = _ramp_scores(fitted + noise) if is_ramp else _scores(fitted + noise)
    found = scores[:, : max(n - shortest + 1, 1)].argmax(axis=1)
    error = np.sort(found - at)
    tail = (1 - level) / 2
    low = at - int(np.quantile(error, 1 - tail, method="higher"))
    high = at - int(np.quantile(error, tail, method="lower"))
    return max(low, 0), min(high, n - 1)
