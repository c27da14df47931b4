"""A comparison in words: one sentence for the whole, one for each column; for Markdown and the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keepwell.profiling.words import markdown_row, visible

if TYPE_CHECKING:
    from keepwell.profiling.comparison import ColumnComparison, Comparison

HEAD = ("Column", "Listed", "What changed", "PSI", "JS", "KS", "Wasserstein", "χ²", "e-value")
MEASURES = ("psi", "jensen_shannon", "ks", "wasserstein", "chi_square")
SPANS = {"1d": "days", "1h": "hours", "1w": "weeks", "1mo": "months"}


def opening(found: Comparison) -> str:
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
    """One column as a line of the table; its head is `HEAD`."""
    e_value = "–" if column.state != "compared" else measure(column.e_value) if column.e_value < 1e6 else "> 1e6"
    numbers = [measure(column.measures.get(name)) for name in MEASURES]
    return (visible(column.name), "yes" if column.is_listed else "", column.sentence, *numbers, e_value)


def measure(value: float | None) -> str:
    """A distance to three digits, so that columns of them can be read down."""
    if value is None:
        return "–"
    if 0 < value < 0.0005:
        return "< 0.001"
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def markdown(found: Comparison) -> str:
    """For a pull request or a report."""
    lines = [f"{opening(found)}.", "", markdown_row(HEAD), "| --- | --- | --- |" + " --: |" * (len(HEAD) - 3)]
    return "\n".join([*lines, *(markdown_row(fields(column)) for column in found.columns)]) + "\n"


def screen_table(found: Comparison) -> Any:
    """For the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for place, name in enumerate(HEAD):
        made.add_column(name, justify="left" if place < 3 else "right", overflow="fold", ratio=1 if place == 2 else None)
    for column in found.columns:
        style = "bold" if column.is_listed else "dim" if not column.is_large else ""
        made.add_row(*(Text(field) for field in fields(column)), style=style)
    return Group(Text(f"{opening(found)}.\n"), made)
