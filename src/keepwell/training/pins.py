"""Pinned inputs: the rows a build read, kept as files named by their content, so that it can be repeated without the tables.

Rows are kept in pieces, one for each calendar year: years that did not change are shared by all versions. Each piece has two
names. `content` is a digest of what the rows say, the same in any store and with any version of polars; it enters
identities. `file` is the digest of the Parquet bytes, which is how the artifact store finds and verifies it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from keepwell.storage import COMMIT, KNOWN, ArtifactStore
from keepwell.training.prepare import from_bytes, to_bytes

Pins = dict[str, dict[str, str]]  # year -> {"content": digest, "file": digest}


def pin(artifacts: ArtifactStore, rows: pl.DataFrame, time: str) -> Pins:
    """Keep `rows` by the year of their `time` column, in their order; what Keepwell noted beside each row is left out."""
    rows = rows.drop(COMMIT, KNOWN, strict=False)
    if rows.is_empty():
        return {}
    years = rows.with_columns(_year=pl.col(time).dt.year()).partition_by("_year", as_dict=True, include_key=False, maintain_order=True)
    return {str(year): {"content": content_digest(part), "file": artifacts.put(to_bytes(part))} for (year,), part in sorted(years.items())}


def unpin(artifacts: ArtifactStore, pins: Pins, *, time: str, since: datetime | None = None) -> pl.DataFrame:
    """The rows again, or those from `since` on; years before are not read.

    Raises
    ------
    ArtifactMissing, ArtifactCorrupt : a piece was lost or changed; says which.
    """
    parts = [from_bytes(artifacts.get(one["file"])) for year, one in sorted(pins.items()) if since is None or int(year) >= since.year]
    rows = pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame()
    return rows if since is None or rows.is_empty() else rows.filter(pl.col(time) >= since)


def content_of(pins: Pins) -> str:
    """One digest of all pieces."""
    return hashlib.sha256(json.dumps({year: one["content"] for year, one in pins.items()}, sort_keys=True).encode()).hexdigest()


def content_digest(rows: pl.DataFrame) -> str:
    """SHA-256 of what a frame says: names, types and values in order, whatever its chunks or the bytes it was read from.

    Little-endian 64-bit values; all NaN are one NaN and -0.0 is 0.0; a null differs from every value. Texts are UTF-8 with
    their lengths. Types count by kind: an 8-bit 1 and a 64-bit 1 are the same number.

    Examples
    --------
    >>> content_digest(pl.DataFrame({"a": [1, 2]})) == content_digest(pl.DataFrame({"a": [1, 2]}, schema={"a": pl.Int8}))
    True
    """
    digest = hashlib.sha256(str(rows.height).encode())
    for column in rows.iter_columns():
        kind, pieces = _values(column)
        digest.update(json.dumps([column.name, kind]).encode())
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def _values(column: pl.Series) -> tuple[str, list[Any]]:
    kind = column.dtype
    if kind.is_float():
        values = column.cast(pl.Float64).fill_null(0.0).to_numpy().astype("<f8") + 0.0
        values[np.isnan(values)] = np.nan
        return "number", [values.tobytes()]
    if kind.is_integer() or kind == pl.Boolean:
        return "whole" if kind != pl.Boolean else "truth", [_whole(column)]
    if isinstance(kind, pl.Datetime):
        return f"moment {kind.time_zone}", [_whole(column.dt.cast_time_unit("us"))]
    if kind in (pl.Date, pl.Time) or isinstance(kind, pl.Duration):
        return str(kind), [_whole(column)]
    if kind in (pl.Categorical, pl.Enum):
        return _values(column.cast(pl.String))
    if kind == pl.String:
        texts = column.fill_null("")
        return "text", [texts.str.len_bytes().to_numpy().astype("<u4").tobytes(), "".join(texts.to_list()).encode()]
    if kind == pl.Null:
        return "null", []
    return "other", [json.dumps(column.to_list(), default=repr, sort_keys=True).encode()]


def _whole(column: pl.Series) -> bytes:
    physical = column.to_physical().fill_null(False if column.dtype == pl.Boolean else 0)
    return bytes((physical if physical.dtype == pl.UInt64 else physical.cast(pl.Int64)).to_numpy().astype("<i8", copy=False).tobytes())
