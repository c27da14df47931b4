"""The command that shows the whole life: demo."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import AsJson, command, examples, read_span, show_json

if TYPE_CHECKING:
    from keepwell.demo import Outcome
    from keepwell.storage import Event


class Fault(StrEnum):
    """What may be put into the readings."""

    sensor = "sensor"
    gauge = "gauge"


TOLD = {
    "contract",
    "quarantined",
    "trained",
    "promoted",
    "refused",
    "build_failed",
    "source_failed",
    "verdict",
    "trial",
    "dismissed",
    "returned",
    "incident_opened",
    "incident_reopened",
    "incident_closed",
}
WIDTH = 150


def register(app: typer.Typer) -> None:
    """Put the command on the app."""
    app.command(
        rich_help_panel="Set up and look after",
        epilog=examples("keepwell demo", "keepwell demo --no-serve --json", "keepwell demo --fault sensor --no-serve"),
    )(demo)


@command
def demo(
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Where the demonstration's project is made.", show_default="keepwell-demo/rain"),
    ] = None,
    every: Annotated[
        Any, typer.Option("--every", parser=read_span, metavar="SPAN", help="Time between cycles; with a fault 7d.", show_default="28d")
    ] = None,
    fault: Annotated[
        Fault | None, typer.Option("--fault", help="Put a sensor's fault, or a finer gauge, into ten years of it.", show_default=False)
    ] = None,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Go on serving afterwards, or end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Let a rain forecast live through fifty years of real days, and reckon what keeping it was worth.

    With a fault it shows what a decline looks like, who is told, and what happens by itself. Called again on the same folder, it
    goes on where it was.
    """
    from keepwell.demo import FAULTY_LAST, LAST, folder_for, live

    folder = folder or Path("keepwell-demo", *([fault.value] if fault else []), "rain")
    begun, until = time.monotonic(), FAULTY_LAST if fault else LAST
    with folder_for(folder, fault.value if fault else None) as project:
        with _Telling(until, quiet=as_json) as tell:
            outcome = live(project, every or read_span("7d" if fault else "28d"), tell, until)
        if as_json:
            show_json({**outcome.as_dict(), "seconds": round(time.monotonic() - begun, 1)})
        else:
            _show(outcome)
        port = project.settings.serve.port
    if serve:
        from keepwell import Project
        from keepwell.api import serve_forever

        with Project(folder, {"schedule": {"cron": ""}}) as shown:  # its days are over: no cycle is due, and none is missed
            serve_forever(shown, serve=True, work=False)
    elif not as_json:
        again = f"keepwell demo{f' --fault {fault.value}' if fault else ''} --folder {folder}"
        screen.say(f"\nLook: keepwell -C {folder} versions     Pages: {again}, then http://127.0.0.1:{port}")


class _Telling:
    """A progress bar over the years (on a terminal), and the life told line by line."""

    def __init__(self, until: datetime, *, quiet: bool) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._until, self._quiet = until, quiet
        self._console = screen.screen(error=quiet)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=quiet or not self._console.is_terminal)

    def __enter__(self) -> Callable[[datetime, list[Event]], None]:
        from keepwell.demo import FIRST

        self._bar.start()
        self._task = self._bar.add_task("1949", total=(self._until - FIRST).days)
        self._first = FIRST
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _tell(self, moment: datetime, events: list[Event]) -> None:
        self._bar.update(self._task, completed=(moment - self._first).days, description=f"{moment:%Y}")
        if self._quiet:
            return
        for event in events:
            if event.kind in TOLD:
                self._console.print(f"{event.as_of:%Y-%m-%d}  {_short(event)}", highlight=False, markup=False, soft_wrap=True)


def _short(event: Event) -> str:
    """One line of it; what is said of an incident is said in full."""
    if len(event.sentence) <= WIDTH or event.kind.startswith("incident_"):
        return event.sentence
    return event.sentence[: WIDTH - 1].rsplit(" ", 1)[0] + " …"


def _show(outcome: Outcome) -> None:
    screen.say("")
    screen.grid(
        [
            ("Lived", f"{outcome.cycles:,} cycles over {outcome.observations:,} days, {outcome.quarantined} rows set aside"),
            ("Answered", f"{outcome.predictions:,} forecasts, {outcome.labels_joined:,} joined with what came"),
            ("Built", f"{outcome.versions} versions: {outcome.promotions} promoted, {outcome.refusals} refused"),
            ("Serving", f"version {outcome.champion}"),
            ("", ""),
            ("Brier score", "mean squared error of the forecast chance on the same days; lower is better"),
            ("  kept", f"{outcome.brier_champion:.4f}"),
            ("  never retrained", _against(outcome.brier_never_retrained, outcome)),
            ("  persistence", _against(outcome.brier_persistence, outcome)),
            ("  climatology", _against(outcome.brier_climatology, outcome)),
        ]
    )


def _against(score: float, outcome: Outcome) -> str:
    return f"{score:.4f}   keeping is {1 - outcome.brier_champion / score:.1%} better"
