"""`keepwell reproduce`: run what is on record again, and see whether it comes out the same."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, AsJson, Folder, command, examples, opened, show_json

if TYPE_CHECKING:
    from keepwell import Project
    from keepwell.orchestration import Reproduction

PANEL = "Look"
SHOWN = 12  # lines of a difference before it is cut; --json has all


def register(app: typer.Typer) -> None:
    """Put the command on the app."""
    app.command(
        rich_help_panel=PANEL,
        epilog=examples(
            "keepwell reproduce champion",
            "keepwell reproduce 7 --here",
            "keepwell reproduce build-20260301T060000Z --json",
            "keepwell reproduce all",
        ),
    )(reproduce)


@command
def reproduce(
    ref: Annotated[str, typer.Argument(metavar="VERSION|RUN|all", help="A version, an alias, a run, or all kept versions.")],
    folder: Folder = HERE,
    here: Annotated[
        bool, typer.Option("--here", help="With the folder's code and settings and the tables as they are now, not the pinned ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a build again, outside the record, and say whether it comes out the same.

    Steps run from the pinned code, settings and data. What is not identical is named: the first step, and the code, rows,
    package, setting or seed that differs; or that the step gives something else each time. Leaves with 1 when it is not identical.
    """
    with opened(folder) as project:
        found = list(_all(project, here)) if ref == "all" else [project.reproduce(ref, here=here)]
    if as_json:
        show_json({"reproductions": [one.as_dict() for one in found]} if ref == "all" else found[0].as_dict())
    elif ref == "all":
        _summary(found)
    else:
        _tell(found[0])
    if any(one.verdict != "identical" for one in found):
        raise typer.Exit(FAILED)


def _all(project: Project, here: bool) -> list[Reproduction]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = screen.screen(error=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    numbers = project.kept_versions()
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        return [project.reproduce(number, here=here) for number in progress.track(numbers, description="Reproducing")]


def _tell(found: Reproduction) -> None:
    screen.say(screen.bold(f"{found.sentence}."))
    screen.say("")
    rows = [(step.name, step.verdict, step.recorded[:12], step.found[:12]) for step in found.steps]
    screen.table(("Step", "Verdict", "Recorded", "Found"), rows)
    for title, differences in (("Because", found.because), ("Differs too", found.aside), ("Since then", found.moved)):
        if differences:
            screen.say("")
            screen.say(screen.bold(title))
            for one in differences[:SHOWN]:
                screen.say(f"  {one.sentence}")
                if one.kind == "code":
                    for line in [text for text in one.detail.splitlines() if text[:1] in "+-" and text[:3] not in ("+++", "---")][:SHOWN]:
                        screen.say(screen.dim(f"      {line}"))
            if differences[SHOWN:]:
                screen.say(f"  and {len(differences) - SHOWN} more; --json lists all")
    if found.change and "largest" in found.change:
        change = found.change
        screen.say("")
        screen.say(
            f"Answers to the {change['rows']:.0f} golden rows: {change['changed']:.0f} changed, "
            f"by {change['mean']:.3g} on average and {change['largest']:.3g} at most."
        )
    if found.verdict == "identical" and found.moved:
        screen.say("")
        screen.say("Its pinned inputs still give the same model. With --here the steps run on what is here now.")


def _summary(found: list[Reproduction]) -> None:
    same = sum(one.verdict == "identical" for one in found)
    odd = [one for one in found if one.verdict != "identical" or one.aside]
    screen.say(screen.bold(f"{same} of {len(found)} versions are identical."))
    if odd:
        screen.say("")
        screen.table(("Version", "Verdict", "What"), [(str(one.version), one.verdict, one.sentence) for one in odd], wide="What")
