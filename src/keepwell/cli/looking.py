"""Commands that look and change nothing: status, inbox, history, runs, serving."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, read_moment, show_json
from keepwell.wording import took

PANEL = "Look"
EXIT_CODES = {"well": 0, "watch": 1, "unwell": 2, "unknown": 3, "paused": 4}
At = Annotated[datetime | None, typer.Option("--at", parser=read_moment, metavar="TIME", help="How it was at this moment, instead of now.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(
        rich_help_panel=PANEL,
        epilog=examples("keepwell status", "keepwell status --exit-code", "keepwell status --at 2026-03-01", "keepwell status --all"),
    )(status)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell inbox", "keepwell inbox --who Mira", "keepwell inbox --json"))(inbox)
    app.command(
        rich_help_panel=PANEL,
        epilog=examples(
            "keepwell history --limit 20",
            "keepwell history --kind promoted --kind rolled_back",
            "keepwell history --since 2026-01-01 --json",
        ),
    )(history)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell runs", "keepwell runs build-20260301T060000Z"))(runs)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell serving", "keepwell serving --at 2026-05-03T14:00"))(serving)


@command
def status(
    folder: Folder = HERE,
    at: At = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Leave with 0 well, 1 watch, 2 unwell, 3 unknown, 4 paused.")] = False,
    every: Annotated[bool, typer.Option("--all", help="One line for each model in the record, the worst first.")] = False,
    as_json: AsJson = False,
) -> None:
    """How is the model, since when, and what happens next?"""
    from keepwell.status import day

    if every:
        _rounds(folder, at, exit_code, as_json)
        return
    with opened(folder) as project:
        found = project.status(at)
    if as_json:
        show_json(found.as_dict())
    else:
        screen.say(screen.sentence(found.headline, found.word))
        seen = [("Last check-up", day(found.checked))] if found.checked else []
        screen.grid([*found.lines, *seen])
    if exit_code:
        raise typer.Exit(EXIT_CODES[found.word])


def _rounds(folder: Path, at: datetime | None, exit_code: bool, as_json: bool) -> None:
    with opened(folder) as project:
        found = project.rounds(at)
    if as_json:
        show_json({"models": [one.as_dict() for one in found]})
    else:
        rows = [
            (screen.word(one.word), one.model, screen.when(one.since) if one.since else "–", one.because, one.owner or "nobody")
            for one in found
        ]
        screen.table(("Word", "Model", "Since", "Because", "Owner"), rows, wide="Because")
    if exit_code:
        raise typer.Exit(EXIT_CODES[found[0].word])


@command
def inbox(
    folder: Folder = HERE,
    who: Annotated[str | None, typer.Option("--who", metavar="NAME", help="What waits for this person; default for anybody.")] = None,
    as_json: AsJson = False,
) -> None:
    """What waits for a person?

    Incidents and versions to approve of every model in the record; rows set aside and decisions of this one.
    """
    with opened(folder) as project:
        found = project.inbox(who)
    if as_json:
        show_json(found.as_dict())
        return
    screen.say(screen.bold(f"{found.sentence}."))
    if found.items:
        screen.say("")
        rows = [(one.kind, one.model, screen.when(one.since), one.sentence, one.act) for one in found.items]
        screen.table(("What", "Model", "Since", "Story", "Act"), rows, wide="Story")


@command
def history(
    folder: Folder = HERE,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Only lines of this kind; may be repeated.")] = None,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Only what this person did, or keepwell by itself.")] = None,
    since: Annotated[datetime | None, typer.Option("--since", parser=read_moment, metavar="TIME", help="Only from this moment on.")] = None,
    until: Annotated[datetime | None, typer.Option("--until", parser=read_moment, metavar="TIME", help="Only up to this moment.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest lines.")] = 30,
    as_json: AsJson = False,
) -> None:
    """The model's life so far, oldest first."""
    with opened(folder) as project:
        events = project.history(kind or (), since, until, limit, by)
        past = project.history() if (kind or by) and not events else []
        known, people = {event.kind for event in past}, {event.by for event in past}
    if as_json:
        show_json({"events": events})
    elif events:
        rows = [(screen.when(event.as_of), event.kind.replace("_", " "), event.sentence) for event in events]
        screen.table(("When", "What", "Story"), rows, wide="Story")
    elif by and by not in people and people:
        screen.say(f"{by} has done nothing so far. Who has: {', '.join(sorted(people))}.")
    elif known:
        screen.say(f"Nothing of that kind has happened. Kinds so far: {', '.join(sorted(known))}.")
    else:
        screen.say("Nothing has happened yet. `keepwell run` begins.")


@command
def runs(
    run: Annotated[str | None, typer.Argument(help="One build, to see its steps.", show_default=False)] = None,
    folder: Folder = HERE,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest builds.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Builds, or the steps of one.

    With RUN: what each step was made of, and why it ran or was reused.
    """
    with opened(folder) as project:
        if run is not None:
            found, steps = project.run_steps(run)
            listed = []
        else:
            listed = project.runs(limit)
    if run is not None:
        if as_json:
            show_json({"run": found, "steps": [{**vars(step), "reason": step.reason} for step in steps]})
            return
        screen.say(screen.sentence(f"{found.run} {found.status}: {found.sentence}", found.status))
        screen.grid([("Because", found.reason), ("For", screen.when(found.as_of)), ("Took", took(found.begun, found.ended))])
        screen.say("")
        rows = [(step.name, step.identity[:12], f"{step.seconds:.2f} s", step.reason) for step in steps]
        screen.table(("Step", "Identity", "Took", "Why"), rows, right=("Took",), wide="Why")
    elif as_json:
        show_json({"runs": listed})
    elif listed:
        builds = [(one.run, screen.word(one.status), took(one.begun, one.ended), one.reason) for one in reversed(listed)]
        screen.table(("Run", "Ended", "Took", "Because"), builds, right=("Took",), wide="Because")
    else:
        screen.say("No version has been built yet. `keepwell run --build` builds one now.")


@command
def serving(folder: Folder = HERE, at: At = None, as_json: AsJson = False) -> None:
    """Which version answers, and which ones did before."""
    with opened(folder) as project:
        version, changes = project.serving(at)
        name = project.name
    now = [change for change in changes if at is None or change.since <= at]
    since = max((change.since for change in now), default=None)
    if as_json:
        number = version.number if version else None
        show_json({"model": name, "at": at, "version": number, "since": since if version else None, "changes": changes})
        return
    from keepwell.status import serving_sentence

    screen.say(serving_sentence(name, version.number if version else None, since, at))
    if changes:
        screen.say("")
        ends: list[datetime | None] = [*(change.since for change in changes[1:]), None]
        rows = [
            (str(change.number or "–"), screen.when(change.since), screen.when(end) if end else "now", change.by, change.reason)
            for change, end in zip(changes, ends, strict=True)
        ]
        screen.table(("Version", "From", "Until", "By", "Why"), rows, right=("Version",), wide="Why")
