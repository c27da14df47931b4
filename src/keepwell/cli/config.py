"""Settings: what each is, where its value came from, and the schema for editors."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import HERE, AsJson, Folder, command, examples, show_json


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(
        help="Settings: explain, show, or print their JSON Schema.",
        no_args_is_help=True,
        epilog=examples("keepwell config explain gate", "keepwell config show", "keepwell config schema > keepwell.schema.json"),
    )
    group.command(
        epilog=examples("keepwell config explain", "keepwell config explain gate.confidence", "keepwell config explain retrain --json")
    )(explain)
    group.command(epilog=examples("keepwell config schema", "keepwell config schema > keepwell.schema.json"))(schema)
    group.command(epilog=examples("keepwell config show", "keepwell config show --changed"))(show)
    app.add_typer(group, name="config", rich_help_panel="Set up and look after")


@command
def explain(
    name: Annotated[
        str | None, typer.Argument(help="A setting (gate.confidence) or a section (gate); default all.", show_default=False)
    ] = None,
    folder: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Each setting: its value, where the value came from, its default and what it means."""
    from keepwell.settings import INNER

    rows = _explained(folder)
    if name is not None:
        rows = _named(rows, name)
    if as_json:
        show_json({"settings": rows})
    elif name is not None and len(rows) == 1:
        found = rows[0]
        screen.say(screen.bold(found["setting"]))
        default = _value(found["default"]) if found["default"] is not None else "not set"
        screen.grid([("Value", _value(found["value"])), ("From", found["from"]), ("Default", default), ("Meaning", found["help"])])
        if inner := INNER.get(found["setting"]):
            screen.say("Each of them has:")
            screen.grid([(name, field.description or "") for name, field in inner.model_fields.items()])
    else:
        _sections(rows)


def _explained(folder: Any) -> list[dict[str, Any]]:
    from keepwell import settings
    from keepwell.origins import explain as explained

    return explained(settings.read(folder.resolve()), folder.resolve())


def _named(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    from keepwell.errors import SettingUnknown
    from keepwell.settings import nearest

    found = [row for row in rows if row["setting"] == name or row["setting"].startswith(f"{name}.")]
    found = found or [row for row in rows if "." not in row["setting"] and name.startswith(f"{row['setting']}.")]  # people.mira.tell
    if not found:
        raise SettingUnknown(name, nearest(name.split(".")), "your question")
    return found


def _sections(rows: list[dict[str, Any]]) -> None:
    """Two lines a setting: its value and where that came from if not by default, then what it means."""
    section = None
    for row in rows:
        first, _, rest = row["setting"].partition(".")
        if first != section:
            screen.say(screen.bold(f"{chr(10) if section else ''}[{first}]"))
            section = first
        origin = "" if row["from"] == "default" else f"  (from {row['from']})"
        screen.say(screen.bold(f"{rest or 'all of it'} = {_value(row['value'])}{origin}"))
        screen.say(screen.dim(f"    {row['help'] or ''}"))


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, str) and len(value) > 30:
        return value
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value or '""'


@command
def schema(as_json: AsJson = True) -> None:
    """The JSON Schema of keepwell.toml; point your editor at it."""
    from keepwell.settings import json_schema

    del as_json  # it is JSON either way
    show_json(json_schema())


@command
def show(
    folder: Folder = HERE,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not as by default.")] = False,
    as_json: AsJson = False,
) -> None:
    """The settings in force, written as keepwell.toml would have them. Secrets are stars."""
    rows = [row for row in _explained(folder) if not changed or row["from"] != "default"]
    tables: dict[str, Any] = {}
    for row in rows:
        section, _, name = row["setting"].partition(".")
        if name:
            tables.setdefault(section, {})[name] = row["value"]
        else:
            tables[section] = row["value"]
    if as_json:
        show_json(tables)
        return
    lines = []
    for section, names in tables.items():
        if isinstance(names, list):
            for one in names:
                lines += [f"[[{section}]]", *(f"{name} = {_toml(value)}" for name, value in one.items() if value is not None), ""]
            continue
        held = {name: value for name, value in names.items() if value is not None}
        if held:
            lines += [f"[{section}]", *(f"{name} = {_toml(value)}" for name, value in held.items()), ""]
    screen.screen().print("\n".join(lines).rstrip(), soft_wrap=True)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)
