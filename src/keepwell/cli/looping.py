"""Commands that turn the loop: run, backfill, up, serve, work."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, AsJson, Folder, command, examples, opened, read_moment, read_span, send_after, show_json

if TYPE_CHECKING:
    from keepwell import Project
    from keepwell.orchestration import CycleRecord

PANEL = "Turn the loop"
DAY = timedelta(days=1)
Browse = Annotated[bool, typer.Option("--open", help="Open the pages in this machine's browser.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell run", "keepwell run --build", "keepwell run --build --dry-run"))(run)
    app.command(
        rich_help_panel=PANEL,
        epilog=examples("keepwell backfill --from 2020-01-01", "keepwell backfill --from 1949-01-31 --to 1998-12-31 --every 7d"),
    )(backfill)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell up", "keepwell up --open", "KEEPWELL_SERVE__PORT=9000 keepwell up"))(up)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell serve", "KEEPWELL_SERVE__PORT=0 keepwell serve -C rain"))(serve)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell work", "KEEPWELL_SCHEDULE__CRON='0 * * * *' keepwell work"))(work)


@command
def run(
    folder: Folder = HERE,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", parser=read_moment, metavar="TIME", help="The moment to run for; default now.")
    ] = None,
    build: Annotated[bool, typer.Option("--build", help="Build a new version, whatever the policy says.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be built on what is known now, and why not.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run one cycle now.

    Gather, check, label, check up, build when the policy says so, predict. The same moment again answers what it did.
    """
    if dry_run:
        _preview(folder, as_of, build, as_json)
        return
    with opened(folder) as project:
        cycle = project.run(as_of, build=build)
        told = project.history(since=cycle.as_of, until=cycle.as_of)
        status = project.status(cycle.as_of)
        send_after(project, cycle=cycle)
    if as_json:
        show_json({"cycle": cycle, "events": told, "status": status.as_dict()})
    else:
        screen.say(
            screen.sentence(f"The cycle of {screen.day(cycle.as_of)} is {cycle.status}: {cycle.sentence.rstrip('.')}.", cycle.status)
        )
        if told:
            screen.grid([(event.kind.replace("_", " "), event.sentence) for event in told])
        screen.say(screen.sentence(status.headline, status.word))
    if cycle.status != "done":
        raise typer.Exit(FAILED)


def _preview(folder: Path, as_of: datetime | None, build: bool, as_json: bool) -> None:
    with opened(folder) as project:
        found = project.preview(as_of, build=build)
    decision = found.decision
    if as_json:
        show_json({"done": False, "decision": decision, "brakes": found.brakes, "difference": found.lines})
        return
    held = [brake.sentence for brake in found.brakes if brake.holds]
    because = "; ".join(held) if held and not decision.build else decision.sentence
    screen.say(f"A version would {'be' if decision.build else 'not be'} built: {because}.")
    if found.lines:
        screen.table(("What", "Champion", "New version", ""), found.lines, wide="")
    screen.say("Nothing was gathered, and nothing was changed.")


@command
def backfill(
    folder: Folder = HERE,
    since: Annotated[
        datetime | None, typer.Option("--from", parser=read_moment, metavar="TIME", help="First moment; default gather.start.")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", parser=read_moment, metavar="TIME", help="Last moment; default now.")] = None,
    every: Annotated[
        timedelta, typer.Option("--every", parser=read_span, metavar="SPAN", show_default="1d", help="Time between cycles: 1d, 7d, 12h.")
    ] = DAY,
    as_json: AsJson = False,
) -> None:
    """Run the cycles of a span of time, oldest first.

    Each runs as if on its own day: it knows nothing of later ones. Stopped and called again, it goes on where it was.
    """
    with opened(folder) as project:
        start = since or _start(project)
        end = until or datetime.now(UTC).replace(microsecond=0)
        if end < start:
            raise typer.BadParameter(f"--from {screen.when(start)} is after --to {screen.when(end)}.")
        begun = time.perf_counter()
        cycles = _cycles(project, start, end, every)
        seconds = time.perf_counter() - begun
        status = project.status(cycles[-1].as_of if cycles else end)
        promoted = project.history(["promoted"], since=cycles[0].as_of, until=cycles[-1].as_of) if cycles else []
        send_after(project)
    failed = [cycle for cycle in cycles if cycle.status != "done"]
    facts: dict[str, Any] = {
        "from": start,
        "to": end,
        "cycles": len(cycles),
        "failed": len(failed),
        "versions": sum(1 for cycle in cycles if cycle.facts.get("version")),
        "promoted": len(promoted),  # at once, or after a trial
        "seconds": round(seconds, 3),
    }
    if as_json:
        show_json({**facts, "status": status.as_dict()})
    else:
        _summary(facts, failed, status)
    if failed:
        raise typer.Exit(FAILED)


def _start(project: Project) -> datetime:
    start = project.settings.gather.start
    if start is None:
        raise typer.BadParameter("say --from TIME, or set gather.start in keepwell.toml.")
    return read_moment(start)


def _cycles(project: Project, since: datetime, until: datetime, every: timedelta) -> list[CycleRecord]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = screen.screen(error=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    done = []
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("Cycles", total=int((until - since) / every) + 1, last="")
        for cycle in project.backfill(since, until, every):
            done.append(cycle)
            version = cycle.facts.get("version")
            if version:
                progress.update(task, last=f"version {version} on {cycle.as_of:%Y-%m-%d}")
            progress.update(task, completed=int((cycle.as_of - since) / every) + 1)
    return done


def _summary(facts: dict[str, Any], failed: list[CycleRecord], status: Any) -> None:
    if not facts["cycles"]:
        screen.say("Nothing was done: no moment of that time lies after the newest cycle, and the record only grows forward.")
        return
    took = f"{facts['seconds']:.1f} s, {facts['seconds'] / facts['cycles'] * 1000:.0f} ms each"
    screen.say(f"{screen.count(facts['cycles'], 'cycle')} in {took}.")
    rows = [("Built", f"{screen.count(facts['versions'], 'version')}, {facts['promoted']} promoted")]
    if failed:
        rows.append(("Failed", f"{screen.count(len(failed), 'cycle')}, the first of {screen.when(failed[0].as_of)}: {failed[0].sentence}"))
    screen.grid(rows)
    screen.say(screen.sentence(status.headline, status.word))


@command
def up(folder: Folder = HERE, browse: Browse = False) -> None:
    """Serve and work in one process.

    Answers requests, shows pages and runs the cycles on schedule.
    """
    _forever(folder, serve=True, work=True, browse=browse)


@command
def serve(folder: Folder = HERE, browse: Browse = False) -> None:
    """Only answer requests.

    The cycles run elsewhere (`keepwell work`); as many servers as you like may serve one model.
    """
    _forever(folder, serve=True, work=False, browse=browse)


@command
def work(folder: Folder = HERE) -> None:
    """Only run the cycles on schedule.

    As many workers as you like may work on one model; each cycle is run by one of them.
    """
    _forever(folder, serve=False, work=True)


def _forever(folder: Any, *, serve: bool, work: bool, browse: bool = False) -> None:
    from keepwell.api import serve_forever

    with opened(folder) as project:
        serve_forever(project, serve=serve, work=work, browse=browse)
