"""Telling: what was told and what came of it, a test of the way, another try, and facts once more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, AsJson, Folder, command, examples, opened, show_json

if TYPE_CHECKING:
    from keepwell.notifying import Told, Tried

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(
        help="Telling people and machines: list, test, retry, replay.",
        no_args_is_help=True,
        epilog=examples("keepwell notify test", "keepwell notify list --state 'given up'", "keepwell notify retry"),
    )
    group.command("list", epilog=examples("keepwell notify list", "keepwell notify list --state pending --json"))(show)
    group.command("test", epilog=examples("keepwell notify test", "keepwell notify test --person mira", "keepwell notify test --dry-run"))(
        try_way
    )
    group.command(epilog=examples("keepwell notify retry", "keepwell notify retry 41 42"))(retry)
    group.command(epilog=examples("keepwell notify replay --after 41 --dry-run", "keepwell notify replay --after 0 --limit 1000"))(replay)
    app.add_typer(group, name="notify", rich_help_panel="Act")


@command
def show(
    folder: Folder = HERE,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only with a delivery in this state: pending, held, sent, 'given up', stale, ...")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest notices.")] = 30,
    as_json: AsJson = False,
) -> None:
    """What was told, to whom, and what came of it.

    pending waits for its (next) try, held for the digest of the week. given up, stale (too old when it could be sent) and
    nobody (the settings do not say how to reach the person) did not arrive.
    """
    from keepwell.notifying import STATES

    if unknown := set(state or ()) - set(STATES):
        raise typer.BadParameter(f"'{min(unknown)}' is none of {', '.join(STATES)}.", param_hint="--state")
    with opened(folder) as project:
        told = project.notify.list(state or (), limit)
        stuck = project.notify.stuck()
    if as_json:
        show_json({"notices": [_plain(one) for one in told], "stuck": [{**vars(one), "sentence": one.sentence} for one in stuck]})
        return
    if not told:
        screen.say("No notice is in that state." if state else "Nothing has been told yet. `keepwell notify test` tries the way.")
    else:
        screen.table(("Number", "When", "What", "To", "State", "Story"), _rows(told), right=("Number",), wide="Story")
    for one in stuck:
        screen.say(screen.bold(f"{one.sentence}, since {screen.when(one.since)}."))


def _plain(told: Told) -> dict[str, Any]:
    notice = vars(told.kept.notice)
    return {"number": told.kept.number, "id": told.kept.id, "key": told.kept.key, **notice, "deliveries": told.deliveries}


def _rows(told: list[Told]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for one in told:
        notice = one.kept.notice
        first = (str(one.kept.number), screen.when(notice.at), notice.kind)
        for place, delivery in enumerate(one.deliveries):
            story = delivery.problem or notice.sentence
            rows.append((*(first if place == 0 else ("", "", "")), delivery.channel, screen.word(delivery.state), story))
        if not one.deliveries:
            waits = "waiting" if one.kept.planned is None else "for nobody"
            rows.append((*first, "–", screen.word(waits), notice.sentence))
    return rows


@command
def try_way(
    folder: Folder = HERE,
    person: Annotated[str | None, typer.Option("--person", help="Only this person; default everyone and every webhook.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send a test now, and say what came back."""
    with opened(folder) as project:
        tried = project.notify.test(person, dry_run=dry_run)
    _show_tried(tried, "would get a test" if dry_run else "has it", as_json)


@command
def retry(
    numbers: Annotated[
        list[int] | None, typer.Argument(metavar="[NUMBER]...", help="Notices, as `keepwell notify list` counts them; default all.")
    ] = None,
    folder: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Send now what waits, was given up, or reached nobody."""
    with opened(folder) as project:
        asked = project.notify.retry(numbers or ())
        turn = project.notify.send()
    if as_json:
        show_json({"retried": asked, "sent": turn.sent, "failed": dict(turn.failed)})
    elif not asked:
        screen.say("Nothing waits, and nothing was given up.")
    else:
        screen.say(f"{screen.count(turn.sent, 'message')} sent.")
        screen.grid([(channel, screen.word("failed"), problem) for channel, problem in turn.failed])
    if turn.failed:
        raise typer.Exit(FAILED)


@command
def replay(
    after: Annotated[int, typer.Option("--after", min=0, help="Cursor: the number of the last event that is known; 0 for all.")],
    folder: Folder = HERE,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many events.")] = 100,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Post facts to the webhooks again, oldest first.

    Each has the id it had before, so that a receiver knows what it has. `GET /events?after=` gives the same to who asks.
    """
    from keepwell.notifying import to_batch

    with opened(folder) as project:
        events = project.notify.events(after, limit)
        tried = [] if dry_run else list(project.notify.replay(after, limit))
    if as_json:
        show_json({"events": json.loads(to_batch(events)), "sent": [one for one in tried if one.problem is None], "failed": _failed(tried)})
    else:
        rows = [(str(one.number), screen.when(one.notice.at), one.notice.kind, one.notice.sentence) for one in events]
        if rows:
            screen.table(("Number", "When", "What", "Story"), rows, right=("Number",), wide="Story")
        cursor = events[-1].number if events else after
        done = "would be sent" if dry_run else f"{screen.count(sum(1 for one in tried if one.problem is None), 'post')} made"
        screen.say(f"{screen.count(len(events), 'event')} after {after}, {done}; the cursor is {cursor} now.")
        screen.grid([(one.channel, screen.word("failed"), one.problem or "") for one in _failed(tried)])
    if _failed(tried):
        raise typer.Exit(FAILED)


def _failed(tried: list[Tried]) -> list[Tried]:
    return [one for one in tried if one.problem is not None]


def _show_tried(tried: list[Tried], done: str, as_json: bool) -> None:
    if as_json:
        show_json({"channels": tried})
    elif not tried:
        screen.say("Nobody can be told anything: set [people.NAME] tell, or [[webhooks]], in keepwell.toml.")
    else:
        screen.grid([(one.channel, screen.word("failed" if one.problem else "ok"), one.problem or done) for one in tried])
    if _failed(tried) or not tried:
        raise typer.Exit(FAILED)
