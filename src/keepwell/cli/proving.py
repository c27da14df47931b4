"""`keepwell reproduce` and `keepwell diff`: does it come out the same again, and what is not the same between two?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, AsJson, Folder, command, examples, opened, read_moment, show_json

if TYPE_CHECKING:
    from keepwell import Project
    from keepwell.comparison import Difference
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
    app.command(
        rich_help_panel=PANEL,
        epilog=examples(
            "keepwell diff champion 12", "keepwell diff 2026-01-01 2026-03-01 --full", "keepwell diff champion 12 --markdown > review.md"
        ),
    )(diff)


@command
def reproduce(
    ref: Annotated[str, typer.Argument(metavar="VERSION|RUN|all", help="A version, an alias, a run, or all kept versions.")],
    folder: Folder = HERE,
    here: Annotated[
        bool, typer.Option("--here", help="With the folder's code and settings and the tables as they are now, not the pinned ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a build again: does it come out the same?

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


@command
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A version, an alias, a run, or a moment (the version that served then).")],
    after: Annotated[str, typer.Argument(metavar="B", help="The other one.")],
    folder: Folder = HERE,
    full: Annotated[bool, typer.Option("--full", help="Whole differences, not their first lines.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="For a pull request.")] = False,
    as_json: AsJson = False,
) -> None:
    """What differs between two versions, and in their answers.

    Code, settings, packages, contract, data, distributions, scores, and the answers to the same rows.
    """
    with opened(folder) as project:
        found = project.diff(_ref(before), _ref(after))
    if as_json:
        show_json(found.as_dict())
        return
    if markdown:
        sys.stdout.write(found.as_markdown())
        return
    screen.say(screen.bold(f"{found.sentence}."))
    shown = None if full else SHOWN
    if found.differences:
        screen.say("")
        _differences(found.differences, shown)
    screen.say("")
    rows = [(name, screen.number(old), screen.number(new)) for name, old, new in (*found.metrics, *found.slices)]
    screen.table(("Each on its own held-out days", f"Version {found.before}", f"Version {found.after}"), rows)
    if found.distributed:
        screen.say("")
        screen.say(f"{found.distributed}.")
        if found.distributions:
            from keepwell.profiling import LISTED_HEAD, listed_fields

            screen.table(LISTED_HEAD, map(listed_fields, found.distributions), right=LISTED_HEAD[2:], wide=LISTED_HEAD[1])
    if found.answers and found.answers.slices and found.answers.changed:
        screen.say("")
        parts = [(name, f"{n:,}", f"{share:.0%}", f"{mean:.3g}") for name, n, share, mean in found.answers.slices]
        screen.table(("Answers by slice", "Rows", "Changed", "Mean size"), parts, right=("Rows", "Changed", "Mean size"))
    if found.silent:
        screen.say(found.silent)


def _ref(text: str) -> str | datetime:
    if "-" not in text or text.startswith("build-"):
        return text
    return read_moment(text)


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
            _differences(differences, SHOWN)
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


def _differences(differences: Sequence[Difference], shown: int | None) -> None:
    for one in differences[:shown]:
        screen.say(f"  {one.sentence}")
        if one.kind in ("code", "contract"):
            for line in [text for text in one.detail.splitlines() if text[:1] in "+-" and text[:3] not in ("+++", "---")][:shown]:
                screen.say(screen.dim(f"      {line}"))
    if shown is not None and differences[shown:]:
        screen.say(f"  and {len(differences) - shown} more; --json lists all")
