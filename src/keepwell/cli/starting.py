"""Commands before there is a record: init, version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keepwell.cli import screen
from keepwell.cli.door import AsJson, command, examples, show_json

PANEL = "Set up and look after"


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command(
        rich_help_panel=PANEL,
        epilog=examples(
            "keepwell init visitors",
            "keepwell init rain --example weather",
            "keepwell init rain --example weather --live --latitude 52.5 --longitude 13.4 --station Berlin",
        ),
    )(init)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell version", "keepwell version --json"))(version)


@command
def init(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make; its name becomes the model's.", show_default=False)],
    example: Annotated[str, typer.Option("--example", help="plain: a small CSV of visitors; weather: rain at a station.")] = "plain",
    live: Annotated[bool, typer.Option("--live", help="weather: today's readings from Open-Meteo instead of fifty kept years.")] = False,
    latitude: Annotated[float | None, typer.Option(min=-90, max=90, help="--live: degrees north.")] = None,
    longitude: Annotated[float | None, typer.Option(min=-180, max=180, help="--live: degrees east.")] = None,
    station: Annotated[str | None, typer.Option(help="--live: what to call the place.")] = None,
    timezone: Annotated[str, typer.Option(help="--live: zone whose days are meant.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Make a project that runs at once."""
    from keepwell.scaffold import EXAMPLES, Place, scaffold

    if example not in EXAMPLES:
        raise typer.BadParameter(f"it is one of {', '.join(EXAMPLES)}.", param_hint="--example")
    place = None
    if live:
        if example != "weather" or latitude is None or longitude is None:
            raise typer.BadParameter("it needs --example weather, --latitude and --longitude.", param_hint="--live")
        place = Place(latitude, longitude, station or f"{latitude:g},{longitude:g}", timezone)
    made = scaffold(folder, example, place)
    if as_json:
        show_json({"folder": str(made.folder), "model": made.model, "files": made.files, "next": made.next})
        return
    screen.say(f"Made {folder} with {', '.join(made.files)}.\n")
    screen.say("Next:")
    for line in made.next:
        screen.say(f"  {line}")


@command
def version(as_json: AsJson = False) -> None:
    """The versions of Keepwell, its record and this Python."""
    import platform
    from importlib import metadata

    from keepwell.storage import HEAD

    try:
        own = metadata.version("keepwell")
    except metadata.PackageNotFoundError:  # run from a source tree
        own = "from source"
    if as_json:
        show_json({"keepwell": own, "record": HEAD, "python": platform.python_version()})
    else:
        screen.say(f"keepwell {own}, record schema {HEAD}, Python {platform.python_version()}")
