"""Tensors of the Open Inference Protocol: read from JSON or bytes into columns of plain values, and written back.

Binary tensors lie behind the JSON of a body, in the order of the inputs that say `binary_data_size`; texts have their length, four
bytes little-endian, before each.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from keepwell.errors import InputInvalid

NUMPY = {
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    "BOOL": "|b1",
}
DATATYPES = (*NUMPY, "BYTES")
OF_KIND = {"Float64": "FP64", "Float32": "FP32", "Boolean": "BOOL"} | {
    f"{sign}Int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
}
DEEPEST = 8  # dimensions
_SIZE = struct.Struct("<I")


class Tensor(msgspec.Struct):
    """One input as a request has it."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: dict[str, Any] | None = None


class Wanted(msgspec.Struct):
    """One output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class Request(msgspec.Struct):
    """The JSON of an inference request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wanted] | None = None


def datatype_of(kind: str) -> str:
    """The protocol's name for a type of the signature."""
    return OF_KIND.get(kind, "BYTES")


def read(body: bytes, json_bytes: int | None) -> tuple[Request, list[list[Any]]]:
    """A request, and the values of each of its inputs, flat.

    Parameters
    ----------
    json_bytes : how much of the body is JSON (the header `Inference-Header-Content-Length`); None when all of it is.

    Raises
    ------
    InputInvalid : says which input, what was expected, what came.
    """
    if json_bytes is not None and not 0 <= json_bytes <= len(body):
        raise InputInvalid(f"Inference-Header-Content-Length is {json_bytes} and the body has {len(body)} bytes", "Send its JSON's length.")
    request = _request(body if json_bytes is None else body[:json_bytes])
    rest = memoryview(body)[len(body) if json_bytes is None else json_bytes :]
    found, at = [], 0
    for tensor in request.inputs:
        n = _elements(tensor)
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            found.append(_from_json(tensor, n))
            continue
        if not isinstance(size, int) or isinstance(size, bool) or size < 0 or at + size > len(rest):
            raise InputInvalid(
                f"Input '{tensor.name[:100]}' says binary_data_size {str(size)[:20]} and {len(rest) - at} bytes are left",
                "Send all its bytes.",
            )
        found.append(_from_bytes(tensor, n, bytes(rest[at : at + size])))
        at += size
    if at != len(rest):
        raise InputInvalid(f"{len(rest) - at} bytes stand behind the last input", "Send what binary_data_size says.")
    return request, found


def _request(text: bytes) -> Request:
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        raise InputInvalid(
            f"The request is not one of the protocol: {str(error)[:300]}", "It has 'inputs', each with name, shape, datatype."
        ) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputInvalid(
            f"The body cannot be read as JSON: {str(error)[:200]}", "Send the protocol's JSON; a missing number is null."
        ) from None


_decode = msgspec.json.Decoder(Request).decode


def _elements(tensor: Tensor) -> int:
    if tensor.datatype not in DATATYPES:
        raise InputInvalid(f"Input '{tensor.name[:100]}' has datatype '{tensor.datatype[:50]}'", f"It may be {', '.join(DATATYPES)}.")
    if not 0 < len(tensor.shape) <= DEEPEST or any(size < 0 for size in tensor.shape):
        raise InputInvalid(
            f"Input '{tensor.name[:100]}' has shape {str(tensor.shape)[:100]}", "Each size is a number from 0, the rows' too."
        )
    return math.prod(tensor.shape)


def _from_json(tensor: Tensor, n: int) -> list[Any]:
    if not isinstance(tensor.data, list):
        raise InputInvalid(f"Input '{tensor.name[:100]}' has no data", "Send 'data' as a list, or binary_data_size and bytes.")
    values = tensor.data
    for _ in tensor.shape[1:]:
        if not any(isinstance(value, list) for value in values):
            break
        values = [one for value in values for one in (value if isinstance(value, list) else (value,))]
    if len(values) != n:
        raise InputInvalid(
            f"Input '{tensor.name[:100]}' has {len(values)} values where shape {str(tensor.shape)[:100]} has {n}",
            "Send as many as the shape says.",
        )
    right = _RIGHT.get(tensor.datatype, _is_whole)
    if not all(map(right, values)):
        wrong = next(value for value in values if not right(value))
        raise InputInvalid(
            f"Input '{tensor.name[:100]}' holds {repr(wrong)[:60]} where {tensor.datatype} is expected", "Send such values, or null."
        )
    return values


def _is_number(value: Any) -> bool:
    return type(value) is float or type(value) is int or value is None


def _is_whole(value: Any) -> bool:
    return type(value) is int or value is None


_RIGHT: dict[str, Any] = dict.fromkeys(("FP16", "FP32", "FP64"), _is_number) | {
    "BOOL": lambda value: value is None or isinstance(value, bool),
    "BYTES": lambda value: value is None or isinstance(value, str),
}


def _from_bytes(tensor: Tensor, n: int, held: bytes) -> list[Any]:
    if tensor.data is not None:
        raise InputInvalid(f"Input '{tensor.name[:100]}' has both data and bytes", "Send one of them.")
    if tensor.datatype == "BYTES":
        return _texts(tensor, n, held)
    kind = np.dtype(NUMPY[tensor.datatype])
    if len(held) != n * kind.itemsize:
        said = f"Input '{tensor.name[:100]}' has {len(held)} bytes, shape {str(tensor.shape)[:99]} of {tensor.datatype} {n * kind.itemsize}"
        raise InputInvalid(said, "Send as many as the shape says.")
    values: list[Any] = np.frombuffer(held, kind).tolist()
    return [None if value != value else value for value in values] if tensor.datatype.startswith("FP") else values


def _texts(tensor: Tensor, n: int, held: bytes) -> list[Any]:
    found: list[Any] = []
    at = 0
    while at + _SIZE.size <= len(held) and len(found) < n:
        (size,) = _SIZE.unpack_from(held, at)
        at += _SIZE.size
        if at + size > len(held):
            break
        try:
            found.append(held[at : at + size].decode())
        except UnicodeDecodeError:
            raise InputInvalid(f"A text of input '{tensor.name[:100]}' is not UTF-8", "Send UTF-8.") from None
        at += size
    if len(found) != n or at != len(held):
        raise InputInvalid(f"The bytes of input '{tensor.name[:100]}' are not {n} texts", "Before each stands its length, four bytes.")
    return found


def to_bytes(values: Sequence[Any], datatype: str) -> bytes:
    """Values as a binary tensor."""
    if datatype == "BYTES":
        packed = [value.encode() for value in values]
        return b"".join(_SIZE.pack(len(value)) + value for value in packed)
    return np.asarray(values, NUMPY[datatype]).tobytes()
