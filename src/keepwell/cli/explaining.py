"""Commands that explain: a decline, one prediction, how soon a decline could be proven, and whether anything has fallen silent."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, opened, read_moment, show_json

if TYPE_CHECKING:
    from keepwell.why import Why

SILENT = 3  # as `keepwell status --exit-code` has it for unknown
YEAR_DAYS = 364  # whole weeks


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(
        rich_help_panel="Look",
        epilog=examples("keepwell why", "keepwell why --at 1973-06-01", "keepwell why --html why.html", "keepwell why --json"),
    )(why)
    app.command(
        rich_help_panel="Look",
        epilog=examples("keepwell explain 9f8e7d6c5b4a", "keepwell explain 9f8e7d6c5b4a --json"),
    )(explain)
    group = typer.Typer(
        help="What the watch could prove, how soon, and what fell silent.",
        no_args_is_help=True,
        epilog=examples("keepwell watch plan", "keepwell watch silence"),
    )
    group.command(epilog=examples("keepwell watch plan", "keepwell watch plan --json"))(plan)
    group.command(epilog=examples("keepwell watch silence", "keepwell watch silence --exit-code --json"))(silence)
    app.add_typer(group, name="watch", rich_help_panel="Look")


@command
def why(
    folder: Folder = HERE,
    at: Annotated[
        datetime | None, typer.Option("--at", parser=read_moment, metavar="TIME", help="As it was known at this moment, instead of now.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many of the newest declines.")] = 3,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts.")] = None,
    as_json: AsJson = False,
) -> None:
    """Since when does the model decline, and because of what?

    The interval of the onset, causes found in the data and changes on record as one ranked list, and where the rise of the loss went.
    """
    with opened(folder) as project:
        found = project.why(at, limit)
        if html is not None:
            from keepwell.charts import page

            html.write_text(page(project.context, found), "utf-8")
    if as_json:
        show_json(found.as_dict())
        return
    screen.say(found.sentence)
    if found.gap and found.declines:
        screen.say(found.gap)
    for incident in found.incidents:
        screen.say(f"Incident {incident['clause']}.")
    for told in found.declines:
        ended = f", until {screen.day(told.ended)}" if told.ended else ", not ended"
        screen.say("")
        screen.say(screen.bold(f"Version {told.version}, told on {screen.day(told.told)}{ended}"))
        began = told.explanation.began
        interval = f"between {screen.day(began.low)} and {screen.day(began.high)} ({began.level:.0%})"
        rows = [("Began", f"{screen.day(began.at)}, {interval}, a {began.shape}")]
        rows += [(part.name[:1].upper() + part.name[1:], f"{part.amount:+.4f}") for part in told.explanation.parts]
        if told.explanation.rise is not None:
            rows.append(("Rise of the loss", f"{told.explanation.rise:+.4f} (standard error {told.explanation.rise_error or 0:.4f})"))
        if told.explanation.avoidable is not None:
            error = told.explanation.avoidable_error or 0
            rows.append(("Recalibration spares", f"{told.explanation.avoidable:+.4f} (standard error {error:.4f})"))
        rows += [("Without labels", note) for note in told.explanation.notes]
        screen.grid(rows)
        causes = [(f"{one.score:.2f}", "on record" if one.change else "in the data", one.sentence) for one in told.ranked]
        if causes:
            screen.table(("Score", "Found", "Cause"), causes, right=("Score",), wide="Cause")
    if found.notes:
        screen.say("")
        notes = [(screen.when(moment), note) for moment, note in found.notes]
        screen.table(("When", "Changes that cost nothing"), notes, wide="Changes that cost nothing")
    _limits(found)
    if html is not None:
        screen.say(f"Written: {html}")


def _limits(found: Why) -> None:
    """What the watch of the version that serves cannot do, because of what it learned from."""
    if limits := found.facts.get("notes"):
        screen.say("")
        screen.grid([("The watch", f"{note}.") for note in limits])


@command
def explain(
    prediction: Annotated[str, typer.Argument(help="A prediction's id, as `keepwell predict` lists it.", show_default=False)],
    folder: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Follow one prediction through its steps.

    What was asked, with which features, who answered, who else would have, and what came true. The features are computed again from the
    tables by the version's own code, and the version is asked again: both must agree.
    """
    with opened(folder) as project:
        found = project.explain(prediction)
    if as_json:
        show_json(found.as_dict())
        return
    screen.say(f"{found.sentence}.")
    screen.say("")
    screen.grid([(step.name[:1].upper() + step.name[1:], f"{step.sentence}.") for step in found.steps])
    table, compared = found.step("features").facts["features"], found.step("features").facts["compared"]
    rows = [
        (name, str(one["served"]), str(one["computed"]) if compared else "", ("yes" if one["same"] else "no") if compared else "")
        for name, one in table.items()
    ]
    screen.say("")
    screen.table(("Feature", "Served", "From the tables", "Same"), rows, right=("Served", "From the tables"))


@command
def plan(folder: Folder = HERE, as_json: AsJson = False) -> None:
    """How long would a rise of the loss take to prove?

    With today's number of rows and labels, and the false-alarm budget of the settings (watch.false_alarms).
    """
    with opened(folder) as project:
        rows = project.plan()
        budget, found = project.settings.watch.false_alarms, project.why(limit=1)
        held_out = project.settings.build.holdout_days
    if as_json:
        show_json({"false_alarms": budget, "plan": rows, "gap": found.gap, "notes": found.facts.get("notes", [])})
    elif not rows:
        screen.say(found.gap)
    else:
        screen.say(f"With a budget of {budget}, a rise of the loss is proven after about:")
        never = "never: so little is tolerated"
        told = [(row["rise"], never if row["batches"] is None else f"{row['batches']:,} batches, {row['days']:,} days") for row in rows]
        screen.table(("Rise", "Proven after"), told, right=("Rise",))
        screen.say("Broken columns are found without labels, mostly within days.")
        _limits(found)
    if not as_json and held_out < YEAR_DAYS:
        screen.say(
            f"A version is judged on {held_out:g} days ([build] holdout_days): a season that they do not hold may pass for a decline. "
            f"{YEAR_DAYS} hold one of each."
        )


@command
def silence(
    folder: Folder = HERE,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Leave with 3 when something is silent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Does everything that should come still come?

    Cycles, data, labels, requests, workers, notices. What is silent beyond its deadline (`silence` in the settings) becomes an incident,
    and what came back ends one. `keepwell up` and `keepwell work` look all the time; where neither runs, let cron call this.
    """
    with opened(folder) as project:
        changes = project.look()
        silent = [one for one in project.status().incidents if one["silent"]]
    if as_json:
        changed = [{"incident": one.incident.number, "kind": one.activity.kind, "sentence": one.activity.sentence} for one in changes]
        show_json({"silent": silent, "changed": changed})
    else:
        for one in silent:
            screen.say(one["sentence"])
        if not silent:
            screen.say("Nothing is silent beyond its deadline.")
    if exit_code and silent:
        raise typer.Exit(SILENT)
