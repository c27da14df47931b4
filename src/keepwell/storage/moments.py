"""Moments as the whole numbers that frames and indexes are made of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

MOMENT = pl.Datetime("us", "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(times: pl.Series) -> np.ndarray:
    """Moments as microseconds since 1970."""
    return times.to_numpy().view(np.int64)


def to_micros(moment: datetime) -> int:
    """A moment as microseconds since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def literal(moment: datetime) -> pl.Expr:
    """A moment as an expression. polars makes a whole column of a Python datetime with a zone, which is slow for one value."""
    return pl.lit(to_micros(moment), pl.Int64).cast(MOMENT)
