"""Versions and which of them serves: versions, promote, rollback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, USAGE, AsJson, Folder, command, examples, fail, opened, say_on_error, send_after, show_json
from keepwell.difference import Difference, between
from keepwell.wording import interval

if TYPE_CHECKING:
    from keepwell import Project
    from keepwell.registry import Version

Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept on record.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the difference.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(rich_help_panel="Look", epilog=examples("keepwell versions", "keepwell versions 4", "keepwell versions champion --card"))(
        versions
    )
    app.command(
        rich_help_panel="Act",
        epilog=examples(
            "keepwell promote 4 --dry-run", "keepwell promote challenger --yes", "keepwell promote 3 --override --reason 'agreed with Mira'"
        ),
    )(promote)
    app.command(
        rich_help_panel="Act",
        epilog=examples(
            "keepwell rollback --dry-run",
            "keepwell rollback --yes --reason 'answers look wrong'",
            "keepwell rollback 2",
            "keepwell rollback --rehearse",
        ),
    )(rollback)


@command
def versions(
    version: Annotated[
        str | None, typer.Argument(help="A number or an alias (champion, challenger, previous).", show_default=False)
    ] = None,
    folder: Folder = HERE,
    card: Annotated[bool, typer.Option("--card", help="Its model card, as Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """All versions, or what one was made of."""
    if version is None and card:
        raise typer.BadParameter("say which version's card: `keepwell versions champion --card`.")
    with opened(folder) as project:
        aliases = {number: alias for alias, number in project.aliases().items()}
        if version is None:
            listed = project.versions()
            _list(project, listed, aliases, as_json)
            return
        found = project.version(version)
        text = project.card(version) if card else ""
        metric = project.context.metric
    if card:
        _card(text, as_json)
    elif as_json:
        show_json({**vars(found), "alias": aliases.get(found.number)})
    else:
        _one(found, aliases.get(found.number), metric)


def _list(project: Project, listed: list[Version], aliases: dict[int, str], as_json: bool) -> None:
    if as_json:
        show_json({"versions": [{**vars(one), "alias": aliases.get(one.number)} for one in listed]})
        return
    if not listed:
        screen.say("There is no version yet. `keepwell run --build` builds one now.")
        return
    metric = project.context.metric
    rows = [
        (
            str(one.number),
            screen.when(one.as_of),
            screen.word("passed" if one.passed else "refused"),
            aliases.get(one.number, ""),
            interval(one.facts["metrics"].get(metric)),
            f"{one.facts['train_rows']:,}",
            screen.when(one.facts["trained_until"]),
        )
        for one in listed
    ]
    columns = ("Version", "Made", "Gate", "Alias", f"{metric} (95 %)", "Rows", "Trained until")
    screen.table(columns, rows, right=("Version", "Rows"), wide=columns[4])


def _card(text: str, as_json: bool) -> None:
    if as_json:
        show_json({"card": text})
        return
    console = screen.screen()
    if console.is_terminal:
        from rich.markdown import Markdown

        body = text.split("---\n", 2)[-1] if text.startswith("---\n") else text
        console.print(Markdown(body))
    else:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def _one(found: Version, alias: str | None, metric: str) -> None:
    facts = found.facts
    state = "passed" if found.passed else "refused"
    screen.say(
        screen.sentence(f"Version {found.number}{f' ({alias})' if alias else ''} of {screen.day(found.as_of)}, {state} at the gate.", state)
    )
    champion = f"version {facts['parent']}" if facts.get("parent") else "nothing before it"
    span = f"{screen.when(facts['trained_from'])} to {screen.when(facts['trained_until'])}"
    screen.grid(
        [
            ("Judged", found.sentence),
            ("Trained on", f"{facts['train_rows']:,} rows, {span}"),
            ("Held out", f"{facts['holdout_rows']:,} rows since {screen.when(facts['holdout_from'])}"),
            ("Compared with", champion),
            ("Model file", f"{found.format}, {facts['size_bytes'] / 1000:,.0f} kB, {facts['latency_ms']:.2f} ms a row"),
            ("Answered by", _runtime(facts.get("runtime"))),
            ("Features", ", ".join(facts["signature"])),
            ("Built by", found.run),
        ]
    )
    screen.say("")
    scores = facts["metrics"]
    rows = [(name, interval(value), value.get("reason") or "") for name, value in scores.items()]
    rows.sort(key=lambda row: row[0] != metric)
    screen.table(("Metric", "Value (95 %)", ""), rows, wide="")
    screen.say("\nIts model card: `keepwell versions " + str(found.number) + " --card`.")


@command
def promote(
    version: Annotated[str, typer.Argument(help="A number or an alias.", show_default=False)],
    folder: Folder = HERE,
    reason: Reason = None,
    override: Annotated[
        bool, typer.Option("--override", help="Let a version live that the gate refused, or that too few people approved.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let a version serve; shows the difference first."""
    with opened(folder) as project:
        target = project.version(version)
        difference = between(project, project.aliases().get("champion"), target.number)
        if not target.passed and not override and not dry_run:
            project.promote(version, reason="", override=False)  # raises the refusal in its own words
        if not _agreed(difference, "Promote", dry_run=dry_run, yes=yes, as_json=as_json):
            return
        done = project.promote(version, reason=reason or "by hand", override=override)
        send_after(project)
    _told(difference, done, as_json)


