"""Read rows from wherever they are, a chunk at a time: frames, Parquet, Delta tables.

Polars' streaming engine reads files in pieces and in parallel, so memory depends on the width of a table and not on its
length; it was the cheapest of the readers that were measured (`docs/profiles.md`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from keepwell.errors import FrameInvalid, SourceInvalid

CHUNK_CELLS = 8_000_000  # of 8 bytes each: 64 MB at a time
MOST_ROWS, FEWEST_ROWS = 250_000, 5_000
SAMPLE_ROWS, SAMPLE_PLACES = 32_000, 8


@dataclass(frozen=True)
class Rows:
    """A table to be read once: its name for messages, its columns' types, and where it is."""

    name: str
    schema: pl.Schema
    table: pl.LazyFrame | pl.DataFrame
    is_file: bool = False

    def height(self) -> int | None:
        """How many rows there are, where that is known without reading them."""
        if isinstance(self.table, pl.DataFrame):
            return self.table.height
        return int(self.table.select(pl.len()).collect().item()) if self.is_file else None

    def chunks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rows of these columns in order, at most a quarter of a million at a time."""
        n = max(FEWEST_ROWS, min(MOST_ROWS, CHUNK_CELLS // max(len(columns), 1)))
        if isinstance(self.table, pl.DataFrame):
            yield from self.table.select(columns).iter_slices(n)
            return
        try:
            yield from self.table.select(columns).collect_batches(chunk_size=n, maintain_order=True)
        except (PolarsError, OSError) as error:
            raise SourceInvalid(self.name, f"could not be read to its end: {first_line(error)}", "Nothing was profiled.") from None

    def sample(self, columns: Sequence[str], height: int | None) -> pl.DataFrame:
        """About 32,000 rows from eight places, so that a file in time order shows all of its seasons; the first rows of a query."""
        table = self.table.lazy().select(columns)
        if height is None or height <= SAMPLE_ROWS:
            return self._collected(table.head(SAMPLE_ROWS))
        part = SAMPLE_ROWS // SAMPLE_PLACES
        places = [(height - part) * place // (SAMPLE_PLACES - 1) for place in range(SAMPLE_PLACES)]
        return pl.concat([self._collected(table.slice(place, part)) for place in places])

    def _collected(self, table: pl.LazyFrame) -> pl.DataFrame:
        try:
            return table.collect()
        except (PolarsError, OSError) as error:
            raise SourceInvalid(self.name, f"could not be read: {first_line(error)}", "Nothing was profiled.") from None


def open_rows(source: Any) -> Rows:
    """Find out what a source is.

    Parameters
    ----------
    source : a polars DataFrame or LazyFrame; a pandas frame, an Arrow table or another eager frame that narwhals knows;
        a path or URL of a Parquet file, a folder of them, a pattern such as `days/*.parquet`, or a Delta table.

    Raises
    ------
    SourceInvalid : when there is nothing at the path, or it is no Parquet.
    FrameInvalid : when it is neither frame nor path.
    """
    if isinstance(source, pl.DataFrame):
        return Rows("the frame", source.schema, source)
    if isinstance(source, pl.LazyFrame):
        return _lazy("the query", source, is_file=False)
    if isinstance(source, str | Path):
        return _path(str(source))
    import narwhals as nw

    try:
        frame = nw.from_native(source, eager_only=True).to_polars()
    except (TypeError, ValueError, PolarsError) as error:  # pyarrow's errors, when pandas holds a column of mixed types, are these too
        raise FrameInvalid(
            f"A {type(source).__name__} cannot be profiled: {first_line(error)}",
            "Give a polars, pandas or Arrow frame, or the path of a Parquet file, a folder of them or a Delta table.",
        ) from None
    return Rows("the frame", frame.schema, frame)


def _path(name: str) -> Rows:
    local = Path(name)
    is_remote = "://" in name
    if local.is_dir() and (local / "_delta_log").is_dir():
        return _lazy(name, pl.scan_delta(name), is_file=True)
    if is_remote and _is_delta(name):
        return _lazy(name, pl.scan_delta(name), is_file=True)
    if local.is_dir():
        if not any(local.rglob("*.parquet")):
            raise SourceInvalid(name, "is a folder without Parquet files", "Name a folder of *.parquet files or a Delta table.")
        return _lazy(name, pl.scan_parquet(local / "**/*.parquet", missing_columns="insert", extra_columns="ignore"), is_file=True)
    if not is_remote and not local.exists() and not any(sign in name for sign in "*?["):
        raise SourceInvalid(name, "does not exist", "Name a Parquet file, a folder of them, a pattern or a Delta table.")
    return _lazy(name, pl.scan_parquet(name, missing_columns="insert", extra_columns="ignore"), is_file=True)


def _is_delta(url: str) -> bool:
    from deltalake import DeltaTable

    return bool(DeltaTable.is_deltatable(url))


def _lazy(name: str, table: pl.LazyFrame, *, is_file: bool) -> Rows:
    try:
        return Rows(name, table.collect_schema(), table, is_file)
    except (PolarsError, OSError) as error:
        hint = "Name a Parquet file, a folder of them, a pattern or a Delta table. A CSV: pl.read_csv(path).write_parquet(...)."
        raise SourceInvalid(name, f"is not Parquet that can be read: {first_line(error)}", hint) from None


def first_line(error: Exception) -> str:
    """A library's message without what follows its first line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
