"""How things look: consoles no wider than 100 columns, quiet tables, words with a colour that is never needed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from keepwell.status import day
from keepwell.wording import count, number, when

WIDTH = 100
COLOURS = {
    "well": "green",
    "passed": "green",
    "done": "green",
    "ok": "green",
    "watch": "yellow",
    "note": "yellow",
    "waiting": "yellow",
    "running": "yellow",
    "refused": "yellow",
    "unwell": "red",
    "failed": "red",
    "wrong": "red",
    "unknown": "magenta",
    "paused": "cyan",
}


def screen(*, error: bool = False) -> Console:
    """A console; plain when NO_COLOR is set or nobody looks."""
    stream = sys.stderr if error else sys.stdout
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if stream.isatty() else WIDTH
    plainly: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, **plainly)


def bold(text: str) -> Text:
    """Bold text."""
    return Text(text, style="bold")


def dim(text: str) -> Text:
    """Text in the background."""
    return Text(text, style="dim")


def word(text: str) -> Text:
    """A word of state in its colour."""
    return Text(text, style=COLOURS.get(text, ""))


def sentence(text: str, *states: str) -> Text:
    """A sentence in which the first appearance of each state is coloured."""
    found = Text(text)
    for state in states:
        if (place := text.find(f" {state}")) >= 0:
            found.stylize(f"bold {COLOURS.get(state, '')}".strip(), place + 1, place + 1 + len(state))
    return found


def say(text: str | Text) -> None:
    """A line; wrapped for people, whole for pipes."""
    console = screen()
    console.print(text, soft_wrap=not console.is_terminal)


def grid(rows: Iterable[Sequence[str | Text]], *, indent: int = 2) -> None:
    """Aligned columns without a frame: facts about one thing."""
    table = Table.grid(padding=(0, 3))
    filled = [list(row) for row in rows]
    for place in range(max((len(row) for row in filled), default=0)):
        table.add_column(overflow="fold", no_wrap=place == 0)
    for row in filled:
        table.add_row(dim(row[0]) if isinstance(row[0], str) else row[0], *row[1:])
    from rich.padding import Padding

    _show(Padding(table, (0, 0, 0, indent)))


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, right: Sequence[str] = (), wide: str | None = None) -> None:
    """A table with a heading: many things of one kind. `right` columns hold numbers, `wide` takes the room that is left."""
    from rich.box import SIMPLE_HEAD

    found = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1), show_edge=False)
    for name in columns:
        found.add_column(
            name, justify="right" if name in right else "left", overflow="fold", no_wrap=name != wide, ratio=1 if name == wide else None
        )
    for row in rows:
        found.add_row(*row)
    _show(found)


def _show(block: RenderableType) -> None:
    """Print it; without the spaces that fill a column up where a program reads."""
    console = screen()
    if console.is_terminal:
        console.print(block)
        return
    with console.capture() as printed:
        console.print(block)
    console.file.write("\n".join(line.rstrip() for line in printed.get().splitlines()) + "\n")


__all__ = ["bold", "count", "day", "dim", "grid", "number", "say", "screen", "sentence", "table", "when", "word"]
