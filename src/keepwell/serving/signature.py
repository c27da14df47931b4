"""What a version's row looks like, and requests read straight into it: JSON to checked values, without a frame on the way.

A row is a tuple of plain values in the signature's order, None for a missing one. Reading is strict and quick: what it takes is
exactly what `Predictor.read` takes and means the same; what it does not take it refuses without saying why, and the caller asks
`Predictor.read`, which names the column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from keepwell.errors import InputInvalid
from keepwell.serving.predictor import NUMBERS, WHOLE, check_value, listed

Row = tuple[Any, ...]
Name = Annotated[str, msgspec.Meta(max_length=200)]
BOUNDS = {
    **{f"Int{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32)},
    "UInt64": (
        0,
        (1 << 63) - 1,
    ),  # the JSON reader bounds whole numbers no higher; larger ones are refused here and read by `Predictor.read`
}


class Signature:
    """The columns of a version's row.

    Parameters
    ----------
    kinds : feature name -> polars type name, in the order the estimator was trained with.
    """

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self.kinds = dict(kinds)
        self.names = list(kinds)
        self.place = {name: at for at, name in enumerate(self.names)}
        self.is_plain = all(kind in NUMBERS or kind in BOUNDS or kind in ("Boolean", "String") for kind in kinds.values())
        self.is_numeric = all(kind in NUMBERS or kind in BOUNDS or kind == "Boolean" for kind in kinds.values())
        self._is_double = all(kind == "Float64" for kind in kinds.values())
        self._rounded = [at for at, kind in enumerate(kinds.values()) if kind == "Float32"]
        self._shape = self._made()
        self.to_json = msgspec.json.Encoder().encode
        self._plain, self._long = self._decoders()

    def _made(self) -> type[msgspec.Struct]:
        fields = [(f"f{at}", _typed(kind) | None) for at, kind in enumerate(self.kinds.values())]
        spelled = {f"f{at}": name for at, name in enumerate(self.names)}
        return msgspec.defstruct("Row", fields, rename=spelled, forbid_unknown_fields=True, gc=False)

    def _decoders(self) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
        named: list[tuple[str, Any, Any]] = [("entity", Name | None, None), ("time", Name | None, None)]
        one = msgspec.defstruct("Named", [("features", self._shape), *named], forbid_unknown_fields=True)
        bodies = [
            msgspec.defstruct("Body", [("rows", list[row]), *named], forbid_unknown_fields=True)  # type: ignore[valid-type]
            for row in (self._shape, one)
        ]
        return msgspec.json.Decoder(bodies[0]).decode, msgspec.json.Decoder(bodies[1]).decode

    def read(self, body: bytes) -> tuple[list[Row], list[tuple[str | None, str | None]]] | None:
        """Rows of a predict request with the (entity, time) of each; None when it is not one that can be read quickly."""
        if not self.is_plain:
            return None
        try:
            found = self._plain(body)
            rows, whose = found.rows, [(found.entity, found.time)] * len(found.rows)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            try:
                found = self._long(body)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                return None
            rows = [row.features for row in found.rows]
            whose = [(row.entity or found.entity, row.time or found.time) for row in found.rows]
        values = msgspec.structs.astuple
        read: list[Row] = [values(row) for row in rows]
        return ([self._as_float32(row) for row in read] if self._rounded else read), whose

    def _as_float32(self, row: Row) -> Row:
        held = list(row)
        for at in self._rounded:
            if held[at] is not None:
                held[at] = float(np.float32(held[at]))
        return tuple(held)

    def packed(self, row: Row) -> msgspec.Raw:
        """The row as JSON, {feature: value}."""
        return msgspec.Raw(self.to_json(self._shape(*row)))

    # --- rows of other protocols ---

    def checked(self, columns: Mapping[str, Sequence[Any]], n: int) -> list[Row]:
        """Rows from columns of Python values; columns in any order, others ignored.

        Raises
        ------
        InputInvalid : a column is missing, or a value does not fit; says which, in which row, what came and what is needed.
        """
        if missing := [name for name in self.names if name not in columns]:
            raise InputInvalid(f"There is no column {listed(missing)}", f"The model needs {', '.join(self.names)}.")
        held = [[self._value(name, place, value) for place, value in enumerate(columns[name])] for name in self.names]
        if short := [name for name, values in zip(self.names, held, strict=True) if len(values) != n]:
            raise InputInvalid(f"Column {listed(short)} has another number of rows than {n}", "Send as many values for each column.")
        return list(zip(*held, strict=True))

    def from_matrix(self, flat: Sequence[Any], n: int) -> list[Row]:
        """Rows from n times so many numbers as there are columns, row by row; raises as `checked`."""
        width = len(self.names)
        if self._is_double and all(type(value) is float and math.isfinite(value) for value in flat):
            return [tuple(flat[at : at + width]) for at in range(0, n * width, width)]
        return self.checked({name: flat[at::width] for at, name in enumerate(self.names)}, n)

    def _value(self, name: str, place: int, value: Any) -> Any:
        kind = self.kinds[name]
        if value is None:
            return None
        check_value(place, name, kind, value)
        if kind in NUMBERS:
            return float(np.float32(value)) if kind == "Float32" else float(value)
        if kind in WHOLE:
            value = int(value)
            low, high = (0, (1 << 64) - 1) if kind == "UInt64" else BOUNDS[kind]
            if not low <= value <= high:
                raise InputInvalid(f"'{name}' in row {place} is {value}", f"A whole number from {low} to {high} is needed.")
        return value


def _typed(kind: str) -> Any:
    if kind in NUMBERS:
        return float
    if kind in BOUNDS:
        low, high = BOUNDS[kind]
        return Annotated[int, msgspec.Meta(ge=low, le=high)]
    return bool if kind == "Boolean" else str
