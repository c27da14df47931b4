"""Check-ups, one a cycle."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from keepwell.monitoring.checkup import Checkup
from keepwell.storage import insert_once
from keepwell.storage.schema import facts, metadata, moment, text

checkups = sa.Table(
    "checkups",
    metadata,
    text("model", primary=True),
    text("cycle", primary=True),
    moment("as_of"),
    text("verdict"),
    text("sentence"),
    facts(),
    sa.Index(None, "model", "as_of"),
)


def record_checkup(connection: sa.Connection, model: str, cycle: str, checkup: Checkup) -> None:
    """Keep a check-up, once per cycle."""
    values = {"as_of": checkup.as_of, "verdict": checkup.verdict, "sentence": checkup.sentence, "facts": checkup.facts}
    insert_once(connection, checkups, {"model": model, "cycle": cycle, **values})


def last_checkup(connection: sa.Connection, model: str, *, before: datetime | None = None) -> Checkup | None:
    """The newest check-up, or the newest one before a moment."""
    query = sa.select(checkups).where(checkups.c.model == model)
    if before is not None:
        query = query.where(checkups.c.as_of < before)
    row = connection.execute(query.order_by(checkups.c.as_of.desc()).limit(1)).first()
    return Checkup(row.as_of, row.verdict, row.sentence, row.facts) if row else None


def list_checkups(connection: sa.Connection, model: str, limit: int | None = None) -> list[Checkup]:
    """The newest check-ups, newest first."""
    query = sa.select(checkups).where(checkups.c.model == model).order_by(checkups.c.as_of.desc()).limit(limit)
    return [Checkup(row.as_of, row.verdict, row.sentence, row.facts) for row in connection.execute(query)]
