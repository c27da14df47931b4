"""A model's fingerprint by what it answers: the same rows, the same answers, bit by bit."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from numpy.typing import ArrayLike


def golden_rows(X: pl.DataFrame, n: int = 32, seed: int = 0) -> pl.DataFrame:
    """Draw the rows that are kept beside a version to ask it again later: at most `n`, without repeats, in frame order."""
    drawn = np.random.default_rng(seed).choice(X.height, size=min(n, X.height), replace=False)
    return X[np.sort(drawn)]


def golden_digest(answers: ArrayLike) -> str:
    """SHA-256 of the answers, bit-exact.

    Nothing is rounded: two numbers either side of a rounding edge differ by one bit and would round apart, so rounding
    only makes the difference rarer and harder to explain. Little-endian float64; all NaN are one NaN and -0.0 is 0.0.
    Equal on the same machine with the same packages; on another processor sums may differ in the last bit.

    Examples
    --------
    >>> golden_digest([0.5, -0.0]) == golden_digest([0.5, 0.0])
    True
    """
    values = np.array(answers, dtype="<f8") + 0.0  # -0.0 + 0.0 is 0.0
    values[np.isnan(values)] = np.nan
    return hashlib.sha256(values.tobytes()).hexdigest()
