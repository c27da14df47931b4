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


@dataclass(frozen=True)
class Stuck:
    """A channel that does not deliver: since when its oldest notice waits, how many wait, and what went wrong last."""

    model: str
    channel: str
    since: datetime
    waiting: int
    problem: str

    @property
    def sentence(self) -> str:
        """In words, without the moment."""
        return f"{self.channel} has not got {self.waiting} {'notice' if self.waiting == 1 else 'notices'}: {self.problem}"


def stuck(connection: sa.Connection, now: datetime, limit: timedelta, model: str | None = None) -> list[Stuck]:
    """Who has not got notices that wait longer than `limit`."""
    query = sa.select(outbox).where(outbox.c.sent_at.is_(None), outbox.c.at < now - limit).order_by(outbox.c.seq)
    found: dict[tuple[str, str], Stuck] = {}
    for row in connection.execute(query):
        for name in row.recipients if model in (None, row.model) else ():
            before = found.get((row.model, name))
            found[row.model, name] = Stuck(
                row.model, name, before.since if before else row.at, before.waiting + 1 if before else 1, "not sent"
            )
    return list(found.values())
