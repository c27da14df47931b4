"""What every command shares: its options, how a project is opened for it, how an error leaves, how JSON is written."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from keepwell import Project
    from keepwell.orchestration import CycleRecord

FAILED, USAGE, STOPPED = 1, 2, 130
PRESENT = timedelta(days=1)  # a cycle of an older moment is a backfill, and says nothing about Keepwell today
Command = TypeVar("Command", bound=Callable[..., Any])


def examples(*lines: str) -> str:
    """The examples at the end of a help text."""
    return "\n".join(["[bold]Examples[/bold]", *(f"  {line}".replace("[", "\\[") for line in lines)])


Folder = Annotated[Path, typer.Option("--project", "-C", metavar="DIR", help="Folder of the project.", show_default="this one")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")]
HERE = Path(".")


def read_moment(text: str) -> datetime:
    """An ISO date or time; UTC when it says no zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a time such as 2026-03-01 or 2026-03-01T06:00Z.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read_span(text: str | timedelta) -> timedelta:
    """A span such as 1d, 12h or 30m; Typer hands in the default as well."""
    if isinstance(text, timedelta):
        return text
    units = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes"}
    number, unit = text[:-1], text[-1:]
    try:
        span = timedelta(**{units[unit]: float(number)})
    except (KeyError, ValueError, OverflowError):
        raise typer.BadParameter(f"'{text}' is not a span such as 1d, 7d, 12h or 30m.") from None
    if span <= timedelta(0):
        raise typer.BadParameter(f"'{text}' is not longer than nothing.")
    return span


def command(function: Command) -> Command:
    """Let a command's errors leave as words (or JSON) and an exit code, never as a traceback unless KEEPWELL_DEBUG=1."""

    @functools.wraps(function)
    def guarded(*arguments: Any, **options: Any) -> Any:
        as_json = bool(options.get("as_json"))
        try:
            return function(*arguments, **options)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except KeyboardInterrupt:
            say_on_error("Stopped.", "Nothing is lost: what was done is kept, and the next run goes on where this one was.")
            raise typer.Exit(STOPPED) from None
        except Exception as error:
            if os.environ.get("KEEPWELL_DEBUG") == "1" or _is_broken_pipe(error):
                raise
            raise typer.Exit(_leave(error, as_json)) from None

    return guarded  # type: ignore[return-value]


def _is_broken_pipe(error: Exception) -> bool:
    return isinstance(error, BrokenPipeError)  # `keepwell history | head`: Typer ends that quietly


def _leave(error: Exception, as_json: bool) -> int:
    from keepwell.errors import KeepwellError

    if isinstance(error, KeepwellError):
        found, code = error.as_dict(), error.exit_code
    else:
        message = f"{type(error).__name__}: {error}. This should not happen: set KEEPWELL_DEBUG=1 to see where, and please report it."
        found, code = (
            {"error": type(error).__name__, "headline": "Keepwell met something unexpected", "message": message, "facts": {}},
            FAILED,
        )
    if as_json:
        fail(found)
    else:
        say_on_error(f"{found['headline']}.", str(found["message"]))
    return code


def say_on_error(headline: str, message: str) -> None:
    """A bold headline and its message on standard error."""
    from keepwell.cli.screen import bold, screen

    console = screen(error=True)
    console.print(bold(headline), style="red")
    console.print(message, soft_wrap=not console.is_terminal)


def fail(found: Mapping[str, object]) -> None:
    """An error as the one JSON document of this call."""
    show_json({"error": found})


@contextmanager
def opened(folder: Path) -> Iterator[Project]:
    """The project of a folder, closed afterwards."""
    from keepwell import Project

    with Project(folder) as project:
        yield project


def send_after(project: Project, *, cycle: CycleRecord | None = None) -> None:
    """After an act: send what it has to tell, for a few seconds. What fails is said, kept, and tried again.

    After a `cycle` of these days that was done, whoever watches from outside is told that Keepwell lives.
    """
    from keepwell.errors import KeepwellError

    try:
        problem = project.notify.send().sentence
        if cycle is not None and cycle.status == "done" and datetime.now(UTC) - cycle.as_of < PRESENT:
            problem = "; ".join(said for said in (problem, project.notify.sender.ping()) if said)
    except KeepwellError as error:
        problem = error.message
    if problem:
        say_on_error("Not everything could be told.", f"{problem}. It is kept: `keepwell notify list` shows it, the next run tries again.")


def show_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """Records, moments and numbers as JSON values; a number that is none becomes null."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
