"""Commands that look for trouble: check (the project, before it runs) and doctor (what is kept, any time)."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer
from rich.text import Text

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, AsJson, Folder, command, examples, show_json

PANEL = "Set up and look after"


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell check", "keepwell check -C rain --json"))(check)
    lines = ("keepwell doctor", "keepwell doctor --deep --against /mnt/backups", "keepwell doctor --json")
    app.command(rich_help_panel=PANEL, epilog=examples(*lines))(doctor)


@command
def check(folder: Folder = HERE, as_json: AsJson = False) -> None:
    """Is the project right? Tries everything, keeps nothing.

    Reads the settings and the model file, gathers a small window, makes features and labels of it, trains on it, and tells
    everything that is not right yet, not only the first thing.
    """
    from keepwell.preflight import preflight

    findings = preflight(folder)
    wrong = sum(1 for finding in findings if finding.state == "wrong")
    if as_json:
        show_json({"ready": not wrong, "findings": findings})
    else:
        screen.grid([(finding.about, screen.word(finding.state), finding.message) for finding in findings])
        verdict = "Ready: `keepwell run` begins." if not wrong else f"Not ready yet: {screen.count(wrong, 'thing')} to mend."
        screen.say(screen.bold(f"\n{verdict}"))
    if wrong:
        raise typer.Exit(FAILED)


@command
def doctor(
    folder: Folder = HERE,
    deep: Annotated[bool, typer.Option("--deep", help="Read every file that is kept, for changed bytes.")] = False,
    against: Annotated[
        str | None, typer.Option("--against", metavar="TARGET", help="Compare the record with the newest backup there, row by row.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Is Keepwell itself well? Names what is not, and the cure.

    Looks at everything that is kept and changes nothing.
    """
    from keepwell.keeping import examine, open_backup

    findings = examine(folder, deep=deep, backup=open_backup(against) if against else None)
    counts = Counter(finding.state for finding in findings)
    if as_json:
        show_json({"healthy": not counts["wrong"], "findings": findings})
    else:
        rows: list[tuple[str | Text, ...]] = []
        for finding in findings:
            rows.append((finding.about, screen.word(finding.state), finding.message))
            if finding.cure:
                rows.append(("", "", screen.bold(finding.cure)))
        screen.grid(rows)
        told = [
            screen.count(counts[state], *names)
            for state, names in (("wrong", ("fault", "faults")), ("note", ("note", "notes")))
            if counts[state]
        ]
        screen.say(screen.bold(f"\n{' and '.join(told)}." if told else "\nEverything is as it should be."))
    if counts["wrong"]:
        raise typer.Exit(FAILED)
