"""Where each setting's value came from: `keepwell config explain`."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from keepwell.hiding import shown
from keepwell.settings import FILE, PREFIX, Settings


def explain(settings: Settings, folder: Path, flags: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Each setting with its value, where the value came from, its default and its help line. Secrets are stars."""
    content = tomllib.loads((folder / FILE).read_text("utf-8"))
    dotenv = dotenv_of(folder)
    rows: list[dict[str, Any]] = []

    def row(section: str, name: str, value: Any, default: Any, text: str | None) -> None:
        setting = f"{section}.{name}" if name else section
        given = (flags or {}).get(section)
        origin = "flag" if given is not None and (not name or name in given) else origin_of(section, name, content, dotenv)
        found = {"setting": setting, "value": shown(name or section, value), "from": origin, "default": shown(name, default), "help": text}
        rows.append(found)

    for section, field in Settings.model_fields.items():
        value = getattr(settings, section)
        if not isinstance(value, BaseModel):
            row(section, "", value, [] if isinstance(value, tuple) else {}, field.description)
            continue
        for name, info in type(value).model_fields.items():
            row(section, name, _plain(getattr(value, name)), _plain(info.default), info.description)
        for name, extra in (value.model_extra or {}).items():
            row(section, name, extra, None, f"Read by the source of kind '{settings.source.kind}'.")
    return rows


def _plain(value: Any) -> Any:
    """A table within a table as the file has it."""
    return value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else value


def origin_of(section: str, name: str, content: Mapping[str, Any], dotenv: Mapping[str, str | None]) -> str:
    """Where a value came from: the name of an environment variable, .env, the file or default."""
    whole = f"{PREFIX}{section}".upper()
    variable = f"{whole}__{name}".upper() if name else whole
    for place, names in ((None, os.environ), (".env", dotenv)):
        held = {key.upper(): value for key, value in names.items() if key.upper().startswith(whole)}
        if variable in held or any(key.startswith(f"{variable}__") for key in held):
            return place or variable
        if name and name in _json_names(held.get(whole)):
            return place or whole
    found = content.get(section, {})
    return FILE if (name in found if name and isinstance(found, Mapping) else section in content) else "default"


def _json_names(text: str | None) -> set[str]:
    """Names in a variable that holds a whole table as JSON."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return set()
    return set(found) if isinstance(found, dict) else set()


def dotenv_of(folder: Path) -> dict[str, str | None]:
    """What the folder's .env holds."""
    path = folder / ".env"
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(path)
