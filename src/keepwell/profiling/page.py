"""A comparison as HTML: a table with a small picture of each column, before and after.

One piece of markup with its own style and no script, so it stands in a notebook, a page or a mail as it is. It takes its ink from
the page around it and two colours of its own for light and dark; every text in it is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from keepwell.profiling.columns import Column
from keepwell.profiling.rulers import Floats, NumberRuler, WordRuler
from keepwell.profiling.words import COMPARISON_HEAD, evidence, fields, visible

if TYPE_CHECKING:
    from keepwell.profiling.comparison import ColumnComparison, Comparison

WIDE, HIGH = 180, 40
BARS, WORDS = 32, 8
Bars = tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]
STYLE = """
.kw-compare{--kw-before:#8a94a3;--kw-after:#c2410c;--kw-line:#8883;font:14px/1.45 system-ui,sans-serif;color:inherit;max-width:78rem}
@media (prefers-color-scheme:dark){.kw-compare{--kw-before:#9aa5b5;--kw-after:#fb923c}}
.kw-compare h3{font-size:1.15rem;font-weight:650;margin:0 0 .2rem}
.kw-compare p{margin:0 0 .8rem;opacity:.75}
.kw-compare table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.kw-compare th{font-weight:600;text-align:right;padding:.35rem .55rem;border-bottom:1px solid currentColor;white-space:nowrap}
.kw-compare td{text-align:right;padding:.35rem .55rem;border-bottom:1px solid var(--kw-line);vertical-align:middle;white-space:nowrap}
.kw-compare .kw-l{text-align:left}
.kw-compare .kw-w{text-align:left;white-space:normal;min-width:11rem}
.kw-compare .kw-n{font-weight:600;max-width:14rem;overflow:hidden;text-overflow:ellipsis}
.kw-compare .kw-q td{opacity:.72}
.kw-compare .kw-q .kw-n{font-weight:400}
.kw-compare .kw-m{color:var(--kw-after)}
.kw-compare svg{display:block}
.kw-compare .kw-key span{margin-right:1rem}
.kw-compare .kw-key i{display:inline-block;width:.7em;height:.7em;border-radius:2px;margin-right:.35em}
"""


def page(found: Comparison) -> str:
    """The whole."""
    listed, n = len(found.listed), len(found.columns)
    head = ("Column", "Before and after", "What changed", *COMPARISON_HEAD[3:])
    cells = "".join(f'<th scope="col"{" class=kw-l" if place < 3 else ""}>{escape(name)}</th>' for place, name in enumerate(head))
    body = "".join(_row(column) for column in found.columns)
    key = (
        '<p class="kw-key"><span><i style="background:var(--kw-before)"></i>before, '
        f'{found.rows[0]:,} rows</span><span><i style="background:var(--kw-after)"></i>after, {found.rows[1]:,} rows</span></p>'
    )
    return (
        f'<div class="kw-compare"><style>{STYLE}</style>'
        f"<h3>{listed} of {n} columns {'is' if listed == 1 else 'are'} listed</h3><p>{escape(evidence(found))}.</p>{key}"
        f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def document(found: Comparison, title: str) -> str:
    """The same as a file of its own, which follows the reader's choice of light or dark."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title>'
        "<style>body{margin:2rem auto;padding:0 1.5rem;max-width:78rem}</style></head>"
        f"<body>{page(found)}</body></html>"
    )


def _row(column: ColumnComparison) -> str:
    name, _, sentence, *numbers = (escape(field) for field in fields(column))
    mark = '<span class="kw-m" title="listed" aria-label="listed">●</span> ' if column.is_listed else ""
    figures = "".join(f"<td>{number}</td>" for number in numbers)
    return (
        f'<tr{"" if column.is_listed else " class=kw-q"}><td class="kw-l kw-n" title="{name}">{mark}{name}</td>'
        f'<td class="kw-l">{_picture(column)}</td><td class="kw-w">{sentence}</td>{figures}</tr>'
    )


def _picture(column: ColumnComparison) -> str:
    labels, before, after = column.bars
    if not before:
        return ""
    words = column.kind in ("words", "flags")
    top = max(*before, *after) or 1.0
    drawn = _pairs(labels, before, after, top) if words else _steps(before, after, top)
    about = "most frequent values" if words else f"from {labels[0]} to {labels[-1]}"
    return (
        f'<svg width="{WIDE}" height="{HIGH}" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{escape(about)}">'
        f"<title>{escape(about)}</title>{drawn}"
        f'<line x1="0" y1="{HIGH - 0.5}" x2="{WIDE}" y2="{HIGH - 0.5}" stroke="currentColor" stroke-opacity=".35"/></svg>'
    )


def _steps(before: tuple[float, ...], after: tuple[float, ...], top: float) -> str:
    """Two stepped outlines over the same values: before filled, after as a line."""
    paths = []
    for shares in (before, after):
        points = [f"M0 {HIGH}"]
        for place, share in enumerate(shares):
            y = HIGH - 1 - share / top * (HIGH - 4)
            points.append(f"L{place * WIDE / len(shares):.1f} {y:.1f}L{(place + 1) * WIDE / len(shares):.1f} {y:.1f}")
        paths.append("".join([*points, f"L{WIDE} {HIGH}"]))
    return (
        f'<path d="{paths[0]}Z" fill="var(--kw-before)" fill-opacity=".45"/>'
        f'<path d="{paths[1]}" fill="none" stroke="var(--kw-after)" stroke-width="1.5" stroke-linejoin="round"/>'
    )


def _pairs(labels: tuple[str, ...], before: tuple[float, ...], after: tuple[float, ...], top: float) -> str:
    """Two bars a word."""
    step = WIDE / len(labels)
    width = min(step * 0.38, 14)
    drawn = []
    for place, (label, one, two) in enumerate(zip(labels, before, after, strict=True)):
        middle = (place + 0.5) * step
        pair = "".join(
            f'<rect x="{x:.1f}" y="{HIGH - 1 - share / top * (HIGH - 4):.1f}" width="{width:.1f}" '
            f'height="{share / top * (HIGH - 4):.1f}" rx="1" fill="var(--kw-{name})"{soft}/>'
            for x, share, name, soft in ((middle - width, one, "before", ' fill-opacity=".6"'), (middle, two, "after", ""))
        )
        drawn.append(f"<g><title>{escape(visible(label))}: {one:.1%}, then {two:.1%}</title>{pair}</g>")
    return "".join(drawn)


def bars(before: Column, after: Column) -> Bars:
    """Labels, shares before and shares after: of equal steps of value, or of the most frequent words.

    Steps reach from the 0.5 % to the 99.5 % quantile of both sides; their labels are their ends, one more than there are shares. All
    three are empty where there is one value only.
    """
    if isinstance(before.ruler, WordRuler):
        shown = np.argsort(-np.maximum(_share(before), _share(after)), kind="stable")[:WORDS]
        names = tuple(before.ruler.watched[place] for place in shown)
        return names, _floats(_share(before)[shown]), _floats(_share(after)[shown])
    assert isinstance(before.ruler, NumberRuler)
    ends = np.concatenate([column.quantiles((0.005, 0.995)) for column in (before, after)])
    pad = float(ends.max() - ends.min()) / (2 * BARS)
    steps = np.linspace(ends.min() - pad, ends.max() + pad, BARS + 1)
    if not pad > 0 or not np.isfinite(steps).all():
        return (), (), ()
    return tuple(f"{step:.4g}" for step in steps), _floats(_heights(before, steps)), _floats(_heights(after, steps))


def _heights(column: Column, steps: Floats) -> Floats:
    """The share of values within each step: those of a cell with one value stand at it, those of other cells evenly."""
    assert isinstance(column.ruler, NumberRuler)
    low, high, _, _ = column.moment()
    fine, atoms = column.fine.sum(axis=0), dict(column.ruler.atoms)
    single = np.array([cell in atoms for cell in range(fine.size)])
    standing, _ = np.histogram([atoms[int(cell)] for cell in np.flatnonzero(single)], bins=steps, weights=fine[single])
    reached = np.concatenate(([0.0], np.cumsum(np.where(single, 0, fine))))
    spread_out = np.diff(np.interp(steps, np.clip(column.ruler.edges(), low, high), reached))
    return np.asarray((standing + spread_out) / column.count("values"), dtype=np.float64)


def _share(column: Column) -> Floats:
    return np.asarray(column.fine.sum(axis=0) / column.count("values"), dtype=np.float64)


def _floats(values: Floats | Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
