"""Time columns as sources give them, brought to one type: Datetime in microseconds, UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import polars as pl

from keepwell.errors import SourceInvalid, listed

UTC_TIME = pl.Datetime("us", "UTC")
Epoch = Literal["s", "ms", "us"]


def to_utc(frame: pl.DataFrame, column: str, source: str, epoch: Epoch | None = None) -> pl.DataFrame:
    """Bring one column to Datetime("us", "UTC").

    Parameters
    ----------
    column : dates, datetimes (UTC when naive), ISO 8601 text, or numbers when `epoch` tells their unit since 1970.
    source : its name, for the refusal.

    Raises
    ------
    SourceInvalid : the column is not there or cannot be read as times.
    """
    if column not in frame.columns:
        problem = f"gave no column '{column}', but {listed(frame.columns)}"
        raise SourceInvalid(source, problem, "Set `time` in [source] to the column that holds the time.")
    kind = frame.schema[column]
    if kind.is_numeric() and epoch is None:
        problem = f"gave numbers ({kind}) in time column '{column}'"
        raise SourceInvalid(source, problem, "Give dates or ISO 8601 text, or set `epoch` where the kind has it.")
    try:
        return frame.with_columns(_as_utc(pl.col(column), kind, epoch))
    except pl.exceptions.PolarsError:
        example = next((str(value) for value in frame[column] if value is not None), "nothing")
        problem = f"gave times in column '{column}' that cannot be read, such as '{example[:40]}'"
        raise SourceInvalid(source, problem, "Give dates, or times in ISO 8601 such as 2024-05-01T06:00:00Z.") from None


def _as_utc(column: pl.Expr, kind: pl.DataType, epoch: Epoch | None) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        aware = column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")
        return aware.cast(UTC_TIME)
    if isinstance(kind, pl.String):
        return column.str.to_datetime(time_unit="us", time_zone="UTC")
    if kind.is_numeric():
        micros = {"s": 1_000_000, "ms": 1_000, "us": 1}[epoch or "us"]
        return (column * micros).round(0).cast(pl.Int64).cast(UTC_TIME)
    return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def between(frame: pl.DataFrame, column: str, since: datetime, until: datetime) -> pl.DataFrame:
    """The rows whose time lies from `since` to `until`, both inclusive, in time order."""
    return frame.filter(pl.col(column).is_between(since, until)).sort(column, maintain_order=True)
