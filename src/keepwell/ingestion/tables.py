"""What each gather found, one row a cycle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keepwell.storage import insert_once
from keepwell.storage.schema import facts, integer, metadata, moment, text

gathers = sa.Table(
    "gathers",
    metadata,
    text("model", primary=True),
    text("cycle", primary=True),
    moment("as_of"),
    moment("since"),
    moment("until"),
    integer("seen"),
    integer("new"),
    integer("changed"),
    integer("quarantined"),
    integer("table_version"),
    moment("newest", nullable=True),
    text("error", nullable=True),
    facts("findings"),
    sa.Index(None, "model", "as_of"),
)


@dataclass(frozen=True)
class Gathered:
    """What one gather found.

    `table_version` is the commit of the observations table after it; `newest` the time of the newest good row known;
    `findings` are the contract's findings as plain records; `error` says why the source gave nothing.
    """

    cycle: str
    as_of: datetime
    since: datetime
    until: datetime
    seen: int
    new: int
    changed: int
    quarantined: int
    table_version: int
    newest: datetime | None
    error: str | None
    findings: list[dict[str, Any]]


def record_gather(connection: sa.Connection, model: str, gathered: Gathered) -> None:
    """Keep what a gather found, once per cycle."""
    insert_once(connection, gathers, {"model": model, **asdict(gathered)})


def last_gather(connection: sa.Connection, model: str, *, cycle: str | None = None) -> Gathered | None:
    """The newest gather of a model, or that of one cycle."""
    query = sa.select(gathers).where(gathers.c.model == model)
    if cycle is not None:
        query = query.where(gathers.c.cycle == cycle)
    row = connection.execute(query.order_by(gathers.c.as_of.desc()).limit(1)).mappings().first()
    return Gathered(**{name: value for name, value in row.items() if name != "model"}) if row else None


def list_gathers(connection: sa.Connection, model: str, limit: int) -> list[Gathered]:
    """The newest gathers, newest first."""
    query = sa.select(gathers).where(gathers.c.model == model).order_by(gathers.c.as_of.desc()).limit(limit)
    return [Gathered(**{name: value for name, value in row.items() if name != "model"}) for row in connection.execute(query).mappings()]


@dataclass(frozen=True)
class Gathers:
    """What the gathers of a span of time come to; `failures` are those in which the source gave nothing."""

    new: int
    quarantined: int
    failures: int


def gathered_between(connection: sa.Connection, model: str, since: datetime, until: datetime) -> Gathers:
    """Sums over the gathers of the cycles from `since` to `until`, both included."""
    failures = sa.func.count(gathers.c.error)
    sums = [sa.func.coalesce(sa.func.sum(gathers.c[name]), 0) for name in ("new", "quarantined")]
    query = sa.select(*sums, failures).where(gathers.c.model == model, gathers.c.as_of >= since, gathers.c.as_of <= until)
    return Gathers(*(int(value) for value in connection.execute(query).one()))


def corrections(connection: sa.Connection, model: str, since: datetime, until: datetime) -> list[tuple[datetime, int]]:
    """Cycles of a span that found known rows changed, with how many, oldest first."""
    mine = (gathers.c.model == model) & (gathers.c.changed > 0) & gathers.c.as_of.between(since, until)
    query = sa.select(gathers.c.as_of, gathers.c.changed).where(mine).order_by(gathers.c.as_of)
    return [(row.as_of, row.changed) for row in connection.execute(query)]
