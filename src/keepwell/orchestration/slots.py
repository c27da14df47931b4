"""Named worker slots: at most one living process works under a name, and a dead one's name is taken over at once.

The workflow library recovers a process's unfinished work when a process of the same name starts, and runs live steps twice
when two processes share a name. So names are leased here: on one machine by asking whether the holder's process lives
(a pause, however long, loses nothing), between machines by a lease that is renewed.

No wall clock decides about a process of the same machine: it may be set while a worker lives. A process is its number and the
tick of the running kernel at which it started, and a kernel is told from the ones before it by its boot id. Leases are told
by the database's clock, which is one for all machines.
"""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keepwell.orchestration.tables import workers
from keepwell.storage import Database, insert_once

LEASE_S = 60.0
ENDED = ("Z", "X")  # states of a process that has ended and waits for its parent to notice


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
            mine = {"slot": name, **_mine(connection, holder)}
            return Slot(name, holder) if insert_once(connection, workers, mine) else None
        if is_alive(row, moment_of(connection)):
            return None
        held = (workers.c.slot == name) & (workers.c.holder == row.holder)
        taken = connection.execute(sa.update(workers).where(held).values(**_mine(connection, holder)))
        return Slot(name, holder) if taken.rowcount else None


def renew(database: Database, slot: Slot) -> None:
    """Say that the holder lives."""
    with database.begin() as connection:
        mine = (workers.c.slot == slot.name) & (workers.c.holder == slot.holder)
        connection.execute(sa.update(workers).where(mine).values(lease_until=_lease(connection)))


def release(database: Database, slot: Slot) -> None:
    """Give the name back."""
    with database.begin() as connection:
        connection.execute(sa.delete(workers).where(workers.c.slot == slot.name, workers.c.holder == slot.holder))


def living(database: Database) -> set[str]:
    """Names held by living processes."""
    return {name for name, lives in _looked_at(database) if lives}


def dead_slots(database: Database) -> list[str]:
    """Names whose holder ended without giving them back."""
    return sorted(name for name, lives in _looked_at(database) if not lives)


def dead_since(database: Database, model: str) -> list[tuple[str, datetime]]:
    """A model's names whose holder ended without giving them back, each with the moment until which it had said that it lives."""
    with database.read() as connection:
        now = moment_of(connection)
        rows = connection.execute(sa.select(workers).where(workers.c.slot.startswith(f"{model}-", autoescape=True))).all()
    dead = [row for row in rows if not is_alive(row, now)]
    return [(row.slot, row.lease_until - timedelta(seconds=LEASE_S)) for row in dead if row.slot.removeprefix(f"{model}-").isdigit()]


def is_alive(row: Any, now: datetime) -> bool:
    """Does the holder of this row live? On this machine its process is asked, elsewhere its lease; `now` by the database's clock."""
    host, _, boot = row.host.partition(" ")
    if host != socket.gethostname() or not boot:
        return bool(row.lease_until > now)
    return bool(boot == boot_id() and started_at(row.pid) == row.process_started)


def started_at(pid: int) -> float | None:
    """When a process started, in ticks since the kernel did; None when there is none, or when it has ended already."""
    try:
        # The command's name comes first and may hold anything, also blanks and brackets; behind it are plain fields.
        state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in ENDED else float(fields[18])


def boot_id() -> str:
    """Which run of this machine's kernel this is; empty where it cannot be known, and then leases decide."""
    with suppress(FileNotFoundError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def moment_of(connection: sa.Connection) -> datetime:
    """Now, by the database's clock."""
    found: datetime = connection.execute(sa.select(sa.type_coerce(sa.func.now(), workers.c.lease_until.type))).scalar_one()
    return found


def _looked_at(database: Database) -> list[tuple[str, bool]]:
    with database.read() as connection:
        now = moment_of(connection)
        return [(row.slot, is_alive(row, now)) for row in connection.execute(sa.select(workers))]


def _mine(connection: sa.Connection, holder: str) -> dict[str, Any]:
    pid = os.getpid()
    return {
        "holder": holder,
        "host": f"{socket.gethostname()} {boot_id()}".strip(),
        "pid": pid,
        "process_started": started_at(pid) or 0.0,
        "lease_until": _lease(connection),
    }


def _lease(connection: sa.Connection) -> datetime:
    return moment_of(connection) + timedelta(seconds=LEASE_S)
