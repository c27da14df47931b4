"""The one Typer app; every module beside this file registers its commands on it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from keepwell.cli import (
    answering,
    approving,
    checking,
    config,
    demonstrating,
    explaining,
    incidents,
    keeping,
    looking,
    looping,
    notifying,
    planning,
    profiling,
    proving,
    quarantine,
    recording,
    rehearsing,
    releasing,
    reporting,
    starting,
    tokens,
)
from keepwell.cli.door import USAGE, examples, fail

HELP = """Keep a machine-learning model well after it has been built.

Gather, check, retrain, gate, promote, predict and undo: every day, by itself, each step on record."""


class Commands(TyperGroup):
    """Answers a wrong command line as JSON too, when JSON was asked for."""

    def main(  # Typer's own signature
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        if "--json" not in given:
            return super().main(given, prog_name, complete_var, standalone_mode, windows_expand_args, **extra)
        code: Any
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.TyperException as error:
            fail({"error": "UsageError", "headline": "The command line is wrong", "message": error.format_message(), "facts": {}})
            code = USAGE
        except typer.Abort:
            code = 1
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    name="keepwell",
    cls=Commands,
    help=HELP,
    epilog=examples(
        "keepwell init rain --example weather", "keepwell -C rain backfill --from 1949-01-31 --every 7d", "keepwell -C rain status"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help=HELP)
def project(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option("--project", "-C", metavar="DIR", envvar="KEEPWELL_PROJECT", help="The project's folder; default here."),
    ] = None,
) -> None:
    """Let `keepwell -C rain status` mean the same as `keepwell status -C rain`."""
    if folder is not None:
        group = context.command
        assert isinstance(group, TyperGroup)
        context.default_map = {name: _below(command, str(folder)) for name, command in group.commands.items()}


def _below(command: object, folder: str) -> dict[str, Any]:
    inner = command.commands.items() if isinstance(command, TyperGroup) else ()
    return {"folder": folder, **{name: _below(one, folder) for name, one in inner}}


for module in (
    starting,
    demonstrating,
    checking,
    looping,
    looking,
    explaining,
    reporting,
    planning,
    rehearsing,
    profiling,
    proving,
    recording,
    answering,
    releasing,
    approving,
    quarantine,
    incidents,
    keeping,
    config,
    notifying,
    tokens,
):
    module.register(app)


def main() -> None:
    """The console script."""
    app(prog_name="keepwell")
