"""Which rows belong together: a batch of event time (a day, say) and a slice (a value of one column)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from keepwell.errors import TableInvalid
from keepwell.profiling.rulers import Counts

Segment = tuple[str, str]
NO_TIME = ""  # the batch of rows whose time is null, and of all rows when no time column is named
MOST_SLICES = 200
MOST_RUNS = 5_000  # a chunk that changes its segment more often is sorted without counting first
SPAN = re.compile(r"[1-9]\d{0,5}(?:m|h|d|w|mo|q|y)")


@dataclass(frozen=True)
class Runs:
    """The segments of a chunk in the order they stand in: `keys` without repetition, `sizes` their rows, shape (runs,)."""

    keys: tuple[Segment, ...]
    sizes: Counts

    def of(self, rows: Counts) -> Counts:
        """The run that each row number belongs to."""
        return np.searchsorted(np.cumsum(self.sizes), rows, side="right").astype(np.int64)


def check_time(schema: pl.Schema, time: str | None, every: str) -> None:
    """Refuse a time column that does not name moments, and a span that is none."""
    if time is None:
        return
    dtype = schema[time]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        raise TableInvalid(
            f"Time column '{time}' has no time zone, so its days cannot be told",
            f"Say which one it is, for UTC: frame.with_columns(pl.col('{time}').dt.replace_time_zone('UTC')).",
        )
    if not isinstance(dtype, pl.Datetime | pl.Date):
        raise TableInvalid(
            f"Time column '{time}' is {dtype}, not a date or a time",
            f"Texts become times with pl.col('{time}').str.to_datetime(time_zone='UTC').",
        )
    if not SPAN.fullmatch(every):
        raise TableInvalid(f"A batch cannot be every '{every}'", "Write a span such as 1d, 12h, 1w or 1mo.")


def split(chunk: pl.DataFrame, time: str | None, every: str, by: str | None) -> tuple[pl.DataFrame, Runs]:
    """Put the rows of each segment side by side, and say where which one stands.

    Rows that stand so already, as in a file in time order, are not moved.
    """
    if time is None and by is None:
        return chunk, Runs(((NO_TIME, ""),), np.array([chunk.height], dtype=np.int64))
    batch = pl.col(time).cast(pl.Datetime("us", "UTC")).dt.truncate(every) if time else pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    piece = pl.col(by).cast(pl.String).fill_null("null") if by else pl.lit("")
    keys = chunk.select(batch.alias("batch"), piece.alias("slice"))
    first = _first_rows(keys)
    if first.size > MOST_RUNS or keys[first].is_duplicated().any():
        order = keys.select(pl.arg_sort_by("batch", "slice")).to_series()
        chunk, keys = chunk[order], keys[order]
        first = _first_rows(keys)
    named = tuple((label(moment), str(name)) for moment, name in keys[first].rows())
    return chunk, Runs(named, np.diff(first, append=chunk.height))


def _first_rows(keys: pl.DataFrame) -> Counts:
    """The rows at which a segment begins."""
    changed = np.zeros(keys.height, dtype=bool)
    changed[:1] = True
    for name in keys.columns:
        changed[1:] |= keys[name].ne_missing(keys[name].shift(1))[1:].to_numpy()
    return np.flatnonzero(changed).astype(np.int64)


def label(moment: datetime | None) -> str:
    """A batch's name: its first moment, UTC; names sort as the moments do."""
    if moment is None:
        return NO_TIME
    is_day = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return f"{moment:%Y-%m-%d}" if is_day else f"{moment:%Y-%m-%dT%H:%MZ}"


def check_slices(segments: Sequence[Segment], by: str | None) -> None:
    """Refuse a column that would make more slices than anyone could read."""
    names = {name for _, name in segments}
    if len(names) > MOST_SLICES:
        raise TableInvalid(
            f"Column '{by}' has more than {MOST_SLICES} values, each would be a slice",
            "Slice by a column with fewer, or group its values first.",
        )
