"""The record: one SQL database, SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from keepwell.errors import SchemaTooNew, StorageUnavailable

HEAD = "0001"  # newest migration; kept here so that opening an up-to-date record need not import Alembic


class Database:
    """An open record.

    Parameters
    ----------
    url : SQLAlchemy URL; a relative SQLite path counts from `folder`.
    folder : the project's folder.

    Raises
    ------
    StorageUnavailable : the database cannot be opened or written.
    SchemaTooNew : a newer Keepwell wrote it.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = _absolute(url, folder)
        try:
            self.engine = _engine(self.url)
            self._migrate()
        except (sa.exc.OperationalError, sa.exc.ArgumentError, sa.exc.NoSuchModuleError, OSError) as error:
            raise StorageUnavailable(self.shown_url, _reason(error)) from None

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        try:
            return sa.make_url(self.url).render_as_string(hide_password=True)
        except sa.exc.ArgumentError:
            return "(unreadable URL)"

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A write transaction: everything in it is kept together, or nothing is."""
        try:
            with self.engine.connect().execution_options(write=True) as connection, connection.begin():
                yield connection
        except sa.exc.OperationalError as error:
            raise StorageUnavailable(self.shown_url, _reason(error)) from error

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A read transaction: one moment of the record, not blocked by writers."""
        try:
            with self.engine.connect() as connection, connection.begin():
                yield connection
        except sa.exc.OperationalError as error:
            raise StorageUnavailable(self.shown_url, _reason(error)) from error

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def revision(self) -> str | None:
        """The migration the record is at; None for an empty database."""
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            return found

    def _migrate(self) -> None:
        found = self.revision()
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise SchemaTooNew(found, HEAD)
        from keepwell.storage.migrations import upgrade

        with self.engine.connect().execution_options(write=True) as connection, connection.begin():
            upgrade(connection, HEAD)


def insert_once(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> bool:
    """Insert a row unless one with its key is there. True when it was inserted.

    Steps of a cycle may be run again after a crash; writing what they found this way makes that harmless.
    """
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return bool(connection.execute(sqlite_insert(table).values(**values).on_conflict_do_nothing()).rowcount)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return bool(connection.execute(postgresql_insert(table).values(**values).on_conflict_do_nothing()).rowcount)


def _absolute(url: str, folder: Path) -> str:
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/") and url != prefix + ":memory:":
        return prefix + str((folder / url.removeprefix(prefix)).resolve())
    if url.startswith(("postgresql://", "postgres://")):
        return "postgresql+psycopg://" + url.split("://", 1)[1]
    return url


def _engine(url: str) -> sa.Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's begin event below opens transactions, not the driver
        cursor = connection.cursor()
        # A writer waits this long for another one before it gives up: longer than the slowest flush seen on a busy machine.
        cursor.execute("PRAGMA busy_timeout = 30000")
        # Readers go on while one writes; a commit is one append to the log.
        cursor.execute("PRAGMA journal_mode = WAL")
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


def _reason(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().split("\n")[0] or type(cause).__name__
