"""Bring a batch to the types of its contract, and say which values cannot be brought.

Widening is silent (integers for a number, a date for a time). Text that reads cleanly as the promised type is taken,
with a note. What cannot be read is a broken value.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from keepwell.validation.marks import Mark, many, mark
from keepwell.validation.records import Contract, Type

TIME = pl.Datetime("us", "UTC")
DTYPES: dict[Type, pl.DataType] = {
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "time": TIME,
}
NULL_WORDS = ("", "na", "n/a", "nan", "null", "none", "-")
BOOLEAN_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def coerce(contract: Contract, batch: pl.DataFrame) -> tuple[pl.DataFrame, list[Mark]]:
    """The batch with the contract's types; values that cannot be read are null there and marked.

    Columns that the contract does not know stay as they are.
    """
    promised: list[tuple[str, Type]] = [(contract.time, "time"), *((c.name, c.type) for c in contract.columns)]
    if contract.entity is not None:
        promised.append((contract.entity, "text"))
    marks: list[Mark] = []
    changed: list[pl.Series] = []
    for name, kind in promised:
        if name not in batch.columns:
            continue
        raw = batch[name]
        typed = to_type(raw, kind)
        if typed is not raw:
            changed.append(typed)
        if not is_widening(raw.dtype, kind) and raw.null_count() < raw.len():
            marks.extend(_judge(raw, typed, kind, is_key=name in contract.keys))
    return batch.with_columns(changed) if changed else batch, marks


def is_widening(found: pl.DataType, kind: Type) -> bool:
    """Whether every value of that polars type is one of the promised type."""
    if found == pl.Null:
        return True
    if kind == "number":
        return found.is_numeric()
    if kind == "integer":
        return found.is_integer()
    if kind == "time":
        return found == pl.Date or isinstance(found, pl.Datetime)
    if kind == "text":
        return isinstance(found, pl.String | pl.Categorical | pl.Enum)
    return found == pl.Boolean


def to_type(raw: pl.Series, kind: Type) -> pl.Series:
    """Cast without raising: what cannot be read becomes null, NaN too. Returns `raw` itself when it is already right."""
    if raw.dtype == DTYPES[kind]:
        return raw.fill_nan(None) if kind == "number" and _has_nan(raw) else raw
    if raw.dtype.is_nested() or raw.dtype in (pl.Object, pl.Binary):
        return pl.Series(raw.name, [None] * raw.len(), dtype=DTYPES[kind])
    if kind == "text":
        return raw.cast(pl.String)
    text = _text(raw) if isinstance(raw.dtype, pl.String | pl.Categorical | pl.Enum) else None
    if kind == "time":
        return _to_time(raw if text is None else text)
    if kind == "boolean":
        words = raw.cast(pl.String).str.strip_suffix(".0") if text is None else text
        return words.str.to_lowercase().replace_strict(BOOLEAN_WORDS, default=None, return_dtype=pl.Boolean)
    if raw.dtype.is_temporal():
        return pl.Series(raw.name, [None] * raw.len(), dtype=DTYPES[kind])
    numbers = (raw if text is None else text).cast(pl.Float64, strict=False).fill_nan(None)
    if kind == "number":
        return numbers
    if raw.dtype.is_integer():
        return raw.cast(pl.Int64, strict=False)
    whole = numbers.is_finite() & (numbers.floor() == numbers)
    return numbers.zip_with(whole.fill_null(False), pl.Series([None], dtype=pl.Float64)).cast(pl.Int64, strict=False)


def _has_nan(raw: pl.Series) -> bool:
    # Nulls are NaN in NumPy; asking it is ten times faster on a few rows than a polars expression.
    return int(np.isnan(raw.to_numpy()).sum()) > raw.null_count()


def _text(raw: pl.Series) -> pl.Series:
    text = raw.cast(pl.String).str.strip_chars()
    return text.zip_with(~text.str.to_lowercase().is_in(NULL_WORDS), pl.Series([None], dtype=pl.String))


def _to_time(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.String:
        try:
            return raw.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        except pl.exceptions.ComputeError:  # no text in the column looks like a time
            return pl.Series(raw.name, [None] * raw.len(), dtype=TIME)
    if raw.dtype == pl.Date:
        return raw.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if isinstance(raw.dtype, pl.Datetime):
        aware = raw.dt.replace_time_zone("UTC") if raw.dtype.time_zone is None else raw.dt.convert_time_zone("UTC")
        return aware.cast(TIME)
    return pl.Series(raw.name, [None] * raw.len(), dtype=TIME)


def _judge(raw: pl.Series, typed: pl.Series, kind: Type, *, is_key: bool) -> list[Mark]:
    present = raw.is_not_null()
    if isinstance(raw.dtype, pl.String | pl.Categorical | pl.Enum):
        present &= _text(raw).is_not_null()
    elif raw.dtype.is_float():
        present &= raw.is_not_nan()
    unread = (present & typed.is_null()).to_numpy()
    if unread.any():
        example = repr(raw[int(np.argmax(unread))])
        todo = "Mend the type in gather, or change it in contract.toml."
        what = f"delivered as {raw.dtype}, which cannot be read as {kind}"
        return [mark("wrong type", raw.name, unread, example, what, todo, is_fault=many(unread))]
    if is_key or (kind == "integer" and raw.dtype.is_float()):  # keys arrive as text from many files; whole floats are integers
        return []
    example = repr(raw[int(np.argmax(present.to_numpy()))])
    what = f"delivered as {raw.dtype} and read as {kind}"
    return [mark("wrong type", raw.name, present.to_numpy(), example, what, "Cast it in gather to be rid of this note.", action="note")]
