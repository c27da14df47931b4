"""E-values are honest about days, and the listing keeps its level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from keepwell.profiling.drift import Series, e_bh, e_of_batches, e_of_p, e_of_rows

RANKS = np.array([-1.5, -0.5, 0.5, 1.5])


def test_the_calibrator_has_mean_one_under_a_uniform_p():
    """By hand at p = 0.01: (1 - 0.01 + 0.01 ln 0.01) / (0.01 ln² 0.01) = 4.45; the heavy end is cut, so the mean is near 1."""
    assert e_of_p(0.01) == pytest.approx(4.451, abs=0.001)
    p = (np.arange(1_000_000) + 0.5) / 1_000_000
    assert 0.8 < np.mean([e_of_p(one) for one in p[::10]]) <= 1.02
    assert e_of_p(1.0) == 0.5
    assert e_of_p(0.0) > 1e11


def test_e_bh_by_hand():
    """Of four at level 0.1 the first needs 40, the first two 20 each, three 13.3 each."""
    assert e_bh([39, 1, 1, 1], 0.1) == [False] * 4
    assert e_bh([41, 1, 1, 1], 0.1) == [True, False, False, False]
    assert e_bh([1, 21, 22, 1], 0.1) == [False, True, True, False]
    assert e_bh([14, 14, 1, 14], 0.1) == [True, True, False, True]


ROWS = 100


def histograms(values: np.ndarray) -> np.ndarray:
    places = np.searchsorted(RANKS, values)
    return np.stack([(places == place).sum(axis=1) for place in range(5)], axis=1)


def days(rng: np.random.Generator, n: int, phi: float, *, shift: float = 0.0, common: float = 0.5) -> Series:
    """Histograms of n days: each day's mean wanders by `common` and resembles yesterday's by `phi`."""
    level = lfilter([1], [1, -phi], rng.normal(0, common * np.sqrt(1 - phi**2), n + 50))[50:]
    return Series(histograms(rng.normal(level[:, None] + shift, 1, (n, ROWS))), np.zeros(n), np.full(n, ROWS))


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.8])
@pytest.mark.parametrize("months", [(12, 12), (12, 1), (3, 3)], ids=["year/year", "year/month", "quarter/quarter"])
def test_the_share_of_false_listings_stays_below_its_level_when_days_resemble_each_other(phi, months):
    """Ten columns, none changed: whatever is listed is false, so at most a tenth of the runs may list anything."""
    rng = np.random.default_rng([int(phi * 10), *months])
    runs, wrong = 30, 0
    for _ in range(runs):
        values = [e_of_batches(days(rng, 30 * months[0], phi), days(rng, 30 * months[1], phi), is_ordered=True) for _ in range(10)]
        wrong += any(e_bh(values, 0.1))
    assert wrong <= runs * 0.1


def test_taking_rows_for_witnesses_would_list_nearly_everything():
    rng = np.random.default_rng(2)
    found = [
        e_of_rows(days(rng, 60, 0.6).bins.sum(axis=0), days(rng, 60, 0.6).bins.sum(axis=0), ((0, 6_000), (0, 6_000)), is_ordered=True)
        for _ in range(20)
    ]
    assert sum(e_bh(found, 0.1)) > 10


def test_a_change_is_listed_also_when_it_begins_in_the_middle():
    """A step makes the current days look restless; how restless days are is learnt from the reference, so it cannot hide itself."""
    rng = np.random.default_rng(3)
    half = days(rng, 90, 0.3, common=0.2), days(rng, 90, 0.3, common=0.2, shift=0.6)
    later = Series(np.concatenate([one.bins for one in half]), np.zeros(180), np.full(180, ROWS))
    assert e_of_batches(days(rng, 180, 0.3, common=0.2), later, is_ordered=True) > 1_000


def test_a_month_of_a_season_is_held_against_months_not_against_days():
    season = 0.8 * np.sin(np.arange(730) / 365 * 2 * np.pi)
    rng = np.random.default_rng(4)
    values = rng.normal(season[:, None], 1, (730, 200))
    bins = histograms(values)
    two_years = Series(bins, np.zeros(730), np.full(730, 200))
    july = Series(bins[180:210], np.zeros(30), np.full(30, 200))
    assert e_of_batches(two_years, july, is_ordered=True) < 20


def test_missing_values_are_evidence_of_their_own():
    rng = np.random.default_rng(5)
    one, two = days(rng, 60, 0.3), days(rng, 60, 0.3)
    lost = Series(two.bins, np.full(60, 0.2), two.rows)
    assert e_of_batches(one, two, is_ordered=True) < 20
    assert e_of_batches(one, lost, is_ordered=True) > 1_000
    gone = Series(np.zeros_like(two.bins), np.ones(60), two.rows)
    assert e_of_batches(one, gone, is_ordered=True) > 1_000


def test_too_few_days_prove_nothing():
    rng = np.random.default_rng(6)
    assert e_of_batches(days(rng, 60, 0.0), days(rng, 9, 0.0, shift=3.0), is_ordered=True) == 1.0


def test_categories_are_followed_by_their_shares():
    rng = np.random.default_rng(7)
    one, two = (rng.multinomial(400, shares, size=60) for shares in ([0.4, 0.3, 0.2, 0.1], [0.3, 0.3, 0.2, 0.2]))
    rest = np.zeros(60), np.full(60, 400)
    assert e_of_batches(Series(one, *rest), Series(two, *rest), is_ordered=False) > 100
    assert e_of_batches(Series(one, *rest), Series(one[::-1], *rest), is_ordered=False) <= 1.0
