"""contract.toml: the contract as a file that people read, review and change."""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from dataclasses import fields
from typing import Any

from keepwell.errors import SettingInvalid, SettingUnknown
from keepwell.validation.records import TYPES, Column, Contract

FILE = "contract.toml"
HEAD = """\
# What these observations promise. Made from {rows} good rows; change what you know better, and keep it in version control.
# A row that breaks a promise is set aside with its reason (`keepwell quarantine list`), it is never lost.

entity = {entity}
time = {time}
freshness_days = {freshness}
rows = {rows}
"""
COMMENTS = {
    "entity": 'key column that says who a row is about; "" when there is only one',
    "time": "key column that says when",
    "freshness_days": "the newest row may be this old; 0 never asks",
    "rows": "how many rows this was made from",
    "type": "number, integer, text, boolean or time",
    "unit": "what the values are in; lets a change of unit be recognised and named",
    "nullable": "false: every null is a broken value",
    "null_rate": "share of nulls when this was made",
    "max_null_rate": "more than this among the newest rows is a spike",
    "low": "values below are broken",
    "high": "values above are broken",
    "categories": "any other text is noted as new",
    "quantiles": "1, 5, 25, 50, 75, 95 and 99% of the reference: home, when there are few newer rows to compare with",
    "longest_run": "most equal values in a row so far; far more is stuck",
    "may_be_constant": "true: never call it stuck",
}
TOP = ("entity", "time", "freshness_days", "rows")
NAMES = tuple(field.name for field in fields(Column) if field.name != "name")


def to_toml(contract: Contract) -> str:
    """The file's text. What a column does not promise has no line; each kind of line is explained where it first appears.

    Examples
    --------
    >>> contract = Contract("station", "day", (Column("rain", "number", "mm", low=0, high=400),), 3, 200)
    >>> from_toml(to_toml(contract)) == contract
    True
    """
    head = HEAD.format(
        rows=contract.rows,
        entity=_value(contract.entity or ""),
        time=_value(contract.time),
        freshness=_value(contract.freshness_days or 0),
    )
    lines = [_explained(line, COMMENTS[line.split(" = ")[0]]) if " = " in line else line for line in head.rstrip("\n").split("\n")]
    told: set[str] = set()
    for column in contract.columns:
        lines += ["", f"[columns.{_value(column.name)}]"]
        for name in NAMES:
            value = getattr(column, name)
            if value is None or (name == "quantiles" and not value):
                continue
            if not column.is_numeric and name in ("longest_run", "may_be_constant") and not value:
                continue
            line = f"{name} = {_value(value)}"
            lines.append(line if name in told else _explained(line, COMMENTS[name]))
            told.add(name)
    return "\n".join(lines) + "\n"


def from_toml(text: str) -> Contract:
    """Read the file again.

    Raises
    ------
    SettingUnknown : a name that a contract does not have; carries the nearest one.
    SettingInvalid : not TOML, a value that cannot be, or a line that is missing. Named as `columns.NAME.LINE`.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingInvalid(FILE, "not TOML", str(error), FILE) from None
    for name in content:
        if name not in (*TOP, "columns"):
            raise SettingUnknown(name, _nearest(name, (*TOP, "columns")), FILE)
    time = _read(content, "time", "time", str)
    freshness = _read(content, "freshness_days", "freshness_days", float)
    if freshness < 0:
        raise SettingInvalid("freshness_days", freshness, "it cannot be negative; 0 never asks", FILE)
    tables = content.get("columns", {})
    if not isinstance(tables, dict):
        raise SettingInvalid("columns", tables, "write each column as a table [columns.NAME]", FILE)
    columns = tuple(_column(name, table) for name, table in tables.items())
    entity = _read(content, "entity", "entity", str) or None
    return Contract(entity, time, columns, freshness or None, _read(content, "rows", "rows", int))


def _column(name: str, table: Any) -> Column:
    where = f"columns.{name}"
    if not isinstance(table, dict):
        raise SettingInvalid(where, table, "write each column as a table [columns.NAME]", FILE)
    for line in table:
        if line not in NAMES:
            nearest = _nearest(line, NAMES)
            raise SettingUnknown(f"{where}.{line}", nearest and f"{where}.{nearest}", FILE)
    found: dict[str, Any] = {"type": _read(table, "type", f"{where}.type", str)}
    if found["type"] not in TYPES:
        nearest = _nearest(found["type"], TYPES)
        problem = f"a type is one of {', '.join(TYPES)}" + (f"; did you mean '{nearest}'?" if nearest else "")
        raise SettingInvalid(f"{where}.type", found["type"], problem, FILE)
    kinds = {"nullable": bool, "may_be_constant": bool, "longest_run": int, "unit": str}
    kinds |= dict.fromkeys(("null_rate", "max_null_rate", "low", "high"), float)
    for line, kind in kinds.items():
        if line in table:
            found[line] = _read(table, line, f"{where}.{line}", kind)
    for line, kind in (("categories", str), ("quantiles", float)):
        if line in table:
            values = _read(table, line, f"{where}.{line}", list)
            found[line] = tuple(_read({line: value}, line, f"{where}.{line}", kind) for value in values)
    column = Column(name, **found)
    _refuse_impossible(column, where)
    return column


def _refuse_impossible(column: Column, where: str) -> None:
    for line in ("null_rate", "max_null_rate"):
        if not 0 <= getattr(column, line) <= 1:
            raise SettingInvalid(f"{where}.{line}", getattr(column, line), "a share lies between 0 and 1", FILE)
    if column.low is not None and column.high is not None and column.low > column.high:
        raise SettingInvalid(f"{where}.low", column.low, f"it is above high = {column.high:g}", FILE)
    if column.quantiles and (len(column.quantiles) != 7 or list(column.quantiles) != sorted(column.quantiles)):
        raise SettingInvalid(f"{where}.quantiles", column.quantiles, "there must be 7 of them, rising", FILE)


def _read(table: dict[str, Any], line: str, where: str, kind: type) -> Any:
    if line not in table:
        raise SettingInvalid(where, None, "the line is missing", FILE)
    value = table[line]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        word = {float: "a number", int: "a whole number", str: "a text in quotes", bool: "true or false", list: "a list in [ ]"}[kind]
        raise SettingInvalid(where, value, f"it must be {word}", FILE)
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingInvalid(where, value, "it must be finite; remove the line to leave that side open", FILE)
    return value


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML's basic strings are JSON's, save that DEL must be escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return repr(value)


def _explained(line: str, comment: str) -> str:
    return f"{line:<32}  # {comment}"


def _nearest(name: str, names: tuple[str, ...]) -> str | None:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return close[0] if close else None
