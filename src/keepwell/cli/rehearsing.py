"""The command that tries policies on history: rehearse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, read_moment, read_span, show_json

if TYPE_CHECKING:
    from keepwell.rehearsal import Outcome, Rehearsal

USUAL = ("never", "monthly", "yearly", "on-decline", "as-is")


def register(app: typer.Typer) -> None:
    """Put the command on the app."""
    app.command(
        rich_help_panel="Look",
        epilog=examples(
            "keepwell rehearse",
            "keepwell rehearse --policy as-is --policy bolder.toml --from 2015-01-01",
            "keepwell rehearse --policy never --policy on-decline --html policies.html",
        ),
    )(rehearse)


@command
def rehearse(
    folder: Folder = HERE,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", metavar="FILE", help=f"A policy file, or one of {', '.join(USUAL)}; default all five."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", parser=read_moment, metavar="TIME", help="First cycle; default as early as is kept.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--to", parser=read_moment, metavar="TIME", help="Last cycle; default the newest row.")
    ] = None,
    every: Annotated[
        timedelta | None,
        typer.Option("--every", parser=read_span, metavar="SPAN", help="Time between cycles; default what makes about 260 of them."),
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; default one for each processor.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with a chart.")] = None,
    as_json: AsJson = False,
) -> None:
    """How would the kept history have gone under other policies?

    Each lives through the kept rows by the same code, in a folder that goes away; what they came to is kept, for the policy page.
    """
    from keepwell.rehearsal import read_policies

    policies = read_policies(policy or USUAL)
    with opened(folder) as project, _bars([one.name for one in policies], quiet=as_json) as told:
        found = project.rehearse(policies, since=since, until=until, every=every, workers=workers, told=told)
    if html is not None:
        from keepwell.charts import rehearsal_page

        html.write_text(rehearsal_page(found), "utf-8")
    if as_json:
        show_json(found.as_dict())
        return
    _show(found)
    if html is not None:
        screen.say(f"Written: {html}")


@contextmanager
def _bars(names: list[str], quiet: bool) -> Iterator[Callable[..., None]]:
    """A bar for each policy, on a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = screen.screen(error=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        tasks = {name: progress.add_task(name, total=None, at="waits") for name in names}

        def told(name: str, moment: datetime, share: float) -> None:
            progress.update(tasks[name], total=1.0, completed=share, at=f"{moment:%Y-%m-%d}")

        yield told


def _show(found: Rehearsal) -> None:
    step = f"{found.every_days:g} days" if found.every_days != 1 else "day"
    screen.say(f"{found.model} from {screen.when(found.since)} to {screen.when(found.until)}, a cycle every {step}:")
    rows = [_row(one) for one in found.outcomes]
    columns = ("Policy", found.metric, "Below target", "Builds", "Promoted", "Alarms", "False", "Seconds")
    screen.table(columns, rows, right=columns[1:])
    if found.target is not None:
        told = f"Below target: days on which the mean loss of the last {found.window_days:g} days was above {found.target:.4f}."
        screen.say(f"\n{told}")
    screen.say(found.sentence)
    failed = sum(one.failed for one in found.outcomes)
    if failed:
        screen.say(f"{screen.count(failed, 'cycle')} failed.")
    screen.say(f"Rehearsed in {found.seconds:.0f} s.")


def _row(one: Outcome) -> tuple[str, ...]:
    share = f" ({one.days_below / one.days:.0%})" if one.days else ""
    below = f"{screen.count(one.days_below, 'day')}{share}"
    counts = (one.builds, one.promotions, one.alarms, one.false_alarms)
    return (one.policy, f"{one.score:.4f}", below, *(str(count) for count in counts), f"{one.seconds:.0f}")