@command
def rollback(
    version: Annotated[str | None, typer.Argument(help="Where to go back to; default the previous champion.", show_default=False)] = None,
    folder: Folder = HERE,
    reason: Reason = None,
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Only load it, ask it its golden rows, and take the time.")] = False,
    override: Annotated[bool, typer.Option("--override", help="Go back even to a version whose rehearsal failed.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Go back to the previous version; shows the difference first.

    Model, features code and contract go back together. It is rehearsed first, unless it was today.
    """
    with opened(folder) as project:
        if rehearse:
            _rehearse(project, version, as_json)
            return
        aliases = project.aliases()
        if version is None and ("previous" not in aliases or "champion" not in aliases):
            project.rollback(reason="")  # raises the refusal in its own words
        target = project.version(version if version is not None else "previous").number
        difference = between(project, aliases.get("champion"), target)
        if not _agreed(difference, "Roll back", dry_run=dry_run, yes=yes, as_json=as_json):
            return
        done = project.rollback(version, reason=reason or "by hand", override=override)
        send_after(project)
    _told(difference, done, as_json)


def _rehearse(project: Project, version: str | None, as_json: bool) -> None:
    found = project.rehearse_rollback(version)
    if as_json:
        show_json({**vars(found), "sentence": found.sentence})
    else:
        screen.say(f"{found.sentence.rstrip('.')}. It took {found.took}.")
    if not found.passed:
        raise typer.Exit(FAILED)


def _agreed(difference: Difference, act: str, *, dry_run: bool, yes: bool, as_json: bool) -> bool:
    """Show what would change, and ask unless told not to."""
    if not as_json:
        _show(difference)
    if dry_run:
        if as_json:
            show_json({"done": False, "difference": difference})
        else:
            screen.say("Nothing was changed.")
        return False
    if yes:
        return True
    if as_json or not sys.stdin.isatty():
        message = "Nobody is here to ask: say --yes to do it, or --dry-run to only look."
        if as_json:
            fail({"error": "UsageError", "headline": "Nothing was changed", "message": message, "facts": {}})
        else:
            say_on_error("Nothing was changed.", message)
        raise typer.Exit(USAGE)
    if not typer.confirm(f"{act} to version {difference.after}?"):
        screen.say("Nothing was changed.")
        raise typer.Exit(FAILED)
    return True


def _show(difference: Difference) -> None:
    before = f"version {difference.before}" if difference.before is not None else "no champion"
    screen.say(f"From {before} to version {difference.after}:")
    screen.table(("What", "Before", "After", ""), [(line.what, line.before, line.after, line.remark) for line in difference.lines], wide="")


def _told(difference: Difference, done: Any, as_json: bool) -> None:
    if as_json:
        show_json({"done": True, **vars(done), "difference": difference})
    else:
        screen.say(f"{done.sentence}.")


def _runtime(told: dict[str, Any] | None) -> str:
    """By what a server answers, as it was found when the version was built."""
    if not told or not told["compared_rows"]:
        return "the model itself"
    return f"{told['name']}; differs by at most {told['largest_difference']:.1g} on {told['compared_rows']} rows"
