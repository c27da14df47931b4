"""Commands about what happens by itself: next, pause, resume."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, read_moment, show_json

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(rich_help_panel="Look", epilog=examples("keepwell next", "keepwell next --why-not", "keepwell next --json"))(next_)
    app.command(
        rich_help_panel="Act",
        epilog=examples("keepwell pause --until 2026-04-01 --reason 'sensors are exchanged'", "keepwell pause --dry-run"),
    )(pause)
    app.command(rich_help_panel="Act", epilog=examples("keepwell resume", "keepwell resume --dry-run"))(resume)


@command
def next_(
    folder: Folder = HERE,
    why_not: Annotated[bool, typer.Option("--why-not", help="Every brake on a new version, with its value against its limit.")] = False,
    as_json: AsJson = False,
) -> None:
    """What will happen by itself, when, and what holds it?

    As the next cycle would decide on what is known now; nothing is changed.
    """
    with opened(folder) as project:
        found = project.next()
    if as_json:
        show_json(found.as_dict())
        return
    screen.say(found.sentence)
    rows = [(screen.when(act.when), act.name, "; held: ".join([act.sentence, *act.held_by])) for act in found.acts]
    screen.table(("When", "Act", "What"), rows, wide="What")
    if why_not:
        screen.say("")
        brakes = [("holds" if one.holds else "free", one.name, one.sentence, screen.when(one.until)) for one in found.brakes]
        screen.table(("", "Brake", "Now", "Until"), brakes, wide="Now")


next_.__name__ = "next"


@command
def pause(
    folder: Folder = HERE,
    until: Annotated[
        datetime | None, typer.Option("--until", parser=read_moment, metavar="TIME", help="When it ends by itself; default never.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept on record.")] = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let nothing be built, promoted or rolled back by itself.

    Cycles go on gathering, checking up and answering. A person may still promote and roll back.
    """
    if until is not None and until <= datetime.now(UTC):
        raise typer.BadParameter(f"{screen.when(until)} is over.", param_hint="--until")
    with opened(folder) as project:
        coming = project.next()
        held = [act for act in coming.acts if act.name in ("build", "roll back") and not act.held_by]
        sentence = "Nothing was changed." if dry_run else project.pause(until, reason=reason)
    if as_json:
        show_json({"done": not dry_run, "sentence": sentence, "holds": [act.sentence for act in held]})
        return
    screen.say(sentence)
    if held:
        screen.grid([("Would hold" if dry_run else "Holds", act.sentence) for act in held])


@command
def resume(folder: Folder = HERE, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """End the pause."""
    with opened(folder) as project:
        before = project.paused()
        if before is None:
            sentence = f"{project.name} is not paused; nothing was changed."
        elif dry_run:
            sentence = f"Nothing was changed: {project.name} stays paused {before}."
        else:
            sentence = project.end_pause()
    if as_json:
        show_json({"done": before is not None and not dry_run, "sentence": sentence})
    else:
        screen.say(sentence)
