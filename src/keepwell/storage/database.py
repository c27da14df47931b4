"""The record: one SQL database, SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keepwell.errors import KeepwellError, SchemaTooNew, StorageUnavailable
from keepwell.storage.engines import WAIT_S, absolute, for_reading, open_engine, wait_turn
from keepwell.storage.problems import disk_problem, problem_of

HEAD = "0010"  # newest migration; kept here so that opening an up-to-date record need not import Alembic


class Database:
    """An open record.

    Parameters
    ----------
    url : SQLAlchemy URL; a relative SQLite path counts from `folder`.
    folder : the project's folder.
    shape : the migration to bring it to; an older one only to fill in rows of that shape, and then to open it again.

    Raises
    ------
    StorageUnavailable : the database cannot be opened or written.
    SchemaTooNew : a newer Keepwell wrote it.
    """

    def __init__(self, url: str, folder: Path, shape: str = HEAD) -> None:
        self.url = absolute(url, folder)
        # Threads of one process queue here, in order and without asking again and again; processes queue in the database.
        self._turn = threading.Lock()
        try:
            with self.answering():
                self.engine = open_engine(self.url)
                try:
                    self._migrate(shape)
                except BaseException:
                    self.close()
                    raise
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, OSError) as error:
            raise error if isinstance(error, KeepwellError) else StorageUnavailable(self.shown_url, problem_of(error)) from None

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        try:
            return sa.make_url(self.url).render_as_string(hide_password=True)
        except sa.exc.ArgumentError:
            return "(unreadable URL)"

    @contextmanager
    def begin(self, lock: str = "") -> Iterator[sa.Connection]:
        """A write transaction: everything in it is kept together, or nothing is, and what it reads nobody changes meanwhile.

        Parameters
        ----------
        lock : transactions with the same one take turns. One that takes long has its own, and then may only change what
            it has locked besides; SQLite knows one lock only.

        Raises
        ------
        StorageUnavailable : the database does not answer, cannot be written, or the turn did not come in half a minute.
        """
        with self.answering(), self._queue(), self.engine.connect().execution_options(write=True) as connection, connection.begin():
            wait_turn(connection, lock)
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A read transaction: one moment of the record, not blocked by writers.

        Raises
        ------
        StorageUnavailable : the database does not answer.
        """
        with self.answering(), for_reading(self.engine.connect()) as connection, connection.begin():
            yield connection

    def hurry(self) -> None:
        """Do without surviving a loss of power from here on: for a record that goes away, like a rehearsal's."""
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous = OFF"))
            self.engine.dispose()

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

    def _migrate(self, shape: str) -> None:
        found = self.revision()
        if found == shape:
            return
        if found is not None and found > HEAD:
            raise SchemaTooNew(found, HEAD)
        from keepwell.storage.migrations import upgrade

        with self.begin() as connection:
            upgrade(connection, shape)

    @contextmanager
    def _queue(self) -> Iterator[None]:
        if self.engine.dialect.name != "sqlite":
            yield
            return
        if not self._turn.acquire(timeout=WAIT_S):
            raise StorageUnavailable(self.shown_url, f"another thread has been writing for {WAIT_S} s")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """For others who use this database by themselves: its own errors become StorageUnavailable."""
        try:
            yield
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            raise StorageUnavailable(self.shown_url, self._problem(error)) from error
        except sa.exc.DatabaseError as error:
            if type(error) is not sa.exc.DatabaseError:  # a constraint that does not hold is a fault of ours
                raise
            raise StorageUnavailable(self.shown_url, self._problem(error)) from error  # no database, or a damaged one

    def _problem(self, error: Exception) -> str:
        url = sa.make_url(self.url)
        if url.get_backend_name() == "sqlite" and (why := disk_problem(Path(url.database or "").parent)):
            return f"{problem_of(error)}: {why}"
        return problem_of(error)


def insert_once(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> bool:
    """Insert a row unless one with its key is there. True when it was inserted.

    Steps of a cycle may be run again after a crash; writing what they found this way makes that harmless.
    """
    from sqlalchemy.dialects import postgresql, sqlite

    insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    # The number of rows is no answer: for a table whose key the database counts up, PostgreSQL's driver does not know it.
    row = insert(table).values(**values).on_conflict_do_nothing().returning(sa.literal_column("1"))
    return connection.execute(row).first() is not None
