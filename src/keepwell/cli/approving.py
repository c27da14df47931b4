"""People's word on versions that wait, and the trials they see before: approve, reject, trials."""

from __future__ import annotations

from typing import Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, send_after, show_json

Challenger = Annotated[str, typer.Argument(help="A number, or challenger.", show_default=False)]
Comment = Annotated[str, typer.Option("--comment", "-m", help="Why; kept on record.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(
        rich_help_panel="Act", epilog=examples("keepwell approve challenger", "keepwell approve 5 --comment 'looked at the winter months'")
    )(approve)
    app.command(rich_help_panel="Act", epilog=examples("keepwell reject challenger --comment 'too slow'", "keepwell reject 5 --json"))(
        reject
    )
    app.command(rich_help_panel="Look", epilog=examples("keepwell trials", "keepwell trials --json"))(trials)


@command
def approve(version: Challenger, folder: Folder = HERE, comment: Comment = "", as_json: AsJson = False) -> None:
    """Say yes to a challenger; enough approvals make it champion."""
    with opened(folder) as project:
        said = project.approve(version, comment=comment)
        send_after(project)
        champion = project.aliases().get("champion")
    if as_json:
        show_json({**vars(said), "champion": champion})
    else:
        screen.say(f"{said.sentence.rstrip('.')}." + (f" Version {champion} is champion now." if champion == said.version else ""))


@command
def reject(version: Challenger, folder: Folder = HERE, comment: Comment = "", as_json: AsJson = False) -> None:
    """Say no to a challenger: its trial ends, the champion stays."""
    with opened(folder) as project:
        sentence = project.reject(version, comment=comment)
    if as_json:
        show_json({"sentence": sentence})
    else:
        screen.say(f"{sentence.rstrip('.')}.")


@command
def trials(folder: Folder = HERE, as_json: AsJson = False) -> None:
    """Versions on trial beside the champion, and what they showed."""
    with opened(folder) as project:
        found = project.trials()
    if as_json:
        show_json({"trials": found})
    elif not found:
        screen.say("No version has been on trial yet.")
    else:
        rows = [
            (str(one["version"]), one["kind"], str(one["beside"] or "–"), screen.when(one["since"]), one["status"], one["shows"])
            for one in found
        ]
        screen.table(("Version", "Kind", "Beside", "Since", "Status", "Shows"), rows, right=("Version", "Beside"), wide="Shows")
