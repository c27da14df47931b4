"""Versions and alias history."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from keepwell.errors import VersionNotFound, VersionSwept
from keepwell.registry.records import CHAMPION, AliasChange, Swept, Version
from keepwell.storage import Event, append_once, list_events, record_event
from keepwell.storage.schema import facts, integer, linked, metadata, moment, serial, text

versions = sa.Table(
    "versions",
    metadata,
    text("model", primary=True),
    integer("number", primary=True),
    text("run"),
    moment("as_of"),
    sa.Column("passed", sa.Boolean, nullable=False),
    text("sentence"),
    text("format"),
    text("model_file"),
    text("code"),
    text("contract", nullable=True),
    text("settings"),
    text("training_set"),
    text("environment"),
    text("card"),
    facts(),
    *linked(),
    sa.UniqueConstraint("model", "run"),
)

aliases = sa.Table(
    "aliases",
    metadata,
    serial(),
    text("model"),
    text("key"),
    text("alias"),
    integer("number", nullable=True),
    moment("since"),
    moment("recorded_at"),
    text("reason"),
    text("by"),
    *linked(),
    sa.UniqueConstraint("model", "key"),
    sa.Index(None, "model", "alias", "since"),
)


def register(connection: sa.Connection, model: str, version: Version) -> Version:
    """Keep a version, once per run; its number is the next free one whatever `version.number` says.

    Two builds that register at the same moment cannot take one number: the second insert is refused and asks again.
    """
    while True:
        row = connection.execute(sa.select(versions).where(versions.c.model == model, versions.c.run == version.run)).mappings().first()
        if row:
            return _version(row)
        newest = connection.execute(sa.select(sa.func.max(versions.c.number)).where(versions.c.model == model)).scalar()
        append_once(connection, versions, {"model": model, **asdict(version), "number": (newest or 0) + 1})


def list_versions(connection: sa.Connection, model: str) -> list[Version]:
    """All versions, oldest first."""
    query = sa.select(versions).where(versions.c.model == model).order_by(versions.c.number)
    return [_version(row) for row in connection.execute(query).mappings()]


def get_version(connection: sa.Connection, model: str, ref: int | str) -> Version:
    """The version of a number, or the one an alias (`champion` or `@champion`) names now.

    Raises
    ------
    VersionNotFound : there is none.
    """
    asked = str(ref).removeprefix("@").removeprefix("v")
    number: int | None = int(asked) if asked.isdigit() else aliases_now(connection, model).get(asked)
    row = None
    if number is not None:
        row = connection.execute(sa.select(versions).where(versions.c.model == model, versions.c.number == number)).mappings().first()
    if row is None:
        known = (
            connection.execute(sa.select(versions.c.number).where(versions.c.model == model).order_by(versions.c.number)).scalars().all()
        )
        raise VersionNotFound(model, ref, list(known))
    return _version(row)


def _version(row: Any) -> Version:
    return Version(**{name: value for name, value in row.items() if name not in ("model", "place", "hash")})


def set_alias(connection: sa.Connection, model: str, key: str, change: AliasChange) -> bool:
    """Point an alias somewhere else from `change.since` on, once per `key`. Nothing is overwritten: the history grows."""
    return append_once(connection, aliases, {"model": model, "key": key, **asdict(change), "recorded_at": datetime.now(UTC)})


def alias_at(connection: sa.Connection, model: str, alias: str, at: datetime) -> int | None:
    """The version number that `alias` named at a moment."""
    query = sa.select(aliases.c.number).where(aliases.c.model == model, aliases.c.alias == alias, aliases.c.since <= at)
    found: int | None = connection.execute(query.order_by(aliases.c.since.desc(), aliases.c.seq.desc()).limit(1)).scalar()
    return found


def aliases_now(connection: sa.Connection, model: str) -> dict[str, int]:
    """Alias -> version number, as the newest change of each says."""
    newest = sa.select(sa.func.max(aliases.c.seq)).where(aliases.c.model == model).group_by(aliases.c.alias)
    rows = connection.execute(sa.select(aliases.c.alias, aliases.c.number).where(aliases.c.seq.in_(newest)))
    return {row.alias: row.number for row in rows if row.number is not None}


def champions(connection: sa.Connection) -> dict[str, AliasChange]:
    """Model -> how its champion came, of every model in the record that has one."""
    newest = sa.select(sa.func.max(aliases.c.seq)).where(aliases.c.alias == CHAMPION).group_by(aliases.c.model)
    rows = connection.execute(sa.select(aliases).where(aliases.c.seq.in_(newest), aliases.c.number.is_not(None))).mappings()
    return {row["model"]: _change(row) for row in rows}


def list_alias_changes(connection: sa.Connection, model: str, alias: str | None = None) -> list[AliasChange]:
    """Every change, in the order they were made."""
    query = sa.select(aliases).where(aliases.c.model == model)
    if alias is not None:
        query = query.where(aliases.c.alias == alias)
    rows = connection.execute(query.order_by(aliases.c.seq)).mappings()
    return [_change(row) for row in rows]


def _change(row: Any) -> AliasChange:
    return AliasChange(**{name: value for name, value in row.items() if name not in ("seq", "model", "key", "place", "hash")})


def record_swept(connection: sa.Connection, model: str, swept: Swept) -> None:
    """Keep, on the timeline, that a version's files are removed; once per version."""
    sentence = f"Version {swept.number}'s files were removed: {swept.rule}. Its record stays"
    event = Event("swept", swept.at, sentence, {"version": swept.number, "rule": swept.rule})
    record_event(connection, model, f"swept/{swept.number}", event)


def swept_versions(connection: sa.Connection, model: str) -> dict[int, Swept]:
    """Versions whose files were removed."""
    found = list_events(connection, model, kinds=("swept",))
    return {event.facts["version"]: Swept(event.facts["version"], event.as_of, event.facts["rule"]) for event in found}


def refuse_swept(connection: sa.Connection, model: str, number: int) -> None:
    """Raise VersionSwept when a version's files were removed."""
    if (swept := swept_versions(connection, model).get(number)) is not None:
        raise VersionSwept(model, number, f"{swept.at:%Y-%m-%d}", swept.rule)
