"""Read tables from wherever they are, a block at a time: frames, Parquet, Delta tables.

A block is a few columns of a long stretch of rows. Parquet stores columns apart but cuts rows into groups, of which a slice that
begins within one reads all: long stretches read few groups twice, and few columns keep them small (`docs/profiles.md` has what
other ways cost). Polars' stream of batches runs ahead of a slow reader and then holds gigabytes; it is used only where slices cannot
be, for queries and Delta tables.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from polars.exceptions import PolarsError

from keepwell.errors import SourceInvalid, TableInvalid

BLOCK_CELLS = 4_000_000  # of 8 bytes each: 32 MB at a time
STRETCH_ROWS = 1 << 20  # a whole number of the row groups that Polars and Arrow write, if nobody says otherwise
BATCH_ROWS = 50_000  # of a stream, which gives all columns at once
SAMPLE_ROWS, SAMPLE_PLACES = 12_000, 3  # each place unpacks a page of every column, in a short file a third of it
Table = TypeVar("Table", pl.LazyFrame, pl.DataFrame)


@dataclass(frozen=True)
class Rows:
    """A table to be read once.

    Parameters
    ----------
    name : for messages.
    schema : its columns' types.
    parts : frames, queries or one query a file, in order.
    heights : rows of each part, or None where that is not known without reading it: such a part is streamed, not sliced.
    """

    name: str
    schema: pl.Schema
    parts: tuple[pl.LazyFrame | pl.DataFrame, ...]
    heights: tuple[int | None, ...]

    def height(self) -> int | None:
        """How many rows there are, where that is known without reading them."""
        known = [height for height in self.heights if height is not None]
        return sum(known) if len(known) == len(self.heights) else None

    def blocks(self, keys: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[int, pl.DataFrame]]:
        """All rows of these columns, each once: the number of a stretch of rows, and a block of it.

        Stretches come in order, the blocks of one after each other; the first of them holds the keys. The next block is read meanwhile.
        """
        coming = self._read(keys, [name for name in columns if name not in keys])
        with ThreadPoolExecutor(1) as reader:
            block = reader.submit(next, coming, None)
            while (found := block.result()) is not None:
                block = reader.submit(next, coming, None)
                yield found

    def _read(self, keys: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[int, pl.DataFrame]]:
        try:
            for number, (rows, height) in enumerate(self._stretches([*keys, *columns])):
                width = max(1, BLOCK_CELLS // max(height, 1))
                for first in range(0, max(len(columns), 1), width):
                    wanted = [*(() if first else keys), *columns[first : first + width]]
                    yield number, _only(rows, wanted) if isinstance(rows, pl.DataFrame) else _only(rows, wanted).collect()
        except (PolarsError, OSError) as error:
            raise SourceInvalid(self.name, f"could not be read to its end: {first_line(error)}", "Nothing was profiled.") from None

    def _stretches(self, columns: Sequence[str]) -> Iterator[tuple[pl.LazyFrame | pl.DataFrame, int]]:
        """Stretches of rows and their heights; of a file nothing is read yet."""
        for part, height in zip(self.parts, self.heights, strict=True):
            if height is None:
                batches = part.lazy().select(columns).collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)
                yield from ((batch, batch.height) for batch in batches)
                continue
            for first in range(0, height, STRETCH_ROWS):
                yield part.slice(first, STRETCH_ROWS), min(STRETCH_ROWS, height - first)

    def sample(self, block: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
        """About 12,000 rows from three places, so that a file in time order shows its seasons; the first rows of a query.

        They are taken from `block`, the first that holds these columns, where it has them: reading them again would cost as much.
        """
        height, part = self.height(), SAMPLE_ROWS // SAMPLE_PLACES
        if height is None or height <= SAMPLE_ROWS:
            places = [(0, SAMPLE_ROWS)]
        else:
            places = [((2 * place + 1) * (height - part) // (2 * SAMPLE_PLACES), part) for place in range(SAMPLE_PLACES)]
        if block.height == height or (height is None and block.height >= SAMPLE_ROWS):
            return pl.concat([block.select(columns).slice(first, n) for first, n in places])
        types = pl.Schema({name: self.schema[name] for name in columns})
        return pl.concat([piece.cast(types, strict=False) for first, n in places for piece in self._slices(columns, first, n)])

    def _slices(self, columns: Sequence[str], first: int, n: int) -> Iterator[pl.DataFrame]:
        """Rows first to first + n, from the parts that hold them."""
        try:
            for part, height in zip(self.parts, self.heights, strict=True):
                if height is None or first < height:
                    piece = _only(part.lazy(), columns).slice(first, n).collect()
                    yield piece
                    n -= piece.height
                first = max(0, first - (height or 0))
                if n <= 0:
                    return
        except (PolarsError, OSError) as error:
            raise SourceInvalid(self.name, f"could not be read: {first_line(error)}", "Nothing was profiled.") from None


def _only(rows: Table, columns: Sequence[str]) -> Table:
    """These columns; nulls for those that one of several files does not have."""
    held = rows.collect_schema()
    return rows.with_columns(pl.lit(None).alias(name) for name in columns if name not in held).select(columns)


def open_rows(source: Any) -> Rows:
    """Find out what a source is.

    Parameters
    ----------
    source : a polars DataFrame or LazyFrame; a pandas frame, an Arrow table or another eager frame that narwhals knows;
        a path or URL of a Parquet file, a folder of them, a pattern such as `days/*.parquet`, or a Delta table.

    Raises
    ------
    SourceInvalid : when there is nothing at the path, or it is no Parquet.
    TableInvalid : when it is neither frame nor path.
    """
    if isinstance(source, pl.DataFrame):
        return Rows("the frame", source.schema, (source,), (source.height,))
    if isinstance(source, pl.LazyFrame):
        return _query("the query", source)
    if isinstance(source, str | Path):
        return _path(str(source))
    import narwhals as nw

    try:
        frame = nw.from_native(source, eager_only=True).to_polars()
    except (TypeError, ValueError, PolarsError) as error:  # pyarrow's errors, when pandas holds a column of mixed types, are these too
        raise TableInvalid(
            f"A {type(source).__name__} cannot be profiled: {first_line(error)}",
            "Give a polars, pandas or Arrow frame, or the path of a Parquet file, a folder of them or a Delta table.",
        ) from None
    return Rows("the frame", frame.schema, (frame,), (frame.height,))


def _path(name: str) -> Rows:
    local, is_remote = Path(name), "://" in name
    if (local / "_delta_log").is_dir() or (is_remote and _is_delta(name)):
        return _query(name, pl.scan_delta(name))
    if is_remote:
        return _files(name, [name])
    if local.is_dir():
        found = sorted(str(path) for path in local.rglob("*.parquet"))
        if not found:
            raise SourceInvalid(name, "is a folder without Parquet files", "Name a folder of *.parquet files or a Delta table.")
        return _files(name, found)
    found = [name] if local.exists() else sorted(glob.glob(name, recursive=True))
    if not found:
        raise SourceInvalid(name, "does not exist", "Name a Parquet file, a folder of them, a pattern or a Delta table.")
    return _files(name, found)


def _is_delta(url: str) -> bool:
    from deltalake import DeltaTable

    return bool(DeltaTable.is_deltatable(url))


def _files(name: str, paths: Sequence[str]) -> Rows:
    """Parquet files, one after the other; a column is of the type that the first file with it gives it."""
    schema: dict[str, pl.DataType] = {}
    parts, heights = [], []
    for path in paths:
        try:
            part = pl.scan_parquet(path, glob=False)
            schema = {**part.collect_schema(), **schema}
            heights.append(int(part.select(pl.len()).collect().item()))
        except (PolarsError, OSError) as error:
            hint = "Name a Parquet file, a folder of them, a pattern or a Delta table. A CSV: pl.read_csv(path).write_parquet(...)."
            raise SourceInvalid(path, f"is not Parquet that can be read: {first_line(error)}", hint) from None
        parts.append(part)
    return Rows(name, pl.Schema(schema), tuple(parts), tuple(heights))


def _query(name: str, table: pl.LazyFrame) -> Rows:
    try:
        return Rows(name, table.collect_schema(), (table,), (None,))
    except (PolarsError, OSError) as error:
        raise SourceInvalid(name, f"cannot be read: {first_line(error)}", "Collect it first to see what is wrong.") from None


def first_line(error: Exception) -> str:
    """A library's message without what follows its first line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
