"""A model's fingerprint by its answers."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from keepwell.training.golden import golden_digest, golden_rows

X = pl.DataFrame({"a": range(100)})


def test_the_same_seed_draws_the_same_rows_in_order():
    rows = golden_rows(X, n=32, seed=5)
    assert rows.equals(golden_rows(X, n=32, seed=5))
    assert rows["a"].is_sorted() and rows["a"].n_unique() == 32
    assert not rows.equals(golden_rows(X, n=32, seed=6))


def test_few_rows_are_all_drawn():
    assert golden_rows(X[:7])["a"].to_list() == list(range(7))


@given(st.lists(st.floats(), min_size=1, max_size=9), st.integers(0, 8))
def test_one_bit_changes_the_digest(answers, at):
    values = np.array(answers)
    changed = values.copy()
    changed[at % len(values)] = np.nextafter(np.nan_to_num(values[at % len(values)], posinf=1.0, neginf=1.0), 2e308) + 0.0
    assert golden_digest(values) == golden_digest(values.copy())
    if not np.array_equal(values, changed, equal_nan=True):
        assert golden_digest(values) != golden_digest(changed)


def test_the_digest_does_not_depend_on_the_kind_of_zero_or_nan():
    other_nan = np.array([0x7FF8000000000001], "<u8").view("<f8")
    assert golden_digest([0.0, np.nan]) == golden_digest(np.concatenate([[-0.0], other_nan]))
