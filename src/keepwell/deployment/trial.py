"""Is one version better than another on the same days? A test that may be looked at after every day.

Each day gives one number: the mean, over that day's rows, of how much less the version in shadow lost than the champion. Bets
are made on these numbers, one after the other. Under the hypothesis that the version is not better no bettor gets rich:
the chance that its money ever grows by 1 / error is at most `error`, however often one looks and whenever one stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "open"]
STAKES = np.array([0.03, 0.1, 0.25, 0.5, 0.9])  # share of what may be bet; a fifth of the money each
WIDTHS = (1, 2, 4, 7, 14)  # days that may make one number
ALIKE = 0.15  # neighbouring numbers more correlated than this are put together
REACH_SD = 4.0  # a number counts at most this many standard deviations, so that one freak day cannot decide
LEAST_BLOCKS = 20  # fewer say nothing about spread or likeness
GRID = np.linspace(-0.99, 0.99, 199)  # values tried for the interval, as shares of the reach


@dataclass(frozen=True)
class Terms:
    """What a trial is held to; fixed before it begins, from the days held out at the gate.

    Parameters
    ----------
    reach : a day's gain counts at most this much either way, in units of the metric.
    block_days : so many days make one number; 1 unless neighbouring days are alike.
    blocks, gain : how many such numbers the gate had for this pair, and their mean; 0 and 0.0 when it compared others.
    """

    reach: float
    block_days: int = 1
    blocks: int = 0
    gain: float = 0.0


@dataclass(frozen=True)
class Judged:
    """What the days until now prove. `gain` is the mean gain a day, `low` to `high` hold its true mean with 1 - 2 error at every look."""

    verdict: Verdict
    blocks: int
    gain: float
    low: float
    high: float
    better: float  # the most that a bettor on "better" ever had, of 1
    worse: float


def blocks_of(days: ArrayLike, gains: ArrayLike, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Rows as blocks of `width` days.

    Parameters
    ----------
    days : shape (n,), days since 1970, any order. gains : shape (n,).

    Returns
    -------
    (number, rows, mean gain) of each block that has rows, in order.
    """
    number = np.floor(np.asarray(days, np.float64) / width + 1e-9).astype(np.int64)
    found, place, counts = np.unique(number, return_inverse=True, return_counts=True)
    sums = np.bincount(place, weights=np.asarray(gains, np.float64), minlength=found.size)
    return found, counts.astype(np.int64), sums / np.maximum(counts, 1)


def terms(days: ArrayLike, gains: ArrayLike, bound: float) -> Terms:
    """The terms of a trial from the gains on held-out days.

    Parameters
    ----------
    bound : the most that a gain can be, from the metric (1 for brier); the reach is never larger.
    """
    width = next((width for width in WIDTHS if not _are_alike(blocks_of(days, gains, width)[2])), WIDTHS[-1])
    _, _, means = blocks_of(days, gains, width)
    if means.size < LEAST_BLOCKS or not (spread := float(means.std(ddof=1))) > 0:
        return Terms(bound, width, int(means.size), float(means.mean()) if means.size else 0.0)
    return Terms(min(bound, REACH_SD * spread), width, int(means.size), float(means.mean()))


def _are_alike(means: Floats) -> bool:
    """Do neighbours resemble each other? Too few to tell counts as no."""
    if means.size < LEAST_BLOCKS:
        return False
    apart = means - means.mean()
    total = float(apart @ apart)
    return total > 0 and float(apart[1:] @ apart[:-1]) / total > ALIKE


def judge(gains: Sequence[float] | Floats, reach: float, error: float) -> Judged:
    """Look at the blocks in the order they came in.

    Parameters
    ----------
    gains : shape (n,), one number a block, positive where the version in shadow lost less.
    reach : numbers beyond it are held at it. error : of saying "better" when it is not, and of "worse" when it is not.

    Returns
    -------
    The first side proven decides and stays. Cost: O(n) for the verdict, O(200 n) for the interval.

    Notes
    -----
    Exact for bounded numbers whose mean, given all before, is not above zero: no shape of distribution is assumed, days may be
    as dependent as they like as long as yesterday does not foretell today's gain. `terms` puts days together where it does.

    References
    ----------
    Waudby-Smith, Ramdas (2024), Estimating means of bounded random variables by betting, JRSS B 86.
    Ville (1939), Étude critique de la notion de collectif.

    Examples
    --------
    >>> judge([0.02] * 40, reach=0.1, error=0.05).verdict, judge([0.02, -0.02] * 20, reach=0.1, error=0.05).verdict
    ('better', 'open')
    """
    x = np.clip(np.asarray(gains, np.float64) / reach, -1.0, 1.0)
    if not x.size:
        return Judged("open", 0, 0.0, -reach, reach, 1.0, 1.0)
    rich = float(np.log(1.0 / error))
    up, down = _money(x), _money(-x)
    first_up, first_down = _first(up >= rich), _first(down >= rich)
    verdict: Verdict = "open" if first_up == first_down else "better" if first_up < first_down else "worse"
    low, high = _interval(x, rich)
    return Judged(
        verdict,
        x.size,
        float(x.mean()) * reach,
        low * reach,
        high * reach,
        float(np.exp(min(up.max(), 700))),
        float(np.exp(min(down.max(), 700))),
    )


def _money(x: Floats) -> Floats:
    """Logarithm of what a bettor who began with 1 has after each number; `x` in [-1, 1]."""
    paths = np.cumsum(np.log1p(np.outer(x, STAKES)), axis=0)
    top = paths.max(axis=1)
    found: Floats = top + np.log(np.exp(paths - top[:, None]).mean(axis=1))
    return found


def _first(mask: NDArray[np.bool_]) -> int:
    return int(mask.argmax()) if mask.any() else mask.size


def _interval(x: Floats, rich: float) -> tuple[float, float]:
    """The means that no bettor against them got rich on, by the numbers until now."""
    apart = x[:, None] - GRID[None, :]
    above = np.stack([np.log1p(stake * apart / (1.0 + GRID)).sum(axis=0) for stake in STAKES])  # bets that the mean is higher
    below = np.stack([np.log1p(-stake * apart / (1.0 - GRID)).sum(axis=0) for stake in STAKES])
    low, high = (np.logaddexp.reduce(side, axis=0) - np.log(STAKES.size) for side in (above, below))
    stays = (low < rich) & (high < rich)
    if not stays.any():
        return float(x.mean()), float(x.mean())
    inside = GRID[stays]
    step = float(GRID[1] - GRID[0])
    return max(float(inside[0]) - step, -1.0), min(float(inside[-1]) + step, 1.0)


def together(held_out: Terms, judged: Judged) -> float:
    """The mean gain over the gate's blocks and the trial's: what decides when the time is up and neither side is proven."""
    blocks = held_out.blocks + judged.blocks
    return (held_out.blocks * held_out.gain + judged.blocks * judged.gain) / blocks if blocks else 0.0
