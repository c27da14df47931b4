"""Incidents as they are, and their activity, which only grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keepwell.errors import IncidentChanged, IncidentNotFound
from keepwell.incidents.records import Activity, Change, Incident
from keepwell.storage import insert_once
from keepwell.storage.schema import facts, integer, metadata, moment, serial, text

incidents = sa.Table(
    "incidents",
    metadata,
    text("model", primary=True),
    integer("number", primary=True),
    integer("revision"),
    text("state"),  # open, acknowledged, snoozed, closed
    text("severity"),  # info, warning, critical
    text("cls"),
    text("kind"),
    text("column"),
    moment("first"),
    moment("last"),
    moment("told_at"),
    moment("acknowledged_at", nullable=True),
    moment("closed_at", nullable=True),
    moment("snoozed_until", nullable=True),
    text("owner", nullable=True),
    text("deputy", nullable=True),
    sa.Column("is_live", sa.Boolean, nullable=False),  # cycles look at it
    facts(),
    sa.Index(None, "model", "is_live"),
)

activity = sa.Table(
    "activity",
    metadata,
    serial(),
    text("model"),
    text("key"),
    integer("number"),
    moment("at"),
    text("by"),
    text("kind"),
    text("sentence"),
    facts(),
    sa.UniqueConstraint("model", "key"),
    sa.Index(None, "model", "number"),
)

# Built once: a cycle in which nothing happens asks this and no more.
_LIVE = sa.select(incidents).where(incidents.c.model == sa.bindparam("name"), incidents.c.is_live).order_by(incidents.c.number)


def list_live(connection: sa.Connection, model: str) -> list[Incident]:
    """Incidents that a cycle looks at, oldest first."""
    return [_incident(row) for row in connection.execute(_LIVE, {"name": model}).mappings()]


def list_open(connection: sa.Connection) -> list[Incident]:
    """Incidents of every model in the record that are not closed, oldest first."""
    query = sa.select(incidents).where(incidents.c.is_live, incidents.c.state != "closed").order_by(incidents.c.told_at)
    return [_incident(row) for row in connection.execute(query).mappings()]


def list_incidents(
    connection: sa.Connection,
    model: str,
    *,
    states: Sequence[str] = (),
    since: datetime | None = None,
    at: datetime | None = None,
    limit: int | None = None,
) -> list[Incident]:
    """Incidents, newest first.

    Parameters
    ----------
    since : only those that were open at this moment or later.
    at : only those that were told by this moment and not closed then.
    """
    query = sa.select(incidents).where(incidents.c.model == model).order_by(incidents.c.number.desc()).limit(limit)
    if states:
        query = query.where(incidents.c.state.in_(states))
    if since is not None:
        query = query.where(incidents.c.closed_at.is_(None) | (incidents.c.closed_at >= since))
    if at is not None:
        query = query.where(incidents.c.told_at <= at, incidents.c.closed_at.is_(None) | (incidents.c.closed_at > at))
    return [_incident(row) for row in connection.execute(query).mappings()]


def get_incident(connection: sa.Connection, model: str, number: int) -> Incident:
    """One incident.

    Raises
    ------
    IncidentNotFound
    """
    mine = (incidents.c.model == model) & (incidents.c.number == number)
    row = connection.execute(sa.select(incidents).where(mine)).mappings().first() if abs(number) < 1 << 62 else None
    if row is None:
        raise IncidentNotFound(model, number)
    return _incident(row)


def next_number(connection: sa.Connection, model: str) -> int:
    """The number of the next incident."""
    return int(connection.execute(sa.select(sa.func.max(incidents.c.number)).where(incidents.c.model == model)).scalar() or 0) + 1


def save(connection: sa.Connection, change: Change) -> bool:
    """Keep a change and its line of activity, once per the line's key. True when it is new.

    Raises
    ------
    IncidentChanged : somebody changed the incident meanwhile; their change stands.
    """
    after = change.incident
    if not insert_once(connection, activity, {"model": after.model, **asdict(change.activity)}):
        return False
    values = {column.name: getattr(after, column.name) for column in incidents.columns}
    if after.revision == 1:
        insert_once(connection, incidents, values)
        return True
    mine = (incidents.c.model == after.model) & (incidents.c.number == after.number)
    changed = connection.execute(sa.update(incidents).where(mine, incidents.c.revision == after.revision - 1).values(**values))
    if not changed.rowcount:
        raise IncidentChanged(after.number, after.revision - 1, get_incident(connection, after.model, after.number).revision)
    return True


def list_activity(connection: sa.Connection, model: str, number: int) -> list[Activity]:
    """What happened to an incident, oldest first."""
    query = sa.select(activity).where(activity.c.model == model, activity.c.number == number).order_by(activity.c.seq)
    return [Activity(row.key, row.number, row.at, row.by, row.kind, row.sentence, row.facts) for row in connection.execute(query)]


def _incident(row: Any) -> Incident:
    return Incident(**row)
