"""Named worker slots: at most one living process works under a name, and a dead one's name is taken over at once.

The workflow library recovers a process's unfinished work when a process of the same name starts, and runs live steps twice
when two processes share a name. So names are leased here: on one machine by asking whether the holder's process lives
(a pause, however long, loses nothing), between machines by a lease that is renewed.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import sqlalchemy as sa

from keepwell.orchestration.tables import workers
from keepwell.storage import Database, insert_once

LEASE_S = 60.0


@dataclass(frozen=True)
class Slot:
    """A name held by this process."""

    name: str
    holder: str


def acquire(database: Database, model: str) -> Slot:
    """Take the first name of a model that no living process holds."""
    holder = uuid.uuid4().hex
    number = 0
    while True:
        number += 1
        if slot := claim(database, f"{model}-{number}", holder):
            return slot


def claim(database: Database, name: str, holder: str) -> Slot | None:
    """Take one name, unless a living process holds it."""
    with database.begin() as connection:
        row = connection.execute(sa.select(workers).where(workers.c.slot == name)).first()
        if row is None:
            return Slot(name, holder) if insert_once(connection, workers, {"slot": name, **_mine(holder)}) else None
        if is_alive(row):
            return None
        taken = connection.execute(sa.update(workers).where(workers.c.slot == name, workers.c.holder == row.holder).values(**_mine(holder)))
        return Slot(name, holder) if taken.rowcount else None


def renew(database: Database, slot: Slot) -> None:
    """Say that the holder lives."""
    with database.begin() as connection:
        mine = (workers.c.slot == slot.name) & (workers.c.holder == slot.holder)
        connection.execute(sa.update(workers).where(mine).values(lease_until=_lease()))


def release(database: Database, slot: Slot) -> None:
    """Give the name back."""
    with database.begin() as connection:
        connection.execute(sa.delete(workers).where(workers.c.slot == slot.name, workers.c.holder == slot.holder))


def living(database: Database) -> set[str]:
    """Names held by living processes."""
    with database.read() as connection:
        return {row.slot for row in connection.execute(sa.select(workers)) if is_alive(row)}


def dead_slots(database: Database) -> list[str]:
    """Names whose holder ended without giving them back."""
    with database.read() as connection:
        return sorted(row.slot for row in connection.execute(sa.select(workers)) if not is_alive(row))


def is_alive(row: Any) -> bool:
    """Does the holder of this row live? On this machine its process is asked, elsewhere its lease."""
    if row.host != socket.gethostname():
        return bool(row.lease_until > datetime.now(UTC))
    try:
        process = psutil.Process(row.pid)
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - row.process_started) < 2
    except psutil.NoSuchProcess:
        return False


def _mine(holder: str) -> dict[str, Any]:
    pid = os.getpid()
    return {
        "holder": holder,
        "host": socket.gethostname(),
        "pid": pid,
        "process_started": psutil.Process(pid).create_time(),
        "lease_until": _lease(),
    }


def _lease() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=LEASE_S)
