"""Check-ups, one a cycle; the watch of each version, and its signals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keepwell.monitoring.checkup import Checkup
from keepwell.storage import append_once, insert_once, models_on_record
from keepwell.storage.schema import facts, integer, linked, metadata, moment, serial, text

checkups = sa.Table(
    "checkups",
    metadata,
    text("model", primary=True),
    text("cycle", primary=True),
    moment("as_of"),
    text("verdict"),
    text("sentence"),
    facts(),
    *linked(),
    sa.Index(None, "model", "as_of"),
)


watches = sa.Table(
    "watches",
    metadata,
    text("model", primary=True),
    integer("version", primary=True),
    text("cycle"),  # the newest cycle whose rows are in it
    moment("as_of"),
    sa.Column("state", sa.LargeBinary, nullable=True),  # None where the version cannot be watched; `facts` say why
    facts(),
)

signals = sa.Table(
    "signals",
    metadata,
    serial(),
    text("model"),
    text("key"),
    integer("version"),
    moment("as_of"),
    text("kind"),  # decline, note, recovered
    integer("incident"),
    text("sentence"),
    facts(),
    *linked(),
    sa.UniqueConstraint("model", "key"),
    sa.Index(None, "model", "as_of"),
)


@dataclass(frozen=True)
class Said:
    """A signal on record: which version's watch said it in which cycle (`as_of`), in words and with its explanation in `facts`."""

    version: int
    as_of: datetime
    kind: str
    incident: int
    sentence: str
    facts: dict[str, Any]


def record_watch(
    connection: sa.Connection, model: str, version: int, cycle: str, as_of: datetime, state: bytes | None, known: dict[str, Any]
) -> None:
    """Keep what a version's watch knows now, in place of what it knew before."""
    values = {"cycle": cycle, "as_of": as_of, "state": state, "facts": known}
    if not insert_once(connection, watches, {"model": model, "version": version, **values}):
        connection.execute(sa.update(watches).where(watches.c.model == model, watches.c.version == version).values(**values))


def get_watch(connection: sa.Connection, model: str, version: int) -> tuple[str, dict[str, Any]] | None:
    """The newest cycle in a version's watch and the facts about it; None when there is none yet."""
    query = sa.select(watches.c.cycle, watches.c.facts).where(watches.c.model == model, watches.c.version == version)
    row = connection.execute(query).first()
    return (row.cycle, row.facts) if row else None


def get_watch_state(connection: sa.Connection, model: str, version: int) -> bytes | None:
    """The state of a version's watch."""
    query = sa.select(watches.c.state).where(watches.c.model == model, watches.c.version == version)
    found: bytes | None = connection.execute(query).scalar()
    return found


def record_signal(connection: sa.Connection, model: str, key: str, said: Said) -> bool:
    """Keep a signal, once per key."""
    values = {name: getattr(said, name) for name in ("version", "as_of", "kind", "incident", "sentence", "facts")}
    return append_once(connection, signals, {"model": model, "key": key, **values})


def list_signals(
    connection: sa.Connection, model: str, *, kinds: tuple[str, ...] = (), until: datetime | None = None, limit: int | None = None
) -> list[Said]:
    """Signals, newest first."""
    query = sa.select(signals).where(signals.c.model == model).order_by(signals.c.seq.desc()).limit(limit)
    if kinds:
        query = query.where(signals.c.kind.in_(kinds))
    if until is not None:
        query = query.where(signals.c.as_of <= until)
    return [Said(row.version, row.as_of, row.kind, row.incident, row.sentence, row.facts) for row in connection.execute(query)]


def record_checkup(connection: sa.Connection, model: str, cycle: str, checkup: Checkup) -> None:
    """Keep a check-up, once per cycle."""
    values = {"as_of": checkup.as_of, "verdict": checkup.verdict, "sentence": checkup.sentence, "facts": checkup.facts}
    append_once(connection, checkups, {"model": model, "cycle": cycle, **values})


def newest_checkups(connection: sa.Connection) -> dict[str, Checkup]:
    """Model -> its newest check-up, of every model in the record, without its facts."""
    models, mine = models_on_record(), checkups.alias()
    newest = sa.select(sa.func.max(mine.c.as_of)).where(mine.c.model == models.c.model).scalar_subquery()
    columns = (checkups.c.model, checkups.c.as_of, checkups.c.verdict, checkups.c.sentence)
    query = sa.select(*columns).join(models, (checkups.c.model == models.c.model) & (checkups.c.as_of == newest))
    return {row.model: Checkup(row.as_of, row.verdict, row.sentence, {}) for row in connection.execute(query)}


def last_checkup(connection: sa.Connection, model: str, *, before: datetime | None = None) -> Checkup | None:
    """The newest check-up, or the newest one before a moment."""
    query = sa.select(checkups).where(checkups.c.model == model)
    if before is not None:
        query = query.where(checkups.c.as_of < before)
    row = connection.execute(query.order_by(checkups.c.as_of.desc()).limit(1)).first()
    return Checkup(row.as_of, row.verdict, row.sentence, row.facts) if row else None
