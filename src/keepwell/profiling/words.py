"""A profile's columns in words and figures: for JSON, Markdown and the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from keepwell.profiling.columns import COUNTED, Column
from keepwell.profiling.rulers import NumberRuler, WordRuler

PERCENT = (1, 5, 25, 50, 75, 95, 99)
SHOWN = 10  # values of a text column that are listed
START = datetime(1970, 1, 1, tzinfo=UTC)
HEAD = ("Column", "Kind", "Values", "Missing", "Distinct", "Mean", "Sd", "Min", "5 %", "Median", "95 %", "Max")


def describe(name: str, column: Column) -> dict[str, Any]:
    """The numbers of one column over all batches and slices; None where there is none."""
    found: dict[str, Any] = {"name": name, "kind": column.kind, "type": column.dtype}
    found |= {key: column.count(key) for key in COUNTED}
    if isinstance(column.ruler, NumberRuler):
        low, high, mean, sd = column.moment()
        tell = _moment if column.kind == "times" else _finite
        found |= {"min": tell(low), "max": tell(high), "mean": tell(mean)}
        found["sd"] = _finite(sd / 1e6) if column.kind == "times" else _finite(sd)  # of times: seconds
        values = column.quantiles([percent / 100 for percent in PERCENT])
        found["quantiles"] = {f"{percent}%": tell(float(value)) for percent, value in zip(PERCENT, values, strict=True)}
    elif isinstance(column.ruler, WordRuler):
        n, is_exact = column.distinct()
        found |= {"distinct": n, "distinct_is_exact": is_exact, "top": [{"value": value, "count": k} for value, k in column.top(SHOWN)]}
        found["unlisted"] = found["values"] - int(column.fine.sum())
    else:
        found["note"] = f"{column.dtype} is counted, not profiled"
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _moment(microseconds: float) -> str | None:
    if not math.isfinite(microseconds):
        return None
    try:
        return (START + timedelta(microseconds=round(microseconds))).isoformat()
    except OverflowError:  # a year that Python's calendar does not have
        return None


def figure(value: object) -> str:
    """A cell of a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e5 <= abs(value) < 1e12 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("T00:00:00+00:00", "").replace("+00:00", "Z")


def share(part: int, whole: int) -> str:
    """A part in percent; a little is never shown as none."""
    if part == 0 or whole == 0:
        return "0 %" if whole else "–"
    percent = 100 * part / whole
    return "<0.1 %" if percent < 0.1 else f"{percent:.1f} %"


def cells(column: Mapping[str, Any], rows: int) -> tuple[str, ...]:
    """One column as a line of the table; its head is `HEAD`."""
    quantile = column.get("quantiles", {})
    about = "" if column.get("distinct_is_exact", True) else "~"
    numbers = [
        column.get("mean"),
        column.get("sd"),
        column.get("min"),
        quantile.get("5%"),
        quantile.get("50%"),
        quantile.get("95%"),
        column.get("max"),
    ]
    distinct = f"{about}{column['distinct']:,}" if "distinct" in column else "–"
    return (
        visible(column["name"]),
        column["kind"],
        figure(column["values"]),
        share(column["nulls"], rows),
        distinct,
        *map(figure, numbers),
    )


def visible(name: str) -> str:
    """A name on one line: what would break it or hide in it is written as its escape."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def markdown_row(fields: tuple[str, ...]) -> str:
    """A line of a Markdown table; what a cell holds cannot end it or become markup."""
    return "| " + " | ".join(_escaped(field) for field in fields) + " |"


def _escaped(text: str) -> str:
    for sign in "\\|`*_[]<>":
        text = text.replace(sign, "&lt;" if sign == "<" else f"\\{sign}")
    return text


def opening(found: Mapping[str, Any]) -> str:
    """A profile in one sentence."""
    said = f"{found['rows']:,} rows, {len(found['columns'])} columns"
    batches = found["batches"]
    if batches["count"]:
        said += f", {batches['count']:,} batches of {found['every']} from {batches['first']} to {batches['last']}"
    return f"{said}, {len(found['slices'])} slices of {visible(found['by'])}" if found["by"] else said


def markdown(found: Mapping[str, Any]) -> str:
    """The table of a profile."""
    lines = [f"{_escaped(opening(found))}.", "", markdown_row(HEAD), "| --- | --- |" + " --: |" * (len(HEAD) - 2)]
    lines += [markdown_row(cells(column, found["rows"])) for column in found["columns"]]
    return "\n".join(lines) + "\n"


def screen_table(found: Mapping[str, Any]) -> Any:
    """The table of a profile for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(f"{opening(found)}."), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(HEAD):
        made.add_column(name, justify="left" if place < 2 else "right", overflow="fold")
    for column in found["columns"]:
        made.add_row(*(Text(field) for field in cells(column, found["rows"])))
    return made
