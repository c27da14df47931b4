"""Distances agree with SciPy, or with what can be worked out by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from keepwell.profiling.drift import (
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    psi,
    psi_by_chance,
    student_tails,
    wasserstein,
)

BEFORE, AFTER = np.array([50, 30, 20]), np.array([20, 30, 50])
SAMPLES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40).map(np.array)
COUNTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12).filter(
    lambda pairs: all(sum(side) > 0 for side in zip(*pairs, strict=True))
)


def test_psi_by_hand():
    """(0.2 - 0.5) ln(0.2 / 0.5) + 0 + (0.5 - 0.2) ln(0.5 / 0.2) = 0.6 ln 2.5."""
    assert psi(BEFORE, AFTER) == pytest.approx(0.6 * np.log(2.5))
    assert psi(BEFORE, BEFORE * 7) == pytest.approx(0)


def test_psi_of_an_empty_bin_is_large_but_finite():
    assert 1 < psi(np.array([50, 50]), np.array([0, 100])) < 10


def test_psi_by_chance_is_what_psi_is_when_nothing_changed():
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(2_000, [1 / 20] * 20, size=(400, 2))
    assert np.mean([psi(*pair) for pair in drawn]) == pytest.approx(psi_by_chance(*drawn[0]), rel=0.1)


@given(pairs=COUNTS)
def test_jensen_shannon_is_scipys(pairs):
    one, two = (np.array(side) for side in zip(*pairs, strict=True))
    assert jensen_shannon(one, two) == pytest.approx(jensenshannon(one, two, base=2), abs=1e-7)


@given(pairs=COUNTS)
@settings(deadline=None)
def test_chi_square_is_scipys(pairs):
    table = np.array(pairs).T
    held = table[:, table.sum(axis=0) > 0]
    wanted = stats.chi2_contingency(held, correction=False)
    assert chi_square(*table) == (pytest.approx(wanted.statistic, abs=1e-9), wanted.dof)


@given(one=SAMPLES, two=SAMPLES, cells=st.integers(2, 30))
def test_kolmogorov_smirnov_from_cells_holds_its_stated_error(one, two, cells):
    edges = np.linspace(-1e6, 1e6, cells + 1)
    value, error = kolmogorov_smirnov(np.histogram(one, edges)[0], np.histogram(two, edges)[0])
    with np.errstate(all="ignore"), warnings.catch_warnings():  # of its p-value, which is not asked for
        warnings.simplefilter("ignore")
        exact = stats.ks_2samp(one, two, method="asymp").statistic
    assert value - 1e-12 <= exact <= value + error + 1e-12


@given(one=SAMPLES, two=SAMPLES, cells=st.integers(2, 30))
def test_wasserstein_from_cells_is_within_a_cells_width(one, two, cells):
    edges = np.linspace(-1e6, 1e6, cells + 1)
    found = wasserstein(edges, np.histogram(one, edges)[0], np.histogram(two, edges)[0])
    assert found == pytest.approx(stats.wasserstein_distance(one, two), abs=np.diff(edges)[0] * 1.001)


def test_wasserstein_from_cells_by_hand():
    """All values one cell further: each moves by the cell's width."""
    assert wasserstein(np.array([0.0, 2.0, 4.0]), np.array([9, 0]), np.array([0, 3])) == pytest.approx(2.0)


@pytest.mark.parametrize("freedom", [1, 3, 4.5, 10.8, 40, 400])
def test_students_tails_are_scipys(freedom):
    for t in (1e-9, 0.01, 0.3, 1, 1.7, 3, 12, 80, 1e4):
        assert student_tails(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-8)
    assert student_tails(0, freedom) == 1
