"""The written check-up: checkup."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, show_json


def register(app: typer.Typer) -> None:
    """Put the command on the app."""
    app.command(
        rich_help_panel="Look",
        epilog=examples(
            "keepwell checkup",
            "keepwell checkup --period 2026-Q1 --format html --out checkup.html",
            "keepwell checkup --period 1968 --format md",
            "keepwell checkup --list",
        ),
    )(checkup)


@command
def checkup(
    folder: Folder = HERE,
    period: Annotated[
        str, typer.Option("--period", metavar="PERIOD", help="2026-02, 2026-Q1, 2026, 2026-W07, month, quarter, year, or 30d.")
    ] = "30d",
    form: Annotated[
        str | None, typer.Option("--format", metavar="FORM", help="html, md, json or pdf; default by the file's name, else text.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it there.")] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Make it from the record of now, though one was kept when the period ended.")
    ] = False,
    list_kept: Annotated[bool, typer.Option("--list", help="Which check-ups were written by themselves.")] = False,
    as_json: AsJson = False,
) -> None:
    """The health check-up of a period: vital signs, compared with the one before, what was done, and what to decide.

    One is written and kept by itself when a period ends (report.every). PDF needs the extra 'pdf'.
    """
    with opened(folder) as project:
        if list_kept:
            kept = project.checkups()
            if as_json:
                show_json({"checkups": kept})
            elif not kept:
                screen.say("None was written yet: the first comes when a period ends (report.every).")
            else:
                rows = [(event.facts["period"], screen.when(event.as_of), event.sentence.split(": ", 1)[1]) for event in kept]
                screen.table(("Period", "Made", "How it was"), rows, wide="How it was")
            return
        report = project.checkup(period, anew=anew)
    if as_json:
        show_json(report.as_dict())
        return
    from keepwell.reporting import render

    wanted = form or ("text" if out is None else out.suffix.lstrip(".").lower() or "html")
    if wanted == "text":
        from rich.markdown import Markdown

        console = screen.screen()
        text = render(report, "md").decode()
        if console.is_terminal:
            console.print(Markdown(text))
        else:
            sys.stdout.write(text)
        return
    content = render(report, wanted)
    if out is not None:
        out.write_bytes(content)
        screen.say(f"Written: {out}")
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
