"""One anytime-valid detector for all channels: it may be looked at after every batch, and its rate of false alarms is a set number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keepwell.detection.null import BETS


@dataclass(eq=False)
class EDetector:
    """A mixture of Shiryaev-Roberts e-detectors for C channels.

    Each bet multiplies its stake by exp(lambda z - psi(lambda)), whose mean is at most one while the channel behaves as in the
    reference; stakes are added batch by batch, log M <- log(M + 1) + lambda z - psi. A channel's evidence is the mean over bets and sides.
    The first time it reaches A comes, in the mean, after A batches or later, whatever the dependence between channels.

    Parameters
    ----------
    cost : (2, L, C) from `Null`. is_two_sided : (C,). share : (C,) of the budget that each channel has; sums to one.
    run_length : A, batches until a false alarm over all channels.

    References
    ----------
    Shin, Ramdas, Rinaldo (2024), E-detectors. Shiryaev (1963); Roberts (1966).
    """

    cost: np.ndarray
    is_two_sided: np.ndarray
    share: np.ndarray
    run_length: float
    stakes: np.ndarray

    @classmethod
    def new(cls, cost: np.ndarray, is_two_sided: np.ndarray, share: np.ndarray, run_length: float) -> EDetector:
        """Nothing seen yet."""
        return cls(cost, is_two_sided, share, run_length, np.full(cost.shape, -np.inf))

    def update(self, z: np.ndarray, slack: np.ndarray, bets: np.ndarray | None = None) -> None:
        """Take in one batch.

        Parameters
        ----------
        z, slack : innovations and margins (C,), NaN where a channel has no row.
        bets : (L, C) log bets that replace the normal ones on the upper side where they are not NaN.
        """
        there = np.isfinite(z)
        z, slack = np.where(there, z, 0.0), np.where(there, slack, 0.0)
        sides = np.stack([z - slack, -z - slack])
        grown = np.logaddexp(self.stakes, 0.0) + BETS[None, :, None] * sides[:, None, :] - self.cost
        if bets is not None:
            mine = np.isfinite(bets)
            grown[0] = np.where(mine, np.logaddexp(self.stakes[0], 0.0) + np.where(mine, bets, 0.0), grown[0])
        self.stakes = np.where(there[None, None, :], grown, self.stakes)

    @property
    def evidence(self) -> np.ndarray:
        """Log evidence of each channel, (C,)."""
        by_side = np.logaddexp.reduce(self.stakes, axis=1) - np.log(np.isfinite(self.cost).sum(axis=1))
        return np.asarray(np.where(self.is_two_sided, np.logaddexp(by_side[0], by_side[1]) - np.log(2), by_side[0]))

    @property
    def threshold(self) -> np.ndarray:
        """Log evidence at which each channel rings, (C,)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.run_length) - np.log(self.share))

    @property
    def ringing(self) -> np.ndarray:
        """Which channels ring, (C,)."""
        return np.asarray(self.evidence >= self.threshold)

    def sides(self) -> np.ndarray:
        """+1 where the upper side holds most of the evidence, -1 where the lower does, (C,)."""
        by_side = np.logaddexp.reduce(self.stakes, axis=1)
        return np.where(self.is_two_sided & (by_side[1] > by_side[0]), -1, 1)

    def reset(self, channels: np.ndarray) -> None:
        """Forget what some channels have seen, after a fix or an end."""
        self.stakes[:, :, channels] = -np.inf


def batches_to_prove(shift: float, margin: float, threshold: float) -> float:
    """About how many batches a shift of the mean takes to ring, 2 threshold / (shift - margin)^2; infinite when it is tolerated.

    Parameters
    ----------
    shift, margin : in standard deviations of a batch. threshold : log evidence.

    Examples
    --------
    >>> round(batches_to_prove(1.0, 0.2, 9.0))
    28
    """
    return float("inf") if shift <= margin else 2 * threshold / (shift - margin) ** 2
