"""How far a column moved, and how surely: pure functions from arrays to numbers.

Distances come first. They are of histograms, counts in the same cells on both sides, and none of them says whether it is chance or
change. That is what e-values are for: numbers whose mean is at most 1 when nothing changed, so that large ones are rare. Where profiles
have batches the batch is the unit of evidence. Rows of a day share its weather, its campaign, its faulty sensor; a test that takes a
million rows for a million witnesses lists everything. Days resemble their neighbours too, so the error of a mean over days is the
long-run one.

References
----------
Wang, Ramdas (2022), False discovery rate control with e-values, JRSS B 84: the listing holds its level however columns depend on
each other. Vovk, Wang (2021), E-values: calibration, combination and applications, Annals of Statistics 49: p-values to e-values, and
means of e-values are e-values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keepwell.evaluation import spread
from keepwell.profiling.rulers import Counts, Floats

FEWEST_BATCHES = 10  # below, a long-run error cannot be told
LARGEST = 1e12  # an e-value beyond this says no more


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


def e_of_p(p: float) -> float:
    """An e-value from a p-value, the mixture over all powers: (1 - p + p ln p) / (p ln² p)."""
    if p >= 1 - 1e-6:
        return 0.5
    p = max(p, 1e-300)
    log = np.log(p)
    return float(min((1 - p + p * log) / (p * log * log), LARGEST))


def student_tails(t: float, freedom: float) -> float:
    """P(|T| >= t) of Student's distribution, to eight digits: the incomplete beta function by its continued fraction.

    SciPy has it too, but loading that part of it took a fifth of a comparison of two tables of a million rows.

    References
    ----------
    DLMF 8.17.22 (https://dlmf.nist.gov/8.17.E22); which side of it to take: Press et al., Numerical Recipes, 6.4.
    """
    a, b = freedom / 2, 0.5
    x, y = freedom / (freedom + t * t), t * t / (freedom + t * t)
    if x == 0 or y == 0:
        return 0.0 if x == 0 else 1.0
    front = math.exp(a * math.log(x) + b * math.log(y) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b))
    if x <= (a + 1) / (a + b + 2):
        return front / a * _beta_fraction(a, b, x)
    return 1 - front / b * _beta_fraction(b, a, y)


def _beta_fraction(a: float, b: float, x: float, terms: int = 40) -> float:
    below = 1.0
    for k in range(terms, 0, -1):
        m = k // 2
        step = -(a + m) * (a + b + m) if k % 2 else m * (b - m)
        below = 1 + step / ((a + k - 1) * (a + k)) * x / below
    return 1 / below


def e_bh(values: Sequence[float], level: float) -> list[bool]:
    """Which of K e-values to list, so that of the listed on average at most a share `level` is false.

    These are the k largest, with the largest k for which each of them reaches K / (level k).
    """
    found = np.asarray(values, dtype=float)
    order = np.argsort(-found, kind="stable")
    ranks = np.arange(1, found.size + 1)
    enough = np.flatnonzero(found[order] * level * ranks >= found.size)
    listed = np.zeros(found.size, dtype=bool)
    listed[order[: enough[-1] + 1 if enough.size else 0]] = True
    return [bool(one) for one in listed]


@dataclass(frozen=True)
class Series:
    """One column batch by batch: `bins` of shape (batches, bins), and `missing` and `rows` of shape (batches,)."""

    bins: Counts
    missing: Floats
    rows: Counts


def e_of_batches(reference: Series, current: Series, *, is_ordered: bool) -> float:
    """The evidence that a column changed, from its batches in time order.

    Each batch is reduced to a few means: of the values' ranks among the reference and of the ranks' distance to the middle; where
    categories have no order, the shares of the five most frequent and of the rest; and the share that is missing. For each, the mean of
    the current batches is held against the reference's by a t-test, each test becomes an e-value, and the column has their mean.

    Parameters
    ----------
    is_ordered : whether bins have an order.

    Returns
    -------
    The e-value; 1 when either side has fewer than ten batches. The t-test is calibrated for days that resemble their neighbours
    (`tests/profiling/test_evidence.py` simulates it), not proved for every series.
    """
    rows = (reference.rows, current.rows)
    share = float(np.average(reference.missing, weights=np.maximum(reference.rows, 1))) if reference.rows.size else 0.0
    found = [_e_of_means(reference.missing, current.missing, rows, variance=share * (1 - share))]
    before, after = (one.bins[one.bins.sum(axis=1) > 0] for one in (reference, current))
    if min(len(before), len(after)) >= FEWEST_BATCHES:
        total, sizes = before.sum(axis=0), (before.sum(axis=1), after.sum(axis=1))
        for score in _scores(total, is_ordered):
            mean = float(total @ score / total.sum())
            within = float(total @ (score - mean) ** 2 / total.sum())
            found.append(_e_of_means(before @ score / sizes[0], after @ score / sizes[1], sizes, variance=within))
    return float(np.mean(found))


def _scores(total: Counts, is_ordered: bool) -> list[Floats]:
    """What each bin counts for, one array for each mean that is followed."""
    if not is_ordered:
        own = [np.eye(total.size)[place] for place in np.argsort(-total, kind="stable")[:5]]
        return [*own, np.eye(total.size)[-1]] if total.size > 5 else own
    reached = np.cumsum(total)
    rank = (reached - total / 2) / reached[-1] - 0.5
    return [rank, np.abs(rank)]


def _e_of_means(before: Floats, after: Floats, rows: tuple[Counts, Counts], *, variance: float) -> float:
    """Of two series of batch means. How much means of batches vary is learnt from the reference alone: a change in the middle of the
    current batches would make them look restless, and hide itself. `variance` is that of one row within a batch.
    """
    n, m = before.size, after.size
    if min(n, m) < FEWEST_BATCHES:
        return 1.0
    error, freedom = _error(before, variance / max(float(rows[0].mean()), 1.0))
    each = error**2 * n + variance * max(1 / rows[1].mean() - 1 / rows[0].mean(), 0.0)  # smaller batches vary more
    later, degrees = each / m, freedom
    if n >= 4 * m:  # a month among twelve: months differ by more than their days tell, in a season above all
        reached = np.concatenate(([0.0], np.cumsum(before)))
        blocks = (reached[m:] - reached[:-m]) / m
        if blocks.var() * n / (n - m) > later:
            later, degrees = float(blocks.var() * n / (n - m)), min(degrees, n / m - 1)
    least = variance * (1 / max(rows[0].sum(), 1) + 1 / max(rows[1].sum(), 1))
    gap = abs(float(after.mean() - before.mean()))
    if gap < 1e-12:
        return 1.0
    # A share that never moved has no error; then one of its rows is in doubt, which is what the reference cannot exclude.
    spare = (1 / max(rows[0].sum(), 1)) ** 2
    return e_of_p(student_tails(gap / math.sqrt(max(error**2 + later, least, spare)), degrees))


def _error(means: Floats, sampling: float) -> tuple[float, float]:
    """Standard error of the mean of a series of batch means, and its degrees of freedom.

    The larger of two: the cosine estimator's, which assumes no model, and that of an AR(1) seen through the noise of sampling, without
    which batches that strongly resemble each other would be taken for more than they are. `sampling` is the variance that a batch's mean
    has from its own rows alone: as noise it hides the resemblance, so it is taken out before and put back after. Kendall's correction of
    the lag-1 correlation, which is held below 0.95.

    References
    ----------
    Kendall (1954), Note on bias in the estimation of autocorrelation, Biometrika 41.
    """
    error, freedom = spread(means)
    n, left = means.size, means - means.mean()
    variance = float(left @ left) / n
    between = max(variance - sampling, 0.1 * variance)
    if between <= 0:
        return error, float(freedom)
    alike = float(left[1:] @ left[:-1]) / n / between
    alike = min(max(alike + (1 + 3 * alike) / n, 0.0), 0.95)
    long_run = between * (1 + alike) / (1 - alike) + min(sampling, variance - between)
    return max(error, float(np.sqrt(long_run / n))), float(freedom)


def e_of_rows(reference: Counts, current: Counts, missing: tuple[tuple[int, int], tuple[int, int]], *, is_ordered: bool) -> float:
    """The evidence where there are no batches: rows are taken as independent, which they must then be.

    Parameters
    ----------
    reference, current : shape (cells,), counts.
    missing : (missing, rows) of each side.
    """
    from scipy.special import chdtrc, kolmogorov

    (gone, n), (lost, m) = missing
    found = []
    if n and m and 0 < gone + lost < n + m:
        statistic, freedom = chi_square(np.array([gone, n - gone]), np.array([lost, m - lost]))
        found.append(e_of_p(float(chdtrc(freedom, statistic))))
    n, m = int(reference.sum()), int(current.sum())
    if n and m:
        if is_ordered:
            size = np.sqrt(n * m / (n + m))
            value, _ = kolmogorov_smirnov(reference, current)
            found.append(e_of_p(float(kolmogorov(value * (size + 0.12 + 0.11 / size)))))  # Stephens (1970), JRSS B 32
        else:
            statistic, freedom = chi_square(reference, current)
            found.append(e_of_p(float(chdtrc(freedom, statistic))) if freedom else 1.0)
    return float(np.mean(found)) if found else 1.0
