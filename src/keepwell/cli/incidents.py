"""Incidents: see them, and act on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, read_moment, read_span, send_after, show_json

if TYPE_CHECKING:
    from keepwell.incidents import Incident
    from keepwell.orchestration import Dossier

PANEL = "Act"
Number = Annotated[int, typer.Argument(metavar="N", help="Number of the incident, as `keepwell incidents` lists it.", show_default=False)]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who acts; default the user of this machine.")]
Revision = Annotated[
    int | None, typer.Option("--revision", metavar="R", help="Refuse when the incident is at another revision than the one seen.")
]
Every = Annotated[bool, typer.Option("--all", help="Closed ones as well.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(
        help="Incidents: what is wrong, who has it, what comes next.",
        invoke_without_command=True,
        epilog=examples("keepwell incidents", "keepwell incidents show 3", "keepwell incidents ack 3"),
    )
    group.callback()(default)
    for act, lines in (
        (show, ("keepwell incidents show 3", "keepwell incidents show 3 --json")),
        (ack, ("keepwell incidents ack 3", "keepwell incidents ack 3 --by Mira --revision 4")),
        (assign, ("keepwell incidents assign 3 Jo", "keepwell incidents assign 3 Jo --by Mira")),
        (comment, ("keepwell incidents comment 3 'asked the vendor'", "keepwell incidents comment 3 'mended at noon' --by Jo")),
        (snooze, ("keepwell incidents snooze 3 --for 2d", "keepwell incidents snooze 3 --until 2026-05-20")),
        (close, ("keepwell incidents close 3 --cause 'the sensor was replaced'", "keepwell incidents close 3 --cause 'a test' --by Jo")),
        (reopen, ("keepwell incidents reopen 3 --because 'it came back'", "keepwell incidents reopen 3 --because 'not mended' --json")),
        (durations, ("keepwell incidents durations", "keepwell incidents durations --period year --json")),
    ):
        group.command(epilog=examples(*lines))(act)
    group.command("list", epilog=examples("keepwell incidents list", "keepwell incidents list --all --json"))(listing)
    app.add_typer(group, name="incidents", rich_help_panel=PANEL)


def default(context: typer.Context, folder: Folder = HERE, every: Every = False, as_json: AsJson = False) -> None:
    """Incidents that are not closed, the newest first, and what can be done about them."""
    if context.invoked_subcommand is None:
        listing(folder=folder, every=every, limit=30, as_json=as_json)
    elif folder != HERE:  # `keepwell incidents -C rain show 3`
        context.default_map = {**(context.default_map or {}), context.invoked_subcommand: {"folder": str(folder)}}


@command
def listing(folder: Folder = HERE, every: Every = False, limit: Limit = 30, as_json: AsJson = False) -> None:
    """Incidents that are not closed, the newest first."""
    from keepwell.incidents import STATES, words_of
    from keepwell.orchestration import plain

    with opened(folder) as project:
        found = project.incidents(STATES if every else (), limit)
    now = datetime.now(UTC)
    if as_json:
        show_json({"incidents": [plain(one) for one in found]})
    elif not found:
        screen.say("There is no incident." if every else "No incident is open. `keepwell incidents --all` shows closed ones.")
    else:
        rows = [
            (str(one.number), screen.word(one.state_at(now)), one.severity, screen.when(one.first), one.owner or "nobody", words_of(one))
            for one in found
        ]
        screen.table(("N", "State", "Severity", "Since", "Owner", "What"), rows, right=("N",), wide="What")


@command
def show(number: Number, folder: Folder = HERE, as_json: AsJson = False) -> None:
    """One incident: the sentence, its impact, what happened, what was tried and whether it helped, what to do."""
    with opened(folder) as project:
        found = project.incident(number)
    if as_json:
        show_json(found.as_dict())
        return
    incident = found.incident
    screen.say(found.sentence)
    screen.grid(_facts(found))
    if found.tried:
        screen.say("")
        rows = [(screen.when(one["at"]), one["sentence"], one["effect"]["sentence"] if one["effect"] else "–") for one in found.tried]
        screen.table(("When", "Tried", "Effect"), rows, wide="Tried")
    screen.say("")
    lines = [(screen.when(line.at), line.by, line.sentence) for line in found.activity]
    screen.table(("When", "By", "What happened"), lines, wide="What happened")
    if incident.is_open:
        screen.say(screen.bold("\nWhat to do"))
        screen.say(found.runbook)


def _facts(found: Dossier) -> list[tuple[str, str]]:
    from keepwell.incidents import durations_of

    incident, impact, took = found.incident, found.impact, durations_of(found.incident)
    extra = f", {impact['extra_loss']:+.3g} {impact['metric']} in sum beyond the expected" if impact["extra_loss"] is not None else ""
    spans = [f"{name} {_span(value)}" for name, value in vars(took).items() if value is not None]
    return [
        ("State", f"{incident.state_at(datetime.now(UTC))}, {incident.severity}, revision {incident.revision}"),
        ("Owner", f"{incident.owner or 'nobody'}{f', deputy {incident.deputy}' if incident.deputy else ''}"),
        ("Impact", f"{screen.count(impact['answers'], 'answer')}, {impact['labelled']:,} with a label{extra}"),
        ("Took to", ", ".join(spans) or "–"),
        ("People", ", ".join(found.participants) or "nobody yet"),
        ("Evidence", f"{screen.count(incident.facts['sightings'], 'sighting')}, the first {incident.facts['evidence'][0]['key']}"),
    ]


def _span(took: timedelta) -> str:
    return f"{took.days:,} d" if took >= timedelta(days=2) else f"{took / timedelta(hours=1):.1f} h"


@command
def ack(number: Number, folder: Folder = HERE, by: By = None, revision: Revision = None, as_json: AsJson = False) -> None:
    """Say that you have it: nobody else is told any more."""
    _act(folder, number, "ack", (), by, revision, as_json)


@command
def assign(
    number: Number,
    to: Annotated[str, typer.Argument(metavar="NAME", help="Who is to have it.", show_default=False)],
    folder: Folder = HERE,
    by: By = None,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Give it to a person, who is told."""
    _act(folder, number, "assign", (to,), by, revision, as_json)


