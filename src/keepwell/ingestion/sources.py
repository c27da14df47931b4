"""The seam through which observations come in, and the one table of those who speak it.

A kind is a function `(given, folder, gather) -> Source`: `given` are the names the engineer wrote under `[source]` beside
`kind`, `folder` the project's folder, `gather` says how patient to be. The built-in kinds come in by the same path as a
plugin's: a name and an import path. A plugin names its function in the entry-point group `keepwell.sources`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol, cast

import polars as pl

from keepwell.errors import SettingInvalid, listed
from keepwell.settings import FILE, GatherSection, SourceSection

GROUP = "keepwell.sources"
KINDS = {
    "open-meteo": "keepwell.ingestion.open_meteo:open_open_meteo",
    "sql": "keepwell.ingestion.sql:open_sql",
    "files": "keepwell.ingestion.files:open_files",
    "http": "keepwell.ingestion.http_json:open_http_json",
    "offutt": "keepwell.ingestion.readings:open_offutt",
}


class Source(Protocol):
    """Where observations come from.

    Called with two aware UTC times, both inclusive, it returns the rows whose time lies between them, as a polars frame. It
    raises `SourceInvalid` when the answer is not what was asked and `SourceUnavailable` when there is none after all tries.
    """

    def __call__(self, since: datetime, until: datetime) -> pl.DataFrame: ...


Kind = Callable[[Mapping[str, Any], Path, GatherSection], Source]


def open_source(settings: SourceSection, folder: Path, gather: GatherSection) -> Source | None:
    """Make the source that `[source]` describes; None for kind "none", where the user's function gathers by itself.

    Nothing is asked of the source yet: only the settings are judged.

    Raises
    ------
    SettingUnknown : the kind has no setting of that name; carries the nearest one.
    SettingInvalid : the kind is not known, a value is impossible or missing, or an environment variable is not set.

    Examples
    --------
    >>> source = open_source(SourceSection(kind="offutt"), Path("."), GatherSection())
    >>> source(datetime.fromisoformat("1949-01-01T00:00Z"), datetime.fromisoformat("1949-01-03T00:00Z")).shape
    (3, 11)
    """
    if settings.kind == "none":
        if settings.model_extra:
            name = next(iter(settings.model_extra))
            raise SettingInvalid("source.kind", "none", f"'{name}' is set, but kind 'none' reads no setting", FILE)
        return None
    return _kind(settings.kind)(settings.model_extra or {}, folder, gather)


def _kind(name: str) -> Kind:
    if name in KINDS:
        return cast(Kind, resolve_name(KINDS[name]))
    plugins = {plugin.name: plugin for plugin in entry_points(group=GROUP)}
    if name in plugins:
        return cast(Kind, plugins[name].load())
    known = ["none", *KINDS, *plugins]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise SettingInvalid("source.kind", name, f"{hint}known kinds are {listed(known)}", FILE)
