"""How a record looks in a notebook: a small card without scripts, in the notebook's own light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

ICONS = {
    "well": "●",
    "watch": "◐",
    "unwell": "▲",
    "unknown": "?",
    "paused": "Ⅱ",
    "passed": "●",
    "refused": "◐",
    "failed": "▲",
    "running": "◐",
}
COLOURS = {"well": "#15803d", "passed": "#15803d", "unwell": "#b91c1c", "failed": "#b91c1c", "unknown": "#7e22ce", "paused": "#57534e"}
MOST = 400  # letters of one text


def card(word: str, sentence: str, facts: Iterable[tuple[str, str]] = (), table: Sequence[Sequence[str]] = ()) -> str:
    """A sentence with its word ("" for none), facts as (about, clause), and a table whose first row is its heading.

    Examples
    --------
    >>> "<script>" in card("well", "<script>alert(1)</script>", [("<b>", "x")])
    False
    """
    colour = COLOURS.get(word, "#a16207") if word else "#57534e"
    edge = f"border-left:4px solid {colour};padding:.4em 1em;margin:.4em 0;max-width:60em"
    parts = [f'<div style="{edge}"><div>{_icon(word)}<strong>{_text(sentence)}</strong></div>']
    if rows := [f"<tr>{_cell(about, 'th')}{_cell(clause, 'td')}</tr>" for about, clause in facts]:
        parts.append(f"<table>{''.join(rows)}</table>")
    if table:
        head, *body = table
        lines = "".join(f"<tr>{''.join(_cell(text, 'td') for text in row)}</tr>" for row in body)
        parts.append(f"<table><thead><tr>{''.join(_cell(text, 'th') for text in head)}</tr></thead><tbody>{lines}</tbody></table>")
    return "".join([*parts, "</div>"])


def _icon(word: str) -> str:
    return f'<span aria-hidden="true">{escape(ICONS.get(word, "?"))}</span> ' if word else ""


def _cell(text: str, kind: str) -> str:
    return f'<{kind} style="text-align:left;vertical-align:top;padding:.15em .8em .15em 0">{_text(text)}</{kind}>'


def _text(text: str) -> str:
    return escape(text if len(text) <= MOST else f"{text[:MOST]}…")
