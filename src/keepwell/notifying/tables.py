"""Notices that wait to be told, and those that were."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from keepwell.storage import insert_once
from keepwell.storage.schema import facts, metadata, moment, serial, text

outbox = sa.Table(
    "outbox",
    metadata,
    serial(),
    text("model"),
    text("key"),
    text("kind"),
    text("subject"),
    text("sentence"),
    text("severity"),
    facts("recipients"),
    moment("at"),
    moment("sent_at", nullable=True),
    facts(),
    sa.UniqueConstraint("model", "key"),
)


@dataclass(frozen=True)
class Notice:
    """Something to be told: `kind` such as "incident.opened", `severity` info, warning or critical, `recipients` names of people."""

    kind: str
    subject: str
    sentence: str
    severity: str
    recipients: tuple[str, ...]
    at: datetime
    facts: dict[str, Any]


def enqueue(connection: sa.Connection, model: str, key: str, notice: Notice) -> bool:
    """Keep a notice, once per (model, key)."""
    values = {**asdict(notice), "recipients": list(notice.recipients)}
    return insert_once(connection, outbox, {"model": model, "key": key, **values})


def list_notices(connection: sa.Connection, model: str) -> list[Notice]:
    """Notices, oldest first."""
    rows = connection.execute(sa.select(outbox).where(outbox.c.model == model).order_by(outbox.c.seq)).all()
    return [Notice(row.kind, row.subject, row.sentence, row.severity, tuple(row.recipients), row.at, row.facts) for row in rows]


def stuck(connection: sa.Connection, now: datetime, limit: timedelta) -> list[Notice]:
    """Notices for somebody that wait for longer than `limit`."""
    query = sa.select(outbox).where(outbox.c.sent_at.is_(None), outbox.c.at < now - limit).order_by(outbox.c.seq)
    found = [row for row in connection.execute(query) if row.recipients]
    return [Notice(row.kind, row.subject, row.sentence, row.severity, tuple(row.recipients), row.at, row.facts) for row in found]
