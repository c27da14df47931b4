"""Do training and serving compute the same? The champion's kept answers, beside those that a build makes anew from the data.

A build asks the champion about its held-out rows through the training path. The ledger holds what the champion said about many of
them when they were new. Where the data is what it was then, both must be the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.orchestration.context import Context
from keepwell.serving import representative
from keepwell.storage import KNOWN, Event, record_event

MOST_ROWS = 2000  # of the newest answers
SAME = 1e-9  # relative: sums over other batches may differ in their last bits


def replay(context: Context, number: int, keys: pl.DataFrame, answered: np.ndarray, as_of: datetime) -> dict[str, Any] | None:
    """Compare kept answers of a version with new ones to the same rows; None when the ledger holds none.

    Parameters
    ----------
    keys : the rows' entity and time, in that order.
    answered : the version's answers now, from the data as it is now; NaN where it made no row.

    Returns
    -------
    `rows` that were compared, `differ` of them, `largest` difference, and `restated`: rows left out because something within their
    look-back became known only after they were answered.
    """
    if keys.is_empty():
        return None
    since = keys[keys.columns[1]].min()
    assert isinstance(since, datetime)
    kept = context.predictions.rows(since=since, until=as_of)
    if kept.is_empty() or (kept := representative(kept).filter((pl.col("version") == number) & (pl.col("origin") == "batch"))).is_empty():
        return None
    entity, time = keys.columns
    again = pl.DataFrame({"entity": keys[entity].cast(pl.String), "time": keys[time], "again": answered})
    rows = kept.select("entity", "time", "answer", "made_at").join(again, on=["entity", "time"], how="inner").sort("time").tail(MOST_ROWS)
    if rows.is_empty():
        return None
    lookback = timedelta(days=context.predictor(number).model.lookback_days)
    known = context.observations.rows(since=rows["time"][0] - lookback, until=as_of)
    steady = ~later_known(rows, known.select(pl.col(context.outline.time).alias("time"), KNOWN), lookback)
    was, now = rows["answer"].to_numpy()[steady], rows["again"].to_numpy()[steady]
    apart = np.abs(now - was)
    differ = ~(apart <= SAME * np.maximum(np.abs(was), 1.0))  # NaN differs
    found = apart[np.isfinite(apart)]
    return {
        "version": number,
        "rows": int(steady.sum()),
        "differ": int(differ.sum()),
        "largest": float(found.max(initial=0.0)),
        "restated": int((~steady).sum()),
    }


def later_known(rows: pl.DataFrame, known: pl.DataFrame, lookback: timedelta) -> np.ndarray:
    """For which rows did something within their look-back become known after they were answered?

    Parameters
    ----------
    rows : with `time` and `made_at`. known : `time` of what is known, and since when (`_known`).
    """
    known = known.sort("time")
    times, since = known["time"].to_numpy(), known[KNOWN].to_numpy()
    first = np.searchsorted(times, (rows["time"] - lookback).to_numpy(), "left")
    end = np.searchsorted(times, rows["time"].to_numpy(), "right")
    made = rows["made_at"].to_numpy()
    return np.array([bool((since[a:b] > moment).any()) for a, b, moment in zip(first, end, made, strict=True)])


def tell_replay(connection: sa.Connection, model: str, key: str, as_of: datetime, found: dict[str, Any] | None) -> None:
    """Put what came of it on the timeline, once per key; nothing where nothing was compared."""
    if not found or not found["rows"]:
        return
    many = f"{found['rows']:,} kept answers of version {found['version']} were made again from the data"
    how = f"{found['differ']:,} differ, by {found['largest']:.3g} at most" if found["differ"] else "all are the same"
    left = f" ({found['restated']:,} left out: their data was restated since)" if found["restated"] else ""
    record_event(connection, model, key, Event("replayed", as_of, f"{many}: {how}{left}", {**found, "passed": not found["differ"]}))
