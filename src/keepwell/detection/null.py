"""How a channel behaves while nothing is wrong: its season, its memory and its noise; and batches in units of that noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keepwell.detection.columns import YEAR

MEMORY = 0.9  # more is not told from a change of the mean
CLIP = 10.0
TIMID_CLIP, TIMID_BET = 6.0, 1.2  # a loss cannot break as a column can: a few unlucky batches in a row must not pass for it
LEAST_COUNT = 0.01  # of rows: those of a batch without any are asked for, too
RIDGE = 1.0  # in batches
SEASON_ROWS, SEASON_DAYS, SEASON_RIDGE = 60, 120.0, 5.0  # of rows: what a season is read off when there is no reference for it
BLOCK = 30  # batches whose means tell how uncertain the reference's own mean is
WINDOWS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)  # batches over which the reference's own extremes are known
TIMES = 8  # windows that a reference must hold for their extremes to be known
BETS = np.array([0.05, 0.1, 0.2, 0.35, 0.55, 0.8, 1.2, 2.0, 3.0])


@dataclass(frozen=True, eq=False)
class Null:
    """Of C channels: `season` (k, C) coefficients, `memory` (C,) AR(1), `common` and `each` (C,) of the variance a + b / n, `margin`
    (C,) tolerated change with the uncertainty of the mean, `clip` (C,) beyond which an innovation counts as it, `cost` (2, L, C) of each
    bet on the upper and lower side, infinite for bets that are not made, `record` (W, C) the farthest that the mean of so many batches in a
    row (`WINDOWS`) lies from the usual one in the reference, which is well."""

    waves: int
    is_weekly: bool
    season: np.ndarray
    memory: np.ndarray
    common: np.ndarray
    each: np.ndarray
    margin: np.ndarray
    clip: np.ndarray
    cost: np.ndarray
    record: np.ndarray

    @classmethod
    def fit(
        cls, means: np.ndarray, counts: np.ndarray, time: np.ndarray, tolerated: np.ndarray, is_timid: np.ndarray | None = None
    ) -> Null:
        """Fit on a reference.

        Parameters
        ----------
        means : (T, C) batch means, NaN where a batch has no row of a channel. counts : (T, C) rows in them.
        time : (T,) days since 1970 of the batches, increasing. tolerated : (C,) change of the mean that is no decline. is_timid : (C,)
            which channels make no large bets.
        """
        span = float(time[-1] - time[0]) if len(time) else 0.0
        waves = 2 if span >= 550 else 1 if span >= 300 else 0
        is_weekly = len(time) > 1 and float(np.median(np.diff(time))) < 5 and span >= 56
        made = cls(waves, is_weekly, *(np.empty(0) for _ in range(8)))
        design = made._design(time)
        there = np.isfinite(means) & (counts > 0)
        channels = means.shape[1]
        season = np.zeros((design.shape[1], channels))
        penalty = np.diag([1e-9, *[RIDGE] * (design.shape[1] - 1)])
        for channel in range(channels):
            mine = there[:, channel]
            if mine.sum() >= 3:
                X, y = design[mine], means[mine, channel]
                season[:, channel] = np.linalg.solve(X.T @ X + penalty, X.T @ y)
        apart = np.where(there, means - design @ season, np.nan)
        memory = _memory(apart)
        fresh = apart[1:] - memory * np.where(np.isnan(apart[:-1]), 0.0, apart[:-1])
        common, each = _variance(fresh, counts[1:])
        blocks = _block_means(apart)
        doubt = blocks.std(axis=0) / np.sqrt(len(blocks)) if len(blocks) > 1 else np.zeros(channels)
        margin = tolerated + doubt
        is_timid = np.zeros(channels, bool) if is_timid is None else is_timid
        clip = np.where(is_timid, TIMID_CLIP, CLIP)
        made = cls(waves, is_weekly, season, memory, common, each, margin, clip, np.empty(0), _record(apart, memory))
        cost = _cost(np.clip(fresh / np.sqrt(made.variance(counts[1:])), -clip, clip), ~is_timid)
        return replace(made, cost=np.where(is_timid & (BETS > TIMID_BET)[:, None], np.inf, cost))

    def _design(self, time: np.ndarray) -> np.ndarray:
        parts = [np.ones(len(time))]
        for wave in range(1, self.waves + 1):
            angle = 2 * np.pi * wave * time / YEAR
            parts += [np.sin(angle), np.cos(angle)]
        if self.is_weekly:
            day = np.floor(time) % 7
            parts += [(day == number).astype(float) - 1 / 7 for number in range(6)]
        return np.stack(parts, axis=1)

    def usual(self, time: np.ndarray) -> np.ndarray:
        """What each channel's mean usually is at these times, (T, C)."""
        return np.asarray(self._design(time) @ self.season)

    def variance(self, counts: np.ndarray) -> np.ndarray:
        """Of a batch's innovation, by its count, (T, C)."""
        return np.asarray(self.common + self.each / np.maximum(counts, LEAST_COUNT))

    def innovations(self, apart: np.ndarray, before: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """How far deseasoned means `apart` are from what those `before` let expect, in standard deviations, without margin; (T, C)."""
        fresh = apart - self.memory * np.where(np.isnan(before), 0.0, before)
        return np.asarray(np.clip(fresh / np.sqrt(self.variance(counts)), -self.clip, self.clip))

    def farthest(self, batches: int) -> np.ndarray:
        """How far each channel's mean over so many batches in a row has ever been from the usual one in the reference, (C,)."""
        return np.asarray(self.record[int(np.searchsorted(WINDOWS, max(batches, 1), side="right")) - 1])

    def slack(self, counts: np.ndarray) -> np.ndarray:
        """The margin in the same unit, (T, C)."""
        return np.asarray(self.margin * (1 - self.memory) / np.sqrt(self.variance(counts)))


def season_of(values: np.ndarray, time: np.ndarray, base: np.ndarray) -> np.ndarray:
    """What row values usually are at their time of the year, (n,): one wave fitted on some of them; their mean where those are few.

    Parameters
    ----------
    values : (n,) NaN where missing. time : (n,) days since 1970. base : positions or mask of the rows that say what is usual.
    """
    there = np.arange(len(values))[base]
    there = there[np.isfinite(values[there])]
    if len(there) < SEASON_ROWS or np.ptp(time[there]) < SEASON_DAYS:
        return np.full(len(values), values[there].mean() if len(there) else 0.0)
    angle = 2 * np.pi * time / YEAR
    design = np.stack([np.ones_like(angle), np.sin(angle), np.cos(angle)], axis=1)
    gram = design[there].T @ design[there] + np.diag([1e-6, SEASON_RIDGE, SEASON_RIDGE])
    return np.asarray(design @ np.linalg.solve(gram, design[there].T @ values[there]))


def _memory(apart: np.ndarray) -> np.ndarray:
    before, after = apart[:-1], apart[1:]
    both = np.isfinite(before) & np.isfinite(after)
    top = np.where(both, before * after, 0.0).sum(axis=0)
    bottom = np.where(both, before**2, 0.0).sum(axis=0)
    return np.asarray(np.clip(top / np.maximum(bottom, 1e-12), 0.0, MEMORY))


def _variance(fresh: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """v(n) = a + b / n by non-negative least squares of squares on (1, 1/n); at least a quarter of the mean square."""
    from scipy.optimize import nnls

    channels = fresh.shape[1]
    common, each = np.full(channels, 1e-12), np.zeros(channels)
    for channel in range(channels):
        there = np.isfinite(fresh[:, channel]) & (counts[:, channel] > 0)
        if there.sum() < 3:
            common[channel] = 1.0
            continue
        squares = fresh[there, channel] ** 2
        design = np.stack([np.ones(there.sum()), 1 / counts[there, channel]], axis=1)
        (a, b), _ = nnls(design, squares)
        mean = squares.mean()
        if mean > 0:
            # Where counts hardly differ the two cannot be told apart, and a fit of zero for the typical batch would be no noise at all.
            typical = a + b * design[:, 1].mean()
            a, b = (a, b) if typical > 0.25 * mean else (mean, 0.0)
            a = max(a, 0.25 * mean - b * design[:, 1].min())
        common[channel], each[channel] = max(a, 1e-12), b
    return common, each


def _block_means(apart: np.ndarray) -> np.ndarray:
    blocks = [apart[at : at + BLOCK] for at in range(0, len(apart) - BLOCK + 1, BLOCK)]
    return np.array([_mean(block) for block in blocks]).reshape(len(blocks), apart.shape[1])


def _mean(block: np.ndarray) -> np.ndarray:
    there = np.isfinite(block)
    return np.asarray(np.where(there, block, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1))


def _record(apart: np.ndarray, memory: np.ndarray) -> np.ndarray:
    """For each of `WINDOWS` the largest size of a mean of so many batches in a row, (W, C).

    Of what the reference holds less than eight times, those that remember each other counted as fewer, it has seen too little: the longest
    window that it does stands for it.
    """
    longest = np.maximum(len(apart) * (1 - memory) / (1 + memory) / TIMES, 1).astype(int)
    there = np.isfinite(apart)
    sums, counts = (np.vstack([np.zeros((1, apart.shape[1])), np.cumsum(part, axis=0)]) for part in (np.where(there, apart, 0.0), there))
    found = np.zeros((len(WINDOWS), apart.shape[1]))
    for place, window in enumerate(WINDOWS):
        widths = np.minimum(window, longest)
        for width in np.unique(widths):
            mine = widths == width
            known = np.maximum(counts[width:, mine] - counts[:-width, mine], 1)
            found[place, mine] = np.abs((sums[width:, mine] - sums[:-width, mine]) / known).max(axis=0)
    return found


def _cost(z: np.ndarray, is_doubted: np.ndarray) -> np.ndarray:
    """psi(lambda) = max(lambda^2 / 2, log upper estimate of the reference's mean of exp(+-lambda z)); (2, L, C).

    Where large bets are made (`is_doubted`), which a few batches of the reference decide, the estimate is one standard error above, without
    the part of it that is the doubt about the mean of z: the margin pays for that.
    """
    there = np.isfinite(z)
    z = np.where(there, z, 0.0)
    known = np.maximum(there.sum(axis=0), 1)
    cost = np.empty((2, len(BETS), z.shape[1]))
    for side, sign in enumerate((1.0, -1.0)):
        for bet, size in enumerate(BETS):
            value = np.where(there, np.exp(size * sign * z), 0.0)
            mean = np.maximum(value.sum(axis=0) / known, 1e-12)
            apart = np.where(there, value / mean - 1 - size * sign * z, 0.0)
            doubt = np.sqrt((apart**2).sum(axis=0)) / known
            cost[side, bet] = np.maximum(size**2 / 2, np.log(mean) + is_doubted * np.log1p(doubt))
    return cost
