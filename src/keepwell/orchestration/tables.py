"""Cycles, and the workers that run them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from keepwell.storage import insert_once, models_on_record
from keepwell.storage.schema import facts, integer, metadata, moment, text

cycles = sa.Table(
    "cycles",
    metadata,
    text("model", primary=True),
    text("cycle", primary=True),
    moment("as_of"),
    integer("attempt"),
    text("status"),  # running, done, failed
    text("sentence"),
    moment("begun"),
    moment("ended", nullable=True),
    facts(),
    sa.Index(None, "model", "as_of"),
    sa.Index(None, "model", "status"),
)

workers = sa.Table(
    "workers",
    metadata,
    text("slot", primary=True),
    text("holder"),
    text("host"),
    integer("pid"),
    sa.Column("process_started", sa.Float, nullable=False),
    moment("lease_until"),
)


@dataclass(frozen=True)
class CycleRecord:
    """One cycle: for which moment, how often it was tried, how it ended and what it did."""

    cycle: str
    as_of: datetime
    attempt: int
    status: str
    sentence: str
    begun: datetime
    ended: datetime | None
    facts: dict[str, Any]


@dataclass(frozen=True)
class Newest:
    """A model's newest cycle in short; `before` is the moment of the one before it."""

    as_of: datetime
    status: str
    sentence: str
    before: datetime | None


def begin_cycle(connection: sa.Connection, model: str, cycle: str, as_of: datetime, asked: bool) -> CycleRecord:
    """Keep that a cycle begins; a failed one is begun again under the next attempt."""
    values = {"attempt": 1, "status": "running", "sentence": "", "begun": datetime.now(UTC), "ended": None, "facts": {"asked": asked}}
    if not insert_once(connection, cycles, {"model": model, "cycle": cycle, "as_of": as_of, **values}):
        again = (cycles.c.model == model) & (cycles.c.cycle == cycle) & (cycles.c.status == "failed")
        connection.execute(
            sa.update(cycles)
            .where(again)
            .values(status="running", attempt=cycles.c.attempt + 1, begun=datetime.now(UTC), ended=None, facts={"asked": asked})
        )
    record = get_cycle(connection, model, cycle)
    assert record is not None
    return record


def end_cycle(connection: sa.Connection, model: str, cycle: str, status: str, sentence: str, what: dict[str, Any]) -> None:
    """Keep how a cycle ended; the first end counts."""
    where = (cycles.c.model == model) & (cycles.c.cycle == cycle) & (cycles.c.status == "running")
    connection.execute(sa.update(cycles).where(where).values(status=status, sentence=sentence, ended=datetime.now(UTC), facts=what))


def get_cycle(connection: sa.Connection, model: str, cycle: str) -> CycleRecord | None:
    """One cycle, or None."""
    row = connection.execute(sa.select(cycles).where(cycles.c.model == model, cycles.c.cycle == cycle)).mappings().first()
    return _cycle(row) if row else None


def last_cycle(connection: sa.Connection, model: str, status: str | None = None) -> CycleRecord | None:
    """The cycle of the newest moment."""
    found = list_cycles(connection, model, status, 1)
    return found[0] if found else None


def list_cycles(connection: sa.Connection, model: str, status: str | None = None, limit: int | None = None) -> list[CycleRecord]:
    """Cycles, newest moment first."""
    query = sa.select(cycles).where(cycles.c.model == model)
    if status is not None:
        query = query.where(cycles.c.status == status)
    return [_cycle(row) for row in connection.execute(query.order_by(cycles.c.as_of.desc()).limit(limit)).mappings()]


def newest_cycles(connection: sa.Connection) -> dict[str, Newest]:
    """Model -> its newest cycle, of every model in the record."""
    models, mine = models_on_record(), cycles.alias()
    newest = sa.select(sa.func.max(mine.c.as_of)).where(mine.c.model == models.c.model).scalar_subquery()
    before = sa.select(sa.func.max(mine.c.as_of)).where(mine.c.model == cycles.c.model, mine.c.as_of < cycles.c.as_of).scalar_subquery()
    query = sa.select(cycles.c.model, cycles.c.as_of, cycles.c.status, cycles.c.sentence, before.label("before"))
    query = query.join(models, (cycles.c.model == models.c.model) & (cycles.c.as_of == newest))
    return {row.model: Newest(row.as_of, row.status, row.sentence, row.before) for row in connection.execute(query)}


def count_cycles(
    connection: sa.Connection, model: str, status: str = "done", since: datetime | None = None, until: datetime | None = None
) -> int:
    """How many cycles are done (or of another status), of the moments from `since` to `until`."""
    query = sa.select(sa.func.count()).select_from(cycles).where(cycles.c.model == model, cycles.c.status == status)
    if since is not None:
        query = query.where(cycles.c.as_of >= since)
    if until is not None:
        query = query.where(cycles.c.as_of <= until)
    return int(connection.execute(query).scalar() or 0)


def _cycle(row: Any) -> CycleRecord:
    return CycleRecord(**{name: value for name, value in row.items() if name != "model"})
