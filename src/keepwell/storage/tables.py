"""Versioned tables: rows are added, never changed; the newest row of a key counts; any earlier moment can be read again.

A table is a Delta table plus the small commits that still wait in the record. A Delta commit costs tens of milliseconds
and grows with the number of files (`benchmarks/tables.py`), so a day's few rows are kept in the database,
in the same transaction as the fact that describes them, and many such commits go to Delta together.

Each row carries `_commit`, the number of the commit that added it, and `_known`, the moment it became known. Reading "at
commit n" filters by that number, so what a training set was made from stays readable after compaction and vacuum.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from keepwell.errors import KeepwellError, StorageUnavailable, TableCorrupt
from keepwell.storage.artifacts import ArtifactStore
from keepwell.storage.database import Database, insert_once
from keepwell.storage.files import Files
from keepwell.storage.moments import MOMENT, literal, to_micros
from keepwell.storage.payloads import COMMIT, KNOWN, from_bytes, normal, to_bytes
from keepwell.storage.problems import problem_of
from keepwell.storage.remembered import Remembered
from keepwell.storage.retries import DELTA, POLARS
from keepwell.storage.schema import integer, metadata, moment, text
from keepwell.storage.sums import seal

tables = sa.Table(
    "tables",
    metadata,
    text("name", primary=True),
    integer("last"),  # number of the newest commit
    integer("flushed"),  # commits up to this number are in Delta
)

commits = sa.Table(
    "commits",
    metadata,
    text("name", primary=True),
    integer("number", primary=True),
    text("key"),
    integer("rows"),
    moment("known_at"),
    moment("recorded_at"),
    sa.Column("payload", sa.LargeBinary, nullable=True),  # Arrow IPC, gone once flushed
    text("artifact", nullable=True),  # digest of a payload too large for the database
    sa.UniqueConstraint("name", "key"),
)

INLINE_BYTES = 1 << 20  # a larger commit is kept as an artifact and only named in the record
COMPACT_FILES = 64  # data files after which Delta's small files are joined
APP = "keepwell"  # name under which Delta remembers the last commit flushed


@dataclass(frozen=True)
class Commit:
    """One addition: its number in the table, and how many rows it holds."""

    number: int
    rows: int


class Table:
    """One versioned table.

    Parameters
    ----------
    name : ``model/observations`` and the like; part of the path.
    key : columns that name a row; of rows with the same key the one with the highest commit counts.
    time : the column by which windows are read.
    """

    def __init__(self, database: Database, artifacts: ArtifactStore, root: str, name: str, key: tuple[str, ...], time: str) -> None:
        self.name, self.key, self.time = name, key, time
        self._database, self._artifacts = database, artifacts
        self._url = f"{root.rstrip('/')}/{name}"
        self._is_remote = "://" in self._url
        self._delta: DeltaTable | None = None
        self._remembered: Remembered | None = None
        # Built once: making a statement costs more than running it.
        self._state = sa.select(tables).where(self._mine(tables))
        self._next = sa.update(tables).where(self._mine(tables)).values(last=tables.c.last + 1).returning(tables.c.last)

    # --- write --------------------------------------------------------------------------------------------------------

    def append(self, connection: sa.Connection, key: str, frame: pl.DataFrame, known_at: datetime) -> Commit:
        """Add rows inside the caller's transaction, once per `key`: the same key again answers the first commit.

        Parameters
        ----------
        frame : rows to add, with the key and time columns; an empty frame answers the newest commit.
        known_at : the moment from which these rows count as known.
        """
        found = connection.execute(sa.select(commits.c.number, commits.c.rows).where(self._mine(commits), commits.c.key == key)).first()
        if found:
            return Commit(found.number, found.rows)
        if frame.is_empty():
            return Commit(self._last(connection), 0)
        # The update takes the table's row, so that commits of two writers get numbers in the order they become visible.
        number = connection.execute(self._next).scalar()
        if number is None:
            insert_once(connection, tables, {"name": self.name, "last": 0, "flushed": 0})
            number = connection.execute(self._next).scalar_one()
        payload = to_bytes(normal(frame))
        large = len(payload) > INLINE_BYTES
        connection.execute(
            sa.insert(commits).values(
                name=self.name,
                number=number,
                key=key,
                rows=frame.height,
                known_at=known_at,
                recorded_at=datetime.now(UTC),
                payload=None if large else payload,
                artifact=self._artifacts.put(payload) if large else None,
            )
        )
        return Commit(number, frame.height)

    def flush(self) -> int:
        """Move waiting commits into Delta, exactly once, and join small files now and then. Answers rows moved."""
        # Nobody else can flush this table meanwhile. Where the database can, others go on committing: their numbers come after
        # those read here. Should the lock be lost with the connection, Delta refuses the second of two equal transactions.
        with self._database.begin(f"flush {self.name}") as connection:
            waiting = self._waiting(connection, after=self._in_delta(connection))
            moved = 0
            if waiting:
                frame = pl.concat([rows for _, rows in waiting], how="diagonal_relaxed")
                self._write(frame, waiting[-1][0])
                seal(self.files)
                moved = frame.height
            # After a crash between the two, Delta already has the commits and only the record is behind.
            flushed = self._in_delta(connection)
            connection.execute(
                sa.update(commits)
                .where(self._mine(commits), commits.c.number <= flushed, commits.c.payload.is_not(None))
                .values(payload=None)
            )
            connection.execute(sa.update(tables).where(self._mine(tables)).values(flushed=flushed))
        return moved

    # --- keep and bring back ------------------------------------------------------------------------------------------

    @property
    def files(self) -> Files:
        """The table's own files."""
        return Files(self._url, Path("/"))

    def flushed(self, connection: sa.Connection) -> int:
        """Number of the last commit that the record knows to be in Delta."""
        return int(connection.execute(sa.select(tables.c.flushed).where(self._mine(tables))).scalar() or 0)

    def sizes(self, until: int) -> list[tuple[int, int]]:
        """(commit, rows) of what is in Delta, up to a commit, in order. Rows never change, so this holds for ever."""
        if (delta := self._open()) is None:
            return []
        with self._answering():
            numbers = self._scan(delta).filter(pl.col(COMMIT) <= until).group_by(COMMIT).len().collect(engine="streaming")
        return [(int(number), int(rows)) for number, rows in numbers.sort(COMMIT).rows()]

    def between(self, first: int, last: int) -> pl.DataFrame:
        """Every row that commits `first` to `last` put into Delta, by commit and key."""
        delta = self._open()
        assert delta is not None
        with self._answering():
            rows = self._scan(delta).filter(pl.col(COMMIT).is_between(first, last)).sort(COMMIT, *self.key)
            return rows.collect(engine="streaming")

    def refill(self, frame: pl.DataFrame, last: int) -> None:
        """Put rows that were kept elsewhere back into an empty Delta table; `last` is the newest commit among them."""
        self._write(frame, last)
        seal(self.files)

    def vacuum(self, *, dry_run: bool = False) -> list[int]:
        """Remove data files that Delta no longer reads, and those of a write that was killed. Answers their sizes, bytes."""
        if (delta := self._open()) is None:
            return []
        with self._answering():
            names = delta.vacuum(retention_hours=1, dry_run=True, enforce_retention_duration=False, full=True)
            found = [listed.size for name in names if (listed := self.files.look(name)) is not None]
            if found and not dry_run:
                delta.vacuum(retention_hours=1, dry_run=False, enforce_retention_duration=False, full=True)
                seal(self.files)
        return found

    def forget(self, before: datetime, *, dry_run: bool = False) -> int:
        """Let go rows of times before a moment that are in Delta, for logs that nobody has to keep for ever. Answers how many.

        The files that held them stay until `vacuum`, for those who are reading right now.
        """
        with self._database.begin(f"flush {self.name}"):  # nobody writes or joins its files meanwhile
            if (delta := self._open()) is None:
                return 0
            is_old = pl.col(self.time) < before
            with self._answering():
                count = int(self._scan(delta).filter(is_old).select(pl.len()).collect().item())
                if count and not dry_run:
                    micros = to_micros(before)
                    delta.delete(f'"{self.time}" < arrow_cast({micros}, \'Timestamp(Microsecond, Some("UTC"))\')')
                    self._sync(delta)
                    seal(self.files)
                    self._remembered = None
        return count

    def waiting(self, connection: sa.Connection) -> int:
        """How many commits wait in the record."""
        row = connection.execute(self._state).first()
        return int(row.last - row.flushed) if row else 0

    # --- read ---------------------------------------------------------------------------------------------------------

    def last_commit(self) -> int:
        """Number of the newest commit; 0 for an empty table."""
        with self._database.read() as connection:
            return self._last(connection)

    def rows(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        at: int | None = None,
        connection: sa.Connection | None = None,
    ) -> pl.DataFrame:
        """The newest row of each key, in order of time and key.

        Parameters
        ----------
        since, until : window of the time column, both inclusive.
        at : read as the table was after this commit.
        connection : read within the caller's transaction, so that several reads see one moment (and cost one transaction).

        Returns
        -------
        All columns, with `_commit` and `_known`; an empty frame without columns when nothing was ever added.
        """
        if connection is None:
            with self._database.read() as own:
                found = self._read(own, since)
        else:
            found = self._read(connection, since)
        return (found if at is None else found.at(at)).window(since, until)

    def where(self, **values: str) -> pl.DataFrame:
        """As `rows`, but only those whose key has these values, and only these are held in memory."""
        are_asked = [pl.col(name) == value for name, value in values.items()]
        with self._database.read() as connection:
            waiting = self._waiting(connection, after=0)
        delta = self._open()
        flushed = _flushed(delta)
        parts = [rows.filter(are_asked) for number, rows in waiting if number > flushed]
        if delta is not None:
            with self._answering():
                parts.insert(0, self._scan(delta).filter(are_asked).collect())
        found = pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame()
        return Remembered.of(self.key, self.time, found).newest

    def restated(self, connection: sa.Connection, *, since: datetime, until: datetime) -> pl.DataFrame:
        """Which rows of a window came in more than once: their time, and when the newest of them became known (`_known`)."""
        found = self._read(connection, since)
        versions = found.versions
        if versions.height == found.newest.height:
            return pl.DataFrame(schema={self.time: MOMENT, KNOWN: MOMENT})
        inside = versions.filter(pl.col(self.time).is_between(literal(since), literal(until)))
        counted = inside.group_by(_row=pl.struct(self.key)).agg(pl.col(self.time).last(), pl.col(KNOWN).max(), pl.len())
        return counted.filter(pl.col("len") > 1).select(self.time, KNOWN)

    def _read(self, connection: sa.Connection, since: datetime | None) -> Remembered:
        known = self._remembered
        row = connection.execute(self._state).first()
        if row is None:
            return Remembered.of(self.key, self.time, pl.DataFrame())
        if known and known.covers(since):
            if known.last == row.last:
                return known
            if known.last < row.last and row.flushed <= known.last:
                fresh = self._waiting(connection, after=known.last)
                # A flush between the two queries would leave a gap; then everything is read anew.
                if [number for number, _ in fresh] == list(range(known.last + 1, row.last + 1)):
                    return self._remember(known.with_newer([rows for _, rows in fresh], row.last), since)
        waiting = self._waiting(connection, after=0)
        # The waiting commits were read first: whatever is flushed meanwhile is then in Delta as well, and left out here.
        delta = self._open()
        flushed = _flushed(delta)
        parts = [rows for number, rows in waiting if number > flushed]
        if delta is not None:
            with self._answering():
                scan = self._scan(delta)
                parts.insert(0, (scan if since is None else scan.filter(pl.col(self.time) >= since)).collect())
        versions = pl.concat(parts, how="diagonal_relaxed", rechunk=True) if parts else pl.DataFrame()
        return self._remember(Remembered.of(self.key, self.time, versions, since, max(int(row.last), flushed)), since)

    def _remember(self, found: Remembered, since: datetime | None) -> Remembered:
        self._remembered = found.worth_keeping(since)
        return found

    # --- inside -------------------------------------------------------------------------------------------------------

    def _mine(self, table: sa.Table) -> sa.ColumnElement[bool]:
        return table.c.name == self.name

    def _last(self, connection: sa.Connection) -> int:
        return int(connection.execute(sa.select(tables.c.last).where(self._mine(tables))).scalar() or 0)

    def _in_delta(self, connection: sa.Connection) -> int:
        return max(_flushed(self._open()), 0)

    def _waiting(self, connection: sa.Connection, *, after: int) -> list[tuple[int, pl.DataFrame]]:
        query = (
            sa.select(commits)
            .where(self._mine(commits), commits.c.number > after, sa.or_(commits.c.payload.is_not(None), commits.c.artifact.is_not(None)))
            .where(commits.c.number > sa.select(tables.c.flushed).where(self._mine(tables)).scalar_subquery())
            .order_by(commits.c.number)
        )
        return [(row.number, self._decode(row)) for row in connection.execute(query)]

    def _decode(self, row: Any) -> pl.DataFrame:
        content = row.payload if row.payload is not None else self._artifacts.get(row.artifact)
        frame = from_bytes(content)
        if frame is None:
            raise TableCorrupt(self.name, row.number)
        height, known = frame.height, to_micros(row.known_at)
        return frame.hstack(
            [pl.Series(COMMIT, np.full(height, row.number)), pl.Series(KNOWN, np.full(height, known), pl.Int64).cast(MOMENT)]
        )

    def _open(self) -> DeltaTable | None:
        with self._answering():
            if self._delta is not None:
                self._delta.update_incremental()
                return self._delta
            try:
                # Opened at once and not asked for first: that question holds the interpreter until the store has answered.
                self._delta = DeltaTable(self._url, storage_options=DELTA if self._is_remote else None)
            except TableNotFoundError:
                return None
        return self._delta

    def _scan(self, delta: DeltaTable) -> pl.LazyFrame:
        return pl.scan_delta(delta, storage_options=POLARS if self._is_remote else None)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """What the libraries raise becomes StorageUnavailable."""
        try:
            yield
        except KeepwellError:
            raise
        except Exception as error:  # deltalake's errors share no root but Exception, and a damaged file makes Polars raise its own
            raise StorageUnavailable(self._url, problem_of(error)) from error

    def _write(self, frame: pl.DataFrame, number: int) -> None:
        how: dict[str, Any] = {"commit_properties": CommitProperties(app_transactions=[Transaction(APP, number)])}
        with self._answering():
            if (widened := self._widened(frame)) is not None:
                # Delta would cut 1.5 down to 1 to fit an older column of whole numbers: the older rows are widened instead.
                frame, how["mode"], how["schema_mode"] = widened, "overwrite", "overwrite"
            else:
                how["mode"], how["schema_mode"] = "append", "merge"
            if self._delta is None and self._is_remote:
                how["storage_options"] = DELTA
            try:
                write_deltalake(self._delta or self._url, frame, **how)
            except CommitFailedError:
                # The store's answer was lost, the commit was sent again and met itself: Delta knows its number, and that is enough.
                if _flushed(self._open()) < number:
                    raise
            delta = self._open()
            assert delta is not None
            self._sync(delta)
            if len(delta.file_uris()) >= COMPACT_FILES:
                delta.optimize.compact()
                self._sync(delta)
                delta.create_checkpoint()
                # Readers filter by commit number, not by Delta version, so old files serve only those reading right now.
                delta.vacuum(retention_hours=1, dry_run=False, enforce_retention_duration=False)

    def _widened(self, frame: pl.DataFrame) -> pl.DataFrame | None:
        """All rows with a type that holds old and new values, when a column's type has changed; None when none has."""
        delta = self._open()
        if delta is None:
            return None
        kinds = self._scan(delta).collect_schema()
        if all(kinds.get(name, kind) == kind for name, kind in frame.schema.items()):
            return None
        return pl.concat([self._scan(delta).collect(), frame], how="diagonal_relaxed")

    def _sync(self, delta: DeltaTable) -> None:
        # Delta syncs nothing itself; the waiting copies may only go once its files are on the disk.
        root = Path(self._url)
        if self._is_remote:
            return
        log = root / "_delta_log" / f"{delta.version():020}.json"
        added = [json.loads(line).get("add") for line in log.read_text("utf-8").splitlines()]
        for path in [*(root / file["path"] for file in added if file), log, log.parent, root]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _flushed(delta: DeltaTable | None) -> int:
    if delta is None:
        return 0
    return int(delta.transaction_version(APP) or 0)
