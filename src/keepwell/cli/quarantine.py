"""Rows that broke the contract: look at them, let them in, or keep them out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, show_json

Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids as `keepwell quarantine list` shows them, or 'all'.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the rows it is about.")]
State = Annotated[str, typer.Option("--state", help="waiting, released, dropped or any.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(
        help="Rows that broke the contract: list, release, drop.",
        no_args_is_help=True,
        epilog=examples("keepwell quarantine list", "keepwell quarantine release 3f2a91c07be4d815", "keepwell quarantine drop all"),
    )
    group.command("list", epilog=examples("keepwell quarantine list", "keepwell quarantine list --state any --json"))(show)
    group.command(epilog=examples("keepwell quarantine release 3f2a91c07be4d815", "keepwell quarantine release all --dry-run"))(release)
    group.command(epilog=examples("keepwell quarantine drop 3f2a91c07be4d815 77ab03c1d2e4f560", "keepwell quarantine drop all"))(drop)
    app.add_typer(group, name="quarantine", rich_help_panel="Act")


@command
def show(folder: Folder = HERE, state: State = "waiting", as_json: AsJson = False) -> None:
    """Rows that wait for a decision, each with its reason."""
    if state not in ("waiting", "released", "dropped", "any"):
        raise typer.BadParameter("it is one of waiting, released, dropped, any.", param_hint="--state")
    with opened(folder) as project:
        rows = project.quarantine(None if state == "any" else state)
    if as_json:
        show_json({"rows": rows})
    elif not rows:
        screen.say("The quarantine is empty." if state == "any" else f"No row is {state} in quarantine.")
    else:
        lines = [(row["row_id"], row["entity"], screen.when(row["time"]), screen.word(row["state"]), row["reason"]) for row in rows]
        screen.table(("Id", "Entity", "Time", "State", "Why"), lines, wide="Why")
        if state == "waiting":
            screen.say("\nLet one in with `keepwell quarantine release ID`, keep one out with `keepwell quarantine drop ID`.")


@command
def release(ids: Ids, folder: Folder = HERE, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let rows in after all; they count as observations from now on."""
    with opened(folder) as project:
        if dry_run:
            _would(project.to_decide(ids), "release", as_json)
            return
        decided = project.release(ids)
    _told(decided, "released: they are observations now", as_json)


@command
def drop(ids: Ids, folder: Folder = HERE, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Keep rows out for good; they stay on record and never train a model."""
    with opened(folder) as project:
        if dry_run:
            _would(project.to_decide(ids), "drop", as_json)
            return
        decided = project.drop(ids)
    _told(decided, "dropped: they stay on record, and out of every model", as_json)


def _would(rows: list[dict[str, Any]], verb: str, as_json: bool) -> None:
    if as_json:
        show_json({"done": False, "rows": rows})
        return
    screen.say(f"`keepwell quarantine {verb}` would be about {screen.count(len(rows), 'row')}. Nothing was changed.")
    if rows:
        lines = [(row["row_id"], row["entity"], screen.when(row["time"]), row["reason"]) for row in rows]
        screen.table(("Id", "Entity", "Time", "Why"), lines, wide="Why")


def _told(decided: int, what: str, as_json: bool) -> None:
    if as_json:
        show_json({"rows": decided})
    else:
        screen.say(f"{screen.count(decided, 'row')} {what}." if decided else "No row waits in quarantine; nothing was changed.")