@command
def comment(
    number: Number,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.", show_default=False)],
    folder: Folder = HERE,
    by: By = None,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Add words to its activity."""
    _act(folder, number, "comment", (text,), by, revision, as_json)


@command
def snooze(
    number: Number,
    folder: Folder = HERE,
    until: Annotated[datetime | None, typer.Option("--until", parser=read_moment, metavar="TIME", help="Until this moment.")] = None,
    span: Annotated[timedelta | None, typer.Option("--for", parser=read_span, metavar="SPAN", help="For so long: 2d, 12h.")] = None,
    by: By = None,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Tell nobody for a while, unless it gets worse."""
    if (until is None) == (span is None):
        raise typer.BadParameter("say either --for SPAN or --until TIME.")
    moment = until if until is not None else datetime.now(UTC).replace(microsecond=0) + (span or timedelta())
    _act(folder, number, "snooze", (moment,), by, revision, as_json)


@command
def close(
    number: Number,
    cause: Annotated[str, typer.Option("--cause", metavar="TEXT", help="What it was.", show_default=False)],
    folder: Folder = HERE,
    by: By = None,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """End it, with its cause.

    While the fault lasts it stays closed, unless it gets worse. Without this it ends by itself when the fault does.
    """
    _act(folder, number, "close", (cause,), by, revision, as_json)


@command
def reopen(
    number: Number,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why.", show_default=False)],
    folder: Folder = HERE,
    by: By = None,
    revision: Revision = None,
    as_json: AsJson = False,
) -> None:
    """Take a closed one up again."""
    _act(folder, number, "reopen", (because,), by, revision, as_json)


@command
def durations(
    folder: Folder = HERE,
    period: Annotated[str, typer.Option("--period", help="month, quarter or year.")] = "quarter",
    as_json: AsJson = False,
) -> None:
    """How long it took to detect, respond and repair: medians per period, hours."""
    from keepwell.incidents import PERIODS

    if period not in PERIODS:
        raise typer.BadParameter(f"it is one of {', '.join(PERIODS)}.", param_hint="--period")
    with opened(folder) as project:
        rows = project.durations(period)
    if as_json:
        show_json({"period": period, "durations": rows})
    elif not rows:
        screen.say("There was no incident yet.")
    else:
        numbers = [(row["period"], str(row["incidents"]), *(_hours(row[f"{name}_h"]) for name in NAMES)) for row in rows]
        screen.table(("Period", "Incidents", "To detect", "To respond", "To repair"), numbers, right=("Incidents", *COLUMNS))


NAMES, COLUMNS = ("detect", "respond", "repair"), ("To detect", "To respond", "To repair")


def _hours(hours: float | None) -> str:
    return "–" if hours is None else _span(timedelta(hours=hours))


def _act(folder: Any, number: int, act: str, what: tuple[Any, ...], by: str | None, revision: int | None, as_json: bool) -> None:
    with opened(folder) as project:
        incident: Incident = project.act_on(number, act, *what, by=by, revision=revision)
        send_after(project)
        found = project.incident(incident.number)
    if as_json:
        show_json(found.as_dict())
    else:
        screen.say(f"Incident {incident.number}: {found.activity[-1].sentence}.")
        screen.say(found.sentence)
