"""The door for frames: any kind comes in, polars goes on inside, the scientist's kind goes back out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import narwhals as nw
import polars as pl

from keepwell.errors import FunctionBroken, SchemaMismatch

ALL = "_entity"  # entity column of a model that has none
MOMENT = pl.Datetime("us", "UTC")


def to_polars(frame: Any, what: str) -> pl.DataFrame:
    """Any eager or lazy frame (polars, pandas, Arrow, ...) as a polars DataFrame.

    Raises
    ------
    FunctionBroken : it is no frame.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    try:
        eager = nw.from_native(frame, eager_only=True)
    except TypeError:
        raise FunctionBroken(
            what, f"returned {type(frame).__name__}, not a frame", "Return a polars or pandas DataFrame or an Arrow table."
        ) from None
    converted: pl.DataFrame = eager.to_polars()
    return converted


def to_kind(frame: pl.DataFrame, kind: Literal["polars", "pandas"]) -> Any:
    """The frame as the scientist's functions want it."""
    return frame if kind == "polars" else frame.to_pandas()


def canonical(frame: pl.DataFrame, *, entity: str | None, time: str, what: str) -> pl.DataFrame:
    """The frame with an aware UTC time column and a text entity column.

    Raises
    ------
    SchemaMismatch : the entity or time column is missing.
    FunctionBroken : the time column holds no times.
    """
    if frame.is_empty():  # nothing new is an answer, however bare the frame it came in
        names: dict[str, Any] = {entity or ALL: pl.String, time: MOMENT}
        return frame.drop([name for name in names if name in frame.columns]).with_columns(
            pl.Series(name, [], dtype=kind) for name, kind in names.items()
        )
    needed = [name for name in (entity, time) if name is not None]
    if missing := [name for name in needed if name not in frame.columns]:
        raise SchemaMismatch(what, missing, frame.columns, "Model(entity=..., time=...) names these columns.")
    if frame.schema[time] != MOMENT:
        frame = frame.with_columns(_as_moment(frame[time], what))
    if entity is None:
        return frame.with_columns(pl.lit("all").alias(ALL))
    if frame.schema[entity] == pl.String:
        return frame
    ids = frame[entity]
    if ids.dtype.is_float() and (ids.drop_nulls().drop_nans() % 1 == 0).all():
        ids = ids.fill_nan(None).cast(pl.Int64)  # pandas writes whole numbers with a gap as 1.0; their name is "1"
    return frame.with_columns(ids.cast(pl.String))


def key_of(entity: str | None, time: str) -> tuple[str, str]:
    """The columns that name a row."""
    return (entity or ALL, time)


def _as_moment(column: pl.Series, what: str) -> pl.Series:
    kind = column.dtype
    if kind == MOMENT:
        return column
    if isinstance(kind, pl.Datetime):
        return (
            column.cast(pl.Datetime("us", kind.time_zone)).dt.convert_time_zone("UTC")
            if kind.time_zone
            else column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        )
    if kind == pl.Date:
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if kind == pl.String:
        try:
            return column.str.to_datetime(time_unit="us", time_zone="UTC")
        except pl.exceptions.PolarsError:
            pass
    raise FunctionBroken(what, f"returned column '{column.name}' of type {kind}, not dates or datetimes")


def changed_rows(fetched: pl.DataFrame, stored: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows of `fetched` that `stored` does not have, and rows whose values differ from the stored ones.

    Both frames have one row per key, `stored` in order of time. A column that only one side has counts as a difference
    when it holds a value.
    """
    if fetched.is_empty() or stored.is_empty():
        return fetched, fetched.clear()
    if (same := _unchanged(fetched, stored, key)) is not None:
        return fetched.slice(same), fetched.clear()
    known = [name for name in fetched.columns if name in stored.columns]
    there = pl.lit(True).alias("_there")
    beside = fetched.lazy().join(stored.lazy().select(*known, there), on=list(key), how="left", suffix="__stored", maintain_order="left")
    differs = pl.lit(False)
    for name in fetched.columns:
        if name in key:
            continue
        if name in known and not _comparable(fetched.schema[name], stored.schema[name]):
            differs = pl.lit(True)
            continue
        other = pl.col(f"{name}__stored") if name in known else pl.lit(None)
        differs = differs | pl.col(name).ne_missing(other)
    is_new = pl.col("_there").is_null()
    kinds = pl.when(is_new).then(1).when(differs).then(2).otherwise(0).alias("_kind")
    judged = beside.with_columns(kinds).filter(pl.col("_kind") > 0).select(*fetched.columns, "_kind").collect()
    new, changed = (judged.filter(pl.col("_kind") == kind).drop("_kind") for kind in (1, 2))
    return new, changed


def _comparable(one: pl.DataType, other: pl.DataType) -> bool:
    return one == other or (one.is_numeric() and other.is_numeric()) or pl.Null in (one, other)


def _unchanged(fetched: pl.DataFrame, stored: pl.DataFrame, key: Sequence[str]) -> int | None:
    """How many of the first rows are exactly the stored ones, when all stored ones of that time are there. None: look closer.

    This is what nearly every look at the last days finds, and it is found without a join.
    """
    time = next((name for name in key if fetched.schema[name] == MOMENT), None)
    kinds = stored.schema
    if time is None or any(name not in kinds or not _comparable(kind, kinds[name]) for name, kind in fetched.schema.items()):
        return None
    times = fetched[time].to_numpy()
    if fetched[time].has_nulls() or (times[1:] <= times[:-1]).any():
        return None
    first = int(stored[time].to_numpy().searchsorted(times[0]))
    height = stored.height - first
    if height > fetched.height:
        return None
    is_same = all(column.head(height).equals(stored[column.name].slice(first)) for column in fetched.iter_columns())
    return height if is_same else None
