"""Write the reference pages from the code itself: `make docs`. A guard test fails when one is stale."""

from __future__ import annotations

import inspect
import json
import tempfile
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
NOTE = "<!-- Written by `make docs` from the code; edit the code, not this page. -->"


def settings() -> str:
    """Every setting: what it may be, its default, what it does."""
    from keepwell.settings import PREFIX, Settings

    lines = [NOTE, "# Settings", ""]
    opening = (
        "All settings live in `keepwell.toml`. What outranks it, weakest first: the file, `.env`, the environment "
        f"(`{PREFIX}GATE__CONFIDENCE=0.8` is `[gate] confidence`), a flag. `keepwell config explain` shows each value and its origin."
    )
    lines += [opening, ""]
    schema = Settings.model_json_schema()
    for name, field in Settings.model_fields.items():
        kind: Any = field.annotation
        inner = [one for one in typing.get_args(kind) if hasattr(one, "model_fields")]
        title = f"[[{name}]]" if inner and typing.get_origin(kind) is tuple else f"[{name}.NAME]" if inner else f"[{name}]"
        lines += [f"## {title}", ""]
        if inner:  # a table of tables, or a list of them
            kind, name = inner[0], title.strip("[]")
        if not hasattr(kind, "model_fields"):
            lines += [f"{field.description}", ""]
            continue
        lines += [f"{inspect.getdoc(kind)}", ""]
        shapes = schema["$defs"][kind.__name__]["properties"]
        for setting, info in kind.model_fields.items():
            lines += [f"### {name}.{setting}", "", f"{info.description}", "", f"{_shape(shapes[setting])}; {_default(info)}.", ""]
    return _page(lines)


def _default(info: Any) -> str:
    if info.is_required():
        return "it must be set"
    is_table = hasattr(info.default, "model_fields_set")
    return f"default {'none' if info.default is None else 'empty' if is_table else f'`{json.dumps(info.default, default=list)}`'}"


