"""`keepwell score`, `keepwell changes`, and `keepwell record`: is the record still what was written, and a file of evidence for others."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, AsJson, Folder, command, examples, opened, read_moment, show_json

if TYPE_CHECKING:
    from keepwell.evidence import Verdict

PANEL = "Look"


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    lines: tuple[str, ...] = (
        "keepwell changes --around onset",
        "keepwell changes --around 2026-03-01",
        "keepwell changes --from 2026-01-01",
    )
    app.command(rich_help_panel=PANEL, epilog=examples(*lines))(changes)
    lines = ("keepwell score", "keepwell score --missing", "keepwell score --at 1962-01-01 --json")
    app.command(rich_help_panel=PANEL, epilog=examples(*lines))(score)
    lines = ("keepwell record verify", "keepwell record verify --json")
    group = typer.Typer(no_args_is_help=True, help="Was the record changed since it was written? Hashes tell.", epilog=examples(*lines))
    lines = ("keepwell record verify", "keepwell record verify --bundle rain-evidence.zip", "keepwell record verify --json")
    group.command(epilog=examples(*lines))(verify)
    lines = ("keepwell record bundle rain-evidence.zip", "keepwell record bundle -C rain rain-evidence.zip --json")
    group.command(epilog=examples(*lines))(bundle)
    app.add_typer(group, name="record", rich_help_panel=PANEL)


@command
def score(
    folder: Folder = HERE,
    at: Annotated[
        datetime | None, typer.Option("--at", parser=read_moment, metavar="TIME", help="As it was at this moment of the model's own time.")
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Only points that are not whole.")] = False,
    as_json: AsJson = False,
) -> None:
    """How ready is it for production? The ML Test Score, with proofs.

    A point counts 1 when it is done by itself, 0.5 by hand or in part, 0 without evidence; old evidence lapses. The score is
    the sum of the weakest of four sections.
    """
    from keepwell.readiness import SECTIONS

    with opened(folder) as project:
        found = project.score(at)
    if as_json:
        show_json(found.as_dict())
        return
    screen.say(screen.bold(f"{found.sentence}."))
    for section, name in SECTIONS.items():
        points = [point for point in found.points if point.section == section and (point.points < 1 or not missing)]
        screen.say("")
        screen.say(screen.bold(f"{name}: {found.sections[section]:g} of 7"))
        for point in points:
            screen.say(f"  {point.points:>3g}  {point.id}  {point.asked}")
            if point.proof:
                lapsed = ", lapsed" if point.lapsed else ""
                screen.say(screen.dim(f"           {point.proof} ({screen.when(point.dated)}{lapsed})"))
            if point.next:
                screen.say(f"           Next: {point.next}")


@command
def changes(
    folder: Folder = HERE,
    since: Annotated[datetime | None, typer.Option("--from", parser=read_moment, metavar="TIME", help="Only from this moment on.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", parser=read_moment, metavar="TIME", help="Only up to this moment.")] = None,
    around: Annotated[
        str | None, typer.Option("--around", metavar="TIME|onset", help="Near a moment, or near the onset of the newest decline.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What changed: data, contract, code, settings, model, traffic.

    Data, contract, code, packages, settings, model and traffic. Without a span: the newest two weeks. Around a moment: two
    weeks on either side. Around the onset: its interval and the sixty days before.
    """
    with opened(folder) as project:
        found = project.changes(since, until, around if around in (None, "onset") else read_moment(str(around)))
    if as_json:
        show_json(found.as_dict())
        return
    screen.say(screen.bold(f"{found.sentence}."))
    if found.around:
        screen.say(f"Asked about: {' to '.join(dict.fromkeys(screen.day(moment) for moment in found.around))}.")
    if found.rows:
        screen.say("")
        away = [() if row.days is None else (f"{row.days:+.1f}" if row.days else "in it",) for row in found.rows]
        rows = [(screen.when(row.at), *apart, row.kind, row.by or "–", row.sentence) for row, apart in zip(found.rows, away, strict=True)]
        screen.table(("When", *(("Days away",) if found.around else ()), "What", "By", "Story"), rows, right=("Days away",), wide="Story")


@command
def verify(
    folder: Folder = HERE,
    head: Annotated[
        str | None, typer.Option("--head", metavar="PLACE:HASH", help="A head that was kept elsewhere: the record must still hold it.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="Check this evidence bundle instead; it needs no project.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Has any decision or act been edited, removed or reordered?

    Recomputes the chain of each table that only grows, and names the first row that is not what was written. Leaves with 1
    when there is one.
    """
    if file is not None:
        from keepwell.evidence import verify_bundle

        found = verify_bundle(file, head)
    else:
        with opened(folder) as project:
            found = project.verify_record(head)
    if as_json:
        show_json(found.as_dict())
    else:
        _tell(found)
    if not found.is_whole:
        raise typer.Exit(FAILED)


@command
def bundle(
    file: Annotated[Path, typer.Argument(help="The zip to write.", show_default=False)],
    folder: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Write the evidence about the model into one zip, for an auditor.

    The record as JSON lines, model cards, lineage, proofs, readiness, and the SHA-256 of each file. The same record gives the
    same bytes.
    """
    with opened(folder) as project:
        made = project.bundle(file)
    if as_json:
        show_json(made)
        return
    screen.say(screen.bold(f"Wrote {made.file}: {made.files} files, {made.size / 1e6:,.2f} MB."))
    screen.say(f"SHA-256 {made.digest}")
    screen.say(f"Check it anywhere: `keepwell record verify --bundle {made.file}`.")


def _tell(found: Verdict) -> None:
    from keepwell.evidence import COVERED, UNCOVERED

    screen.say(screen.bold(f"{found.sentence}."))
    screen.say("")
    rows = [
        (chain.name, f"{chain.rows:,}", screen.word("wrong" if chain.broken else "ok"), COVERED.get(chain.name, ""))
        for chain in found.chains
    ]
    screen.table(("Chain", "Rows", "", "What it holds"), rows, right=("Rows",), wide="What it holds")
    for one in found.breaks:
        screen.say("")
        key = f" ({one.key})" if one.key else ""
        screen.say(f"{one.chain}, row {one.place}{key}, {one.kind}: {one.sentence}.")
    for problem in found.problems:
        screen.say("")
        screen.say(f"{problem[:1].upper()}{problem[1:]}.")
    for line in UNCOVERED:
        screen.say(screen.dim(f"Not covered: {line}."))
    if found.is_whole and found.head:
        screen.say(screen.dim(f"Its newest line is {found.head}. Kept elsewhere, it proves later that nobody rewrote the whole (--head)."))
