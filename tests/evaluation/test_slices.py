"""Scores of parts of the rows."""

import numpy as np
import polars as pl
import pytest

from keepwell.errors import SchemaMismatch
from keepwell.evaluation import by_slice, score

Y = np.array([1, 0, 1, 0, 1, 1.0])
P = np.array([0.9, 0.2, 0.4, 0.3, 0.6, 0.8])
SLICES = pl.DataFrame({"station": ["b", "a", "b", "a", "a", None], "half": ["1", "1", "1", "2", "2", "2"]})


def test_each_value_is_scored_like_its_own_rows():
    found = by_slice("binary", Y, P, SLICES)
    assert [(part.column, part.value, part.n) for part in found] == [
        ("station", "(missing)", 1),
        ("station", "a", 3),
        ("station", "b", 2),
        ("half", "1", 3),
        ("half", "2", 3),
    ]
    assert found[1].metrics == score("binary", Y[[1, 3, 4]], P[[1, 3, 4]])


def test_every_row_is_in_one_slice_of_each_column():
    found = by_slice("binary", Y, P, SLICES)
    assert [sum(part.n for part in found if part.column == column) for column in SLICES.columns] == [6, 6]


def test_numbers_may_slice_too():
    assert [part.value for part in by_slice("binary", Y, P, pl.DataFrame({"month": [1, 1, 2, 2, 3, 3]}))] == ["1", "2", "3"]


def test_no_columns_are_no_slices():
    assert by_slice("binary", Y, P, pl.DataFrame()) == []


def test_a_frame_of_other_length_is_refused():
    with pytest.raises(SchemaMismatch, match="6 rows"):
        by_slice("binary", Y, P, SLICES[:4])
