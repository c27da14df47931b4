"""A profile as bytes: a line that names the format, a JSON header, and the arrays after it, packed with zlib.

No code is in it and none is run to read it. The header lists each array's type and shape in the order they follow, so another
program can read a profile with zlib and a JSON parser.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from keepwell.errors import ProfileInvalid
from keepwell.profiling.columns import COUNTED, MOMENTS, Column, width
from keepwell.profiling.rulers import Counts, NumberRuler, WordRuler

MAGIC = b"keepwell profile\n"
VERSION = 1
LENGTH = struct.Struct("<HQQ")  # version, bytes of the header, bytes of all arrays unpacked
ARRAYS = ("counts", "moments", "bins", "fine")
LARGEST = 1 << 32  # bytes that reading may unpack


def pack(facts: Mapping[str, Any], rows: Counts, columns: Mapping[str, Column]) -> bytes:
    """Write."""
    listed, arrays = [], [np.ascontiguousarray(rows, dtype="<i8")]
    for name, column in columns.items():
        mine = [np.ascontiguousarray(getattr(column, key), dtype="<f8" if key == "moments" else "<i8") for key in ARRAYS]
        arrays += mine
        listed.append(
            {
                "name": name,
                "kind": column.kind,
                "dtype": column.dtype,
                "ruler": _ruler_facts(column.ruler),
                "others": dict(column.others),
                "shapes": [array.shape for array in mine],
            }
        )
    header = json.dumps({**facts, "columns": listed}, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    body = b"".join(array.tobytes() for array in arrays)
    return MAGIC + LENGTH.pack(VERSION, len(header), len(body)) + header + zlib.compress(body, 1)


def unpack(content: bytes) -> tuple[dict[str, Any], Counts, dict[str, Column]]:
    """Read.

    Raises
    ------
    ProfileInvalid : when it is something else, is cut short, contradicts itself, or is of a newer version.
    """
    start = len(MAGIC) + LENGTH.size
    if content[: len(MAGIC)] != MAGIC or len(content) < start:
        raise ProfileInvalid("they do not begin as a profile does")
    version, header_length, body_length = LENGTH.unpack(content[len(MAGIC) : start])
    if version != VERSION:
        raise ProfileInvalid(f"they are of version {version}, this Keepwell reads version {VERSION}")
    if body_length > LARGEST:
        raise ProfileInvalid(f"they would unpack to {body_length:,} bytes")
    try:
        facts = json.loads(content[start : start + header_length].decode("utf-8", "surrogatepass"))
        packed = zlib.decompressobj()
        body = packed.decompress(content[start + header_length :], body_length + 1)
        if len(body) != body_length or not packed.eof:
            raise ProfileInvalid("they are cut short or longer than they say")
        return _read(facts, body)
    except (zlib.error, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ProfileInvalid):
            raise
        raise ProfileInvalid(f"they are damaged ({type(error).__name__})") from None


def _read(facts: dict[str, Any], body: bytes) -> tuple[dict[str, Any], Counts, dict[str, Column]]:
    place = 0

    def take(shape: tuple[int, ...], dtype: str) -> Any:
        nonlocal place
        n = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(body, dtype=dtype, count=n, offset=place).reshape(shape)
        place += array.nbytes
        return array

    listed = facts.pop("columns")
    segments = len(facts["segments"])
    rows = take((segments,), "<i8")
    columns = {}
    for one in listed:
        ruler = _ruler(one["ruler"])
        bins, cells = width(ruler)
        shapes = [tuple(int(n) for n in shape) for shape in one["shapes"]]
        expected = [(segments, len(COUNTED)), (segments, len(MOMENTS)), (segments, bins), (shapes[3][0], cells)]
        if shapes != expected:
            raise ProfileInvalid(f"column {one['name']!r} has arrays of other shapes than its ruler asks for")
        arrays = {key: take(shape, "<f8" if key == "moments" else "<i8") for key, shape in zip(ARRAYS, shapes, strict=True)}
        others = {str(name): int(n) for name, n in one["others"].items()}
        columns[str(one["name"])] = Column(kind=str(one["kind"]), dtype=str(one["dtype"]), ruler=ruler, others=others, **arrays)
    if place != len(body):
        raise ProfileInvalid("they hold more than their header names")
    return {name: facts[name] for name in ("time", "every", "by", "segments")}, rows, columns


def _ruler_facts(ruler: NumberRuler | WordRuler | None) -> dict[str, Any] | None:
    if isinstance(ruler, NumberRuler):
        return {"centre": ruler.centre, "octave": ruler.octave, "cuts": ruler.cuts, "atoms": ruler.atoms}
    return {"watched": ruler.watched} if isinstance(ruler, WordRuler) else None


def _ruler(facts: dict[str, Any] | None) -> NumberRuler | WordRuler | None:
    if facts is None:
        return None
    if "watched" in facts:
        return WordRuler(tuple(str(name) for name in facts["watched"]))
    atoms = tuple((int(cell), float(value)) for cell, value in facts["atoms"])
    return NumberRuler(float(facts["centre"]), int(facts["octave"]), tuple(int(cell) for cell in facts["cuts"]), atoms)
