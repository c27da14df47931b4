"""What happened, in order: the append-only timeline every door reads."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from keepwell.storage.chains import append_once
from keepwell.storage.schema import facts, linked, metadata, moment, serial, text

events = sa.Table(
    "events",
    metadata,
    serial(),
    text("model"),
    text("key"),
    text("kind"),
    moment("as_of"),
    moment("recorded_at"),
    text("sentence"),
    facts(),
    text("by"),
    *linked(),
    sa.UniqueConstraint("model", "key"),
    sa.Index(None, "model", "as_of"),
)


KEEPWELL = "keepwell"  # who did what no person asked for


@dataclass(frozen=True)
class Event:
    """One line of a model's life; `by` is the person who did it (facts may name them too), or "keepwell" where it did so by itself."""

    kind: str
    as_of: datetime
    sentence: str
    facts: dict[str, Any]
    by: str = KEEPWELL


def person() -> str:
    """Who sits at this process: the name that acts of a person are recorded under."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def record_event(connection: sa.Connection, model: str, key: str, event: Event) -> bool:
    """Add a line at the end of the model's chain, once per (model, key). True when it is new."""
    return append_once(
        connection,
        events,
        {
            "model": model,
            "key": key,
            "kind": event.kind,
            "as_of": event.as_of,
            "recorded_at": datetime.now(UTC),
            "sentence": event.sentence,
            "facts": event.facts,
            "by": str(event.facts.get("by") or event.by) if event.by == KEEPWELL else event.by,
        },
    )


def list_events(
    connection: sa.Connection,
    model: str,
    *,
    kinds: tuple[str, ...] = (),
    by: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> list[Event]:
    """The newest `limit` lines of a model's life, oldest first."""
    query = sa.select(events).where(events.c.model == model)
    if kinds:
        query = query.where(events.c.kind.in_(kinds))
    if by is not None:
        query = query.where(events.c.by == by)
    if since is not None:
        query = query.where(events.c.as_of >= since)
    if until is not None:
        query = query.where(events.c.as_of <= until)
    query = query.order_by(events.c.as_of.desc(), events.c.place.desc())
    if limit is not None:
        query = query.limit(limit)
    return [Event(row.kind, row.as_of, row.sentence, row.facts, row.by) for row in reversed(connection.execute(query).all())]


def last_event(connection: sa.Connection, model: str) -> int:
    """The number of the newest line; 0 when nothing has happened. It grows with every line, so it says whether there is news."""
    return int(connection.execute(sa.select(sa.func.max(events.c.seq)).where(events.c.model == model)).scalar() or 0)