def _shape(schema: dict[str, Any]) -> str:
    """A JSON Schema in words."""
    if "anyOf" in schema:
        return " or ".join(_shape(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        return "Table with `owner` and `deputy`"
    if "enum" in schema:
        return "One of " + ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    words = {"string": "Text", "integer": "Whole number", "number": "Number", "boolean": "`true` or `false`", "array": "List of texts"}
    text = words.get(schema.get("type", ""), "Any value")
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    found = [f"{word} {schema[limit]:g}" for limit, word in limits.items() if limit in schema]
    return " ".join([text, *([", ".join(found)] if found else [])])


def errors() -> str:
    """Every refusal, as the tree has it."""
    from keepwell import errors as module

    lines = [NOTE, "# Errors", ""]
    opening = (
        "Every refusal is a `keepwell.errors.KeepwellError`. The command line prints the headline and the message and leaves with the "
        "exit code; REST answers with the status and the same words as JSON: `error`, `headline`, `message`, `facts`."
    )
    lines += [opening, "", "```", inspect.cleandoc(module.__doc__ or "").split("\n\n")[1], "```", ""]
    for kind in _family(module.KeepwellError):
        facts = [name for name in inspect.signature(kind).parameters if name not in ("message", "facts")]
        lines += [f"## {kind.__name__}", "", f"{inspect.getdoc(kind)}", ""]
        lines += [f"*{kind.headline}.* Status {kind.status}, exit code {kind.exit_code}, a kind of `{kind.__base__.__name__}`."]
        lines[-1] += f" Facts: {', '.join(f'`{fact}`' for fact in facts)}." if facts else ""
        lines += [""]
    return _page(lines)


def _family(kind: type) -> Iterator[Any]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def cli() -> str:
    """Every command with its arguments and options."""
    import click
    import typer

    from keepwell.cli import app

    lines = [
        NOTE,
        "# Commands",
        "",
        "`-h` at any command says the same. `keepwell -C DIR` names the project's folder for whatever follows.",
        "",
    ]

    def tell(command: Any, path: str) -> None:
        context = click.Context(command, info_name=path)
        usage = [_argument(one) for one in command.params if one.param_type_name == "argument"]
        lines.extend([f"## {path}", "", _plain(command.help), ""])
        if getattr(command, "commands", None):
            lines.extend([f"Commands: {', '.join(f'`{name}`' for name in command.commands)}.", ""])
        else:
            lines.extend(["```", " ".join([path, *usage, "[OPTIONS]"]), "```", ""])
        rows = [_parameter(one, context) for one in command.params if not getattr(one, "hidden", False)]
        lines.extend([*[row for row in rows if row], ""])
        if command.epilog:
            shown = [line.strip().replace("\\[", "[") for line in command.epilog.splitlines()[1:] if line.strip()]
            lines.extend(["```sh", *shown, "```", ""])
        for inner in getattr(command, "commands", {}).values():
            tell(inner, f"{path} {inner.name}")

    tell(typer.main.get_command(app), "keepwell")
    return _page(lines)


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _parameter(parameter: Any, context: Any) -> str:
    if parameter.name in ("install_completion", "show_completion", "help"):
        return ""
    text = _plain(getattr(parameter, "help", None))
    if parameter.param_type_name == "argument":
        return f"- `{_argument(parameter)}`: {text}"
    names = ", ".join(f"`{name}`" for name in sorted((*parameter.opts, *parameter.secondary_opts), key=len))
    return f"- {names}: {text}"


def _plain(text: str | None) -> str:
    """Help without the marks of the terminal."""
    return inspect.cleandoc(text or "").replace("[bold]", "").replace("[/bold]", "").replace("\\[", "[")


def api() -> str:
    """Every route with its parameters and answers, from the OpenAPI document."""
    lines = [NOTE, "# HTTP", "", "The server's own description is at `/openapi.json`. Errors have the words of [errors](errors.md).", ""]
    document = _openapi()
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            lines += [f"## {method.upper()} {path}", "", f"{route.get('summary', '')}.", ""]
            lines += [f"- `{one['name']}` ({one['in']}): {_hint(one)}" for one in route.get("parameters", []) if one["in"] != "path"]
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            lines += [f"- body: `{body['$ref'].rsplit('/', 1)[1]}`" if "$ref" in body else ""] if body else []
            lines += ["" if lines[-1] else None] if lines[-1] else []
    lines += ["", "## Bodies", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += [f"### {name}", "", schema.get("description", ""), ""]
        for field, shape in schema.get("properties", {}).items():
            needed = "" if field in schema.get("required", []) else ", optional"
            lines += [f"- `{field}`{needed}: {_hint(shape)}"]
        lines += [""]
    return _page([line for line in lines if line is not None])


def _hint(one: dict[str, Any]) -> str:
    schema = one.get("schema", one)
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
        kind = f"List of {schema['items']['$ref'].rsplit('/', 1)[1]}"
    elif schema.get("type") == "object":
        kind = "Object"
    else:
        kind = (
            _shape(schema) if "anyOf" not in schema else " or ".join(_hint(part) for part in schema["anyOf"] if part.get("type") != "null")
        )
    text = one.get("description") or schema.get("description")
    return f"{kind.removesuffix('.')}. {text}" if text else f"{kind.removesuffix('.')}."


def _openapi() -> dict[str, Any]:
    from keepwell import Project
    from keepwell.api import create_app
    from keepwell.scaffold import scaffold

    with tempfile.TemporaryDirectory() as folder:
        made = scaffold(Path(folder) / "reference")
        with Project(made.folder) as project:
            return dict(create_app(project).openapi())


def schema() -> str:
    """Every table of the record."""
    import keepwell.access
    import keepwell.orchestration  # noqa: F401 - with it all rooms that declare tables
    from keepwell.storage import HEAD
    from keepwell.storage.schema import metadata

    lines = [
        NOTE,
        "# The record",
        "",
        f"One SQL database, schema `{HEAD}`, SQLite or PostgreSQL. The workflow library keeps its own tables beside these.",
        "",
    ]
    for table in sorted(metadata.tables.values(), key=lambda one: one.name):
        lines += [f"## {table.name}", "", "| column | type | |", "| --- | --- | --- |"]
        for column in table.columns:
            marks = [word for word, holds in (("key", column.primary_key), ("may be null", column.nullable)) if holds]
            lines += [f"| {column.name} | {_type(column.type)} | {', '.join(marks)} |"]
        unique = [", ".join(one.name for one in rule.columns) for rule in table.constraints if type(rule).__name__ == "UniqueConstraint"]
        lines += ["", *[f"Unique: {columns}." for columns in sorted(unique)], ""]
    return _page(lines)


def _type(kind: Any) -> str:
    names = {"Utc": "moment (UTC)", "JSON": "JSON", "LargeBinary": "bytes", "BigInteger": "integer", "Integer": "integer", "Text": "text"}
    return names.get(type(kind).__name__, type(kind).__name__.lower())


def roles() -> str:
    """Who may do what, and which address is which act."""
    from keepwell.access import ACTS, CLIENT, ROLES, acts_of
    from keepwell.api.acts import ROUTES

    opening = "What tokens and roles are for: [access](../access.md). Every other address that only reads is *look*."
    lines = [NOTE, "# Roles", "", opening, ""]
    names = (CLIENT, *ROLES)
    lines += [f"| act | may | {' | '.join(names)} | by HTTP |", f"| --- | --- |{' :-: |' * len(names)} --- |"]
    for name, act in ACTS.items():
        marks = " | ".join("yes" if name in acts_of(role) else "" for role in names)
        routes = [f"`{'' if method == '*' else method + ' '}{path}`" for method, path, one in ROUTES if one == name]
        lines += [f"| {name} | {act.words} | {marks} | {', '.join(routes)} |"]
    return _page(lines)


def _page(lines: list[str]) -> str:
    text = "\n".join(line.rstrip() for line in lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip() + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings,
    "reference/cli.md": cli,
    "reference/api.md": api,
    "reference/errors.md": errors,
    "reference/roles.md": roles,
    "reference/schema.md": schema,
}


def main() -> None:
    """Write every page that is not as it should be."""
    for path, make in PAGES.items():
        target = DOCS / path
        target.parent.mkdir(parents=True, exist_ok=True)
        text = make()
        if not target.is_file() or target.read_text("utf-8") != text:
            target.write_text(text, "utf-8")
            print(f"wrote docs/{path}")


if __name__ == "__main__":
    main()
