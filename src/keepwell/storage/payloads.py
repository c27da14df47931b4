"""The rows of one commit as bytes, while they wait in the record: an Arrow stream, and a checksum at its end."""

from __future__ import annotations

import io
from hashlib import sha256

import polars as pl

COMMIT, KNOWN = "_commit", "_known"  # columns that a table adds to its rows
MARK, SUM_BYTES = b"KWSUM1\n", 32  # what a payload ends with, after its SHA-256
SMALL_ROWS = 500  # fewer rows are not worth compressing


def normal(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in the few types that tables hold: whole numbers and decimals in 64 bits, texts, booleans, times.

    Columns without any type (all null) are left out: they say nothing, and a later type would contradict them.
    """
    changed = []
    for name, kind in frame.schema.items():
        if kind.is_integer() and kind != pl.Int64:
            changed.append(pl.col(name).cast(pl.Int64))
        elif kind in (pl.Float32, pl.Decimal):
            changed.append(pl.col(name).cast(pl.Float64))
        elif kind in (pl.Categorical, pl.Enum):
            changed.append(pl.col(name).cast(pl.String))
    empty = [name for name, kind in frame.schema.items() if kind == pl.Null]
    return (frame.with_columns(changed) if changed else frame).drop(empty) if changed or empty else frame


def to_bytes(frame: pl.DataFrame) -> bytes:
    """The rows as they wait in the record, without the columns that the table adds."""
    buffer = io.BytesIO()
    own = [name for name in (COMMIT, KNOWN) if name in frame.columns]
    (frame.drop(own) if own else frame).write_ipc_stream(buffer, compression="zstd" if frame.height > SMALL_ROWS else "uncompressed")
    # The database would not notice a changed byte; a checksum at the end of each payload does.
    return buffer.getvalue() + sha256(buffer.getvalue()).digest() + MARK


def from_bytes(content: bytes) -> pl.DataFrame | None:
    """The rows again; None when a byte has changed."""
    if not content.endswith(MARK):
        return None
    body = memoryview(content)[: -len(MARK) - SUM_BYTES]
    if sha256(body).digest() != content[len(body) : -len(MARK)]:
        return None
    return pl.read_ipc_stream(io.BytesIO(body))
