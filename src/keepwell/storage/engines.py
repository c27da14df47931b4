"""What SQLite and PostgreSQL are told so that the record behaves the same on both, and why.

Both give the same two promises. A read sees one moment, however many queries it asks and whoever writes meanwhile. Writes
take turns: what a write transaction has read is still so when it commits, so that code may look first and then decide
("is this the newest cycle?") without a retry. SQLite has one writer at a time anyway; PostgreSQL is asked for it by a lock.
A write takes milliseconds; what takes longer (a flush into Delta) waits for its own lock only.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

# A writer waits this long for its turn before it gives up: longer than the slowest flush seen on a busy machine.
WAIT_S = 30
# A process that hangs in a transaction without a word for so long is taken for lost, so that its turn ends.
SILENT_S = 600

# A database host that vanished without a word is noticed within a minute, and not after the two hours of the kernel's own patience, in
# which a server would hear of no promotion and no revoked token. One that is only slow is waited for. Words of the URL come first.
GONE = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}


def absolute(url: str, folder: Path) -> str:
    """The URL with a relative SQLite file counted from `folder`, and PostgreSQL's by the driver that is installed."""
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/") and url != prefix + ":memory:":
        return prefix + str((folder / url.removeprefix(prefix)).resolve())
    if url.startswith(("postgresql://", "postgres://")):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    return url


def open_engine(url: str) -> sa.Engine:
    """An engine that keeps both promises, with `execution_options(write=True)` for a connection that will write."""
    kinds = {"sqlite": _sqlite, "postgresql": _postgresql}
    kind = sa.make_url(url).get_backend_name()
    if kind not in kinds:
        raise sa.exc.ArgumentError(f"the record is kept in {' or '.join(kinds)}, not in {kind}")
    return kinds[kind](url)


def for_reading(connection: sa.Connection) -> sa.Connection:
    """The connection, set to see one moment and to change nothing."""
    if connection.dialect.name == "sqlite":
        return connection
    # Told to the driver, which says it together with BEGIN: it costs no round trip.
    return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def wait_turn(connection: sa.Connection, lock: str) -> None:
    """Wait until no other write transaction under the same lock runs; it ends with the transaction, or with the process."""
    if connection.dialect.name != "sqlite":  # there BEGIN IMMEDIATE has waited
        number = int.from_bytes(hashlib.sha256(lock.encode()).digest()[:8], signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def _postgresql(url: str) -> sa.Engine:
    # A connection that died while it waited in the pool is replaced before it is used.
    asked = {name: value for name, value in GONE.items() if name not in sa.make_url(url).query}
    engine = sa.create_engine(url, pool_pre_ping=True, json_serializer=to_json, connect_args=asked)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute(f"SET lock_timeout = '{WAIT_S}s'; SET idle_in_transaction_session_timeout = '{SILENT_S}s'; SET timezone = 'UTC'")
        connection.commit()

    return engine


def _sqlite(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, json_serializer=to_json)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event below opens transactions, not the driver
        cursor = connection.cursor()
        # SQLite asks again and again, up to ten times a second, whether the other writer has finished.
        cursor.execute(f"PRAGMA busy_timeout = {WAIT_S * 1000}")
        # Readers go on while one writes; a commit is one append to the log.
        _set_wal(cursor)
        # The log is synced at each commit, so that what was acknowledged survives a loss of power.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A write transaction takes the lock at once: one that began by reading could not be upgraded
        # after another writer's commit and would fail with "database is locked", however long it waited.
        write = connection.get_execution_options().get("write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _set_wal(cursor: Any) -> None:
    """Two that open a new file at once are in each other's way here, and SQLite does not wait by itself for this."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def to_json(value: Any) -> str:
    """JSON text. What is not a number, or infinite, is null: JSON has no word for them, and PostgreSQL refuses Python's."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
