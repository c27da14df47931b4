"""How far two histograms lie apart: pure functions from arrays to a number.

None of them says whether a distance is chance or change; `evidence` does. Histograms are counts in the same cells on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keepwell.profiling.rulers import Counts, Floats


def _shares(counts: Any) -> Floats:
    found = np.asarray(counts, dtype=np.float64)
    return np.asarray(found / found.sum(), dtype=np.float64)


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index: the symmetric Kullback-Leibler divergence of two histograms, in nats.

    Parameters
    ----------
    reference, current : shape (bins,), counts in the same bins. An empty bin counts as half a row, so that it costs much, not everything.

    References
    ----------
    Jeffreys (1946), Proc. R. Soc. A 186. In credit scoring: Siddiqi (2006), Credit Risk Scorecards.
    """
    p, q = _shares(np.where(reference == 0, 0.5, reference)), _shares(np.where(current == 0, 0.5, current))
    return float(((q - p) * np.log(q / p)).sum())


def psi_by_chance(reference: Counts, current: Counts) -> float:
    """What `psi` is on average when nothing changed and rows are independent: (bins - 1)(1/n + 1/m), to first order.

    References
    ----------
    Yurdakul, Naranjo (2020), Statistical properties of the population stability index, J. Risk Model Validation 14.
    """
    bins = int(((reference > 0) | (current > 0)).sum())
    return float((bins - 1) * (1 / reference.sum() + 1 / current.sum()))


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance of two histograms: 0 the same, 1 nothing in common.

    References
    ----------
    Endres, Schindelin (2003), A new metric for probability distributions, IEEE Trans. Inf. Theory 49. Logarithms are to base 2.
    """
    p, q = _shares(reference), _shares(current)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)
    return float(np.sqrt(max(terms.sum() / 2, 0.0)))


def kolmogorov_smirnov(reference: Counts, current: Counts) -> tuple[float, float]:
    """The largest difference of two distribution functions, from histograms, and by how much the exact value may be larger.

    At the ends of the cells both distribution functions are exact. Inside a cell that holds the shares a and b they may part by
    at most a or b more, as when all of one side's values come before the other's. Where a cell holds one value only, they do not.

    References
    ----------
    Smirnov (1939), Bull. Math. Univ. Moscou 2.
    """
    p, q = _shares(reference), _shares(current)
    after = np.cumsum(p) - np.cumsum(q)
    before = after - (p - q)
    value = float(np.abs(after).max())
    most = float(np.maximum(np.abs(before + p), np.abs(before - q)).max())
    return value, max(most - value, 0.0)


def wasserstein(edges: Floats, reference: Counts, current: Counts, *, scale: float = 1.0) -> float:
    """The mean distance that one side's values must be moved to become the other's; values count as spread evenly inside their cells.

    Parameters
    ----------
    edges : shape (cells + 1,), finite: the outermost are the smallest and largest value of both sides.

    Returns
    -------
    In units of `scale`; wrong by less than the mean width of the cells that hold values.

    References
    ----------
    Vallender (1974), Calculation of the Wasserstein distance between probability distributions on the line, Theory Probab. Appl. 18.
    """
    gap = np.concatenate(([0.0], np.cumsum(_shares(reference) - _shares(current))))
    left, right, width = gap[:-1], gap[1:], np.diff(edges)
    crosses = left * right < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = (left**2 + right**2) / (2 * (np.abs(left) + np.abs(right)))
    return float((np.where(crosses, crossed, (np.abs(left) + np.abs(right)) / 2) * width).sum() / scale)


def chi_square(reference: Counts, current: Counts) -> tuple[float, int]:
    """Pearson's statistic of two histograms, and its degrees of freedom; what is empty on both sides does not count.

    References
    ----------
    Pearson (1900), Philosophical Magazine 50.
    """
    table = np.array([reference, current], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(expected > 0, (table - expected) ** 2 / expected, 0.0)
    return float(terms.sum()), table.shape[1] - 1
