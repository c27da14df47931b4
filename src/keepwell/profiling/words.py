"""Profiles and comparisons in words and figures: a sentence for the whole, a line for each column, for Markdown and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from keepwell.profiling.columns import COUNTED, Column
from keepwell.profiling.rulers import NumberRuler, WordRuler

if TYPE_CHECKING:
    from keepwell.profiling.comparison import ColumnComparison, Comparison

PERCENT = (1, 5, 25, 50, 75, 95, 99)
SHOWN = 10  # values of a text column that are listed
START = datetime(1970, 1, 1, tzinfo=UTC)
PROFILE_HEAD = ("Column", "Kind", "Values", "Missing", "Distinct", "Mean", "Sd", "Min", "5 %", "Median", "95 %", "Max")
LISTED_HEAD = ("Column", "What changed", "PSI", "JS", "KS", "Wasserstein", "χ²", "e-value")
COMPARISON_HEAD = ("Column", "Listed", *LISTED_HEAD[1:])
MEASURES = ("psi", "jensen_shannon", "ks", "wasserstein", "chi_square")
SPANS = {"1d": "days", "1h": "hours", "1w": "weeks", "1mo": "months"}


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
    """One column as a line of the table; its head is `PROFILE_HEAD`."""
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


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int) -> list[str]:
    """The lines of a Markdown table: `texts` columns to the left, then numbers to the right. No cell can end its line or become markup."""
    lines = ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + " --- |" * texts + " --: |" * (len(head) - texts), *lines[1:]]


def _escaped(text: str) -> str:
    for sign in "\\|`*_[]<>":
        text = text.replace(sign, "&lt;" if sign == "<" else f"\\{sign}")
    return text


def profile_opening(found: Mapping[str, Any]) -> str:
    """A profile in one sentence."""
    said = f"{found['rows']:,} rows, {len(found['columns'])} columns"
    batches = found["batches"]
    if batches["count"]:
        said += f", {batches['count']:,} batches of {found['every']} from {batches['first']} to {batches['last']}"
    return f"{said}, {len(found['slices'])} slices of {visible(found['by'])}" if found["by"] else said


def profile_markdown(found: Mapping[str, Any]) -> str:
    """The table of a profile."""
    lines = markdown_table(PROFILE_HEAD, (cells(column, found["rows"]) for column in found["columns"]), texts=2)
    return "\n".join([f"{_escaped(profile_opening(found))}.", "", *lines]) + "\n"


def profile_table(found: Mapping[str, Any]) -> Any:
    """The table of a profile for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(f"{profile_opening(found)}."), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(PROFILE_HEAD):
        made.add_column(name, justify="left" if place < 2 else "right", overflow="fold")
    for column in found["columns"]:
        made.add_row(*(Text(field) for field in cells(column, found["rows"])))
    return made


def comparison_opening(found: Comparison) -> str:
    """The whole in one sentence."""
    listed, n = len(found.listed), len(found.columns)
    said = f"{listed} of {n} columns {'is' if listed == 1 else 'are'} listed: {found.rows[1]:,} rows against {found.rows[0]:,}"
    return f"{said}. {evidence(found)}"


def evidence(found: Comparison) -> str:
    """What the listing rests on."""
    promise = f"of the listed ones on average at most {found.level:.0%} are false"
    if found.unit == "rows":
        return f"Without a time column each row counts as a witness of its own: {promise}, if rows are independent"
    unit = SPANS.get(found.every, f"batches of {found.every}")
    if found.unit == "none":
        return f"{found.batches[1]} {unit} against {found.batches[0]} are too few to prove a change: ten on each side are needed"
    return f"The evidence is {found.batches[1]:,} {unit} against {found.batches[0]:,}: {promise}"


def told(column: ColumnComparison) -> str:
    """What changed in one column."""
    if column.state != "compared":
        return {
            "gone": "is gone",
            "new": "is new",
            "changed kind": f"holds {column.after.get('type')} that are not {column.kind}",
            "empty": "has no values to compare" if column.kind != "other" else f"is {column.before.get('type')}: counted, not compared",
        }[column.state]
    said = [part for part in (_missing(column), _moved(column)) if part]
    if not said:
        return "as before"
    return "; ".join(said) + ("" if column.is_listed or not column.is_large else " (not proven)")


def _missing(column: ColumnComparison) -> str:
    one, two = column.before["missing"], column.after["missing"]
    if abs(two - one) < 0.01:
        return ""
    return f"missing {'rose' if two > one else 'fell'} from {one:.1%} to {two:.1%}"


def _moved(column: ColumnComparison) -> str:
    measures = column.measures
    if measures.get("psi", 0.0) - measures.get("psi_by_chance", 0.0) < 0.02:
        return ""
    if column.kind in ("words", "flags"):
        names, before, after = column.bars
        gaps = [abs(two - one) for one, two in zip(before, after, strict=True)]
        if not gaps or max(gaps) < 0.005:
            return "other values than before"
        place = gaps.index(max(gaps))
        word = "rose" if after[place] > before[place] else "fell"
        return f"'{visible(names[place])[:40]}' {word} from {before[place]:.1%} to {after[place]:.1%}"
    shift, widening = measures.get("shift"), measures.get("widening")
    said = []
    if shift is not None and abs(shift) >= 0.1:
        said.append(f"{'up' if shift > 0 else 'down'} by {abs(shift):.2g} sd")
    if widening is not None and not 0.9 <= widening <= 1.1:
        said.append(f"{widening:.3g} times as wide")
    return ", ".join(said) or "another shape"


def fields(column: ColumnComparison) -> tuple[str, ...]:
    """One column as a line of the table; its head is `COMPARISON_HEAD`."""
    e_value = "–" if column.state != "compared" else measure(column.e_value) if column.e_value < 1e6 else "> 1e6"
    numbers = [measure(column.measures.get(name)) for name in MEASURES]
    return (visible(column.name), "yes" if column.is_listed else "", column.sentence, *numbers, e_value)


def listed_fields(column: ColumnComparison) -> tuple[str, ...]:
    """A listed column as a line of a table of such; its head is `LISTED_HEAD`."""
    name, _, *rest = fields(column)
    return (name, *rest)


def measure(value: float | None) -> str:
    """A distance to three digits, so that columns of them can be read down."""
    if value is None:
        return "–"
    if 0 < value < 0.0005:
        return "< 0.001"
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def comparison_markdown(found: Comparison) -> str:
    """For a pull request or a report."""
    lines = markdown_table(COMPARISON_HEAD, map(fields, found.columns), texts=3)
    return "\n".join([f"{comparison_opening(found)}.", "", *lines]) + "\n"


def comparison_table(found: Comparison) -> Any:
    """For the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for place, name in enumerate(COMPARISON_HEAD):
        made.add_column(name, justify="left" if place < 3 else "right", overflow="fold", ratio=1 if place == 2 else None)
    for column in found.columns:
        style = "bold" if column.is_listed else "dim" if not column.is_large else ""
        made.add_row(*(Text(field) for field in fields(column)), style=style)
    return Group(Text(f"{comparison_opening(found)}.\n"), made)
