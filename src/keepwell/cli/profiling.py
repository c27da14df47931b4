"""`keepwell profile`: what a table holds, and how it differs from another one. It needs no project."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import AsJson, command, examples, show_json

if TYPE_CHECKING:
    from keepwell.profiling import Profile

PANEL = "Look"


def register(app: typer.Typer) -> None:
    """Put the command on the app."""
    app.command(
        rich_help_panel=PANEL,
        epilog=examples(
            "keepwell profile june.parquet",
            "keepwell profile june.parquet --against may.parquet --time observed_at",
            "keepwell profile days/ --against reference.profile --time observed_at --html drift.html",
            "keepwell profile year.parquet --time observed_at --save reference.profile",
        ),
    )(profile)


@command
def profile(
    path: Annotated[str, typer.Argument(help="A Parquet file, a folder of them, a pattern or a Delta table.")],
    against: Annotated[
        str | None, typer.Option("--against", metavar="PATH", help="The same before: a table, or a profile that --save wrote.")
    ] = None,
    time: Annotated[str | None, typer.Option("--time", metavar="COL", help="Column of event time; its days are then the evidence.")] = None,
    every: Annotated[str, typer.Option("--every", metavar="SPAN", help="Batches of this span: 1h, 1d, 1w, 1mo.")] = "1d",
    column: Annotated[list[str] | None, typer.Option("--column", metavar="COL", help="Only this column; may be repeated.")] = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Keep the profile of PATH, to compare with later.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the comparison as a page.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request.")] = False,
    as_json: AsJson = False,
) -> None:
    """What does a table hold, and what changed since another one?

    One pass over files of any length. With --against: how far each column moved, and which ones are listed, so that of the listed
    ones on average at most a tenth is false.
    """
    if html is not None and against is None:
        raise typer.BadParameter("A page shows a comparison: name the other table with --against.", param_hint="--html")
    from keepwell.profiling import compare, document
    from keepwell.profiling import profile as profiled

    with _watched() as progress:
        before = None if against is None else _before(against, time, every, column, progress)
        found = profiled(path, reference=before, time=time, every=every, columns=column, progress=progress(path))
    if save is not None:
        save.write_bytes(found.to_bytes())
    shown = found if before is None else compare(before, found)
    if html is not None and before is not None:
        html.write_text(document(compare(before, found), f"{path} against {against}"), "utf-8")
    if as_json:
        show_json(shown.as_dict())
    elif markdown:
        sys.stdout.write(shown.as_markdown())
    else:
        screen.screen().print(shown)
    for file in (save, html):
        if file is not None and not (as_json or markdown):
            screen.say(f"Written: {file}.")


Watch = Callable[[str], Callable[[int, int | None], object]]


def _before(against: str, time: str | None, every: str, columns: list[str] | None, progress: Watch) -> Profile:
    """The reference: a kept profile, or a table that is profiled now."""
    from keepwell.profiling import Profile
    from keepwell.profiling import profile as profiled

    file = Path(against)
    if file.is_file():
        with file.open("rb") as opened:
            if opened.read(8) == b"keepwell":
                kept = Profile.from_bytes(file.read_bytes())
                return kept.only(columns) if columns else kept
    return profiled(against, time=time, every=every, columns=columns, progress=progress(against))


@contextmanager
def _watched() -> Iterator[Watch]:
    """A progress bar for each table, where somebody looks."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.screen(error=True), transient=True, disable=not sys.stderr.isatty()) as bars:

        def start(name: str) -> Callable[[int, int | None], object]:
            task = bars.add_task(f"Profiling {Path(name).name}", total=None)
            return lambda done, height: bars.update(task, completed=done, total=height)

        yield start
