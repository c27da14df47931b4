"""What one row cannot show: nulls that pile up, values that stop moving, a feed that stops.

The newest accepted rows and the batch are looked at together, so a batch of one row is judged like a batch of many.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from keepwell.validation.records import Column

RARE = -math.log(1e-4)
"""Evidence, in nats, at which 'it happened by chance' is given up."""

LEAST_RUN = 8


def run_lengths(values: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """How many equal values in a row end at each place; NaN is never equal, a new group starts anew.

    Examples
    --------
    >>> run_lengths(np.array([1.0, 1.0, 2.0, 2.0, 2.0])).tolist()
    [1, 2, 1, 2, 3]
    """
    starts = np.ones(values.size, dtype=bool)
    starts[1:] = values[1:] != values[:-1]
    if groups is not None:
        starts[1:] |= groups[1:] != groups[:-1]
    places = np.arange(values.size)
    return places - np.maximum.accumulate(np.where(starts, places, 0)) + 1


def is_null_spike(nulls: int, rows: int, allowed: float) -> bool:
    """Whether `nulls` of `rows` are too many for a column that may have a share `allowed` of them.

    Chernoff's bound on the binomial tail: P(share >= s) <= exp(-n KL(s || allowed)) (Chernoff 1952, Ann. Math. Stat. 23).
    Rows are taken as independent; the margin in `allowed` is there because outages are not.
    """
    if rows == 0 or nulls <= allowed * rows:
        return False
    share = nulls / rows
    divergence = share * math.log(share / max(allowed, 1e-6))
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - allowed))
    return rows * divergence > RARE


def vanished_run(is_null: np.ndarray, batch_rows: int, allowed: float) -> int:
    """Length of the run of nulls that ends the window and covers the batch; 0 when chance would explain it."""
    if not is_null[-batch_rows:].all():
        return 0
    present = np.flatnonzero(~is_null)
    run = int(is_null.size if present.size == 0 else is_null.size - 1 - present[-1])
    return run if run * -math.log(min(max(allowed, 1e-6), 0.9999)) > RARE else 0


def stuck_limit(column: Column) -> int | None:
    """How many equal values in a row are too many, or None when the column may repeat itself."""
    if column.may_be_constant or not column.quantiles or (column.low, column.high) == (0.0, 1.0):
        return None
    limit = max(LEAST_RUN, 2 * column.longest_run + 4)
    # Equal quantiles: values pile up at a cap, a floor or a step of the instrument, and runs there are honest.
    return 3 * limit if any(low == high for low, high in pairwise(column.quantiles)) else limit


def stale_since(newest: datetime | None, now: datetime, freshness_days: float | None) -> float | None:
    """Age in days of the newest row when it is too old, else None."""
    if newest is None or freshness_days is None or newest >= now - timedelta(days=freshness_days):
        return None
    return (now - newest) / timedelta(days=1)
