"""Is what is kept still what was written? Artifacts, table files, waiting commits, journal segments, the database's own pages.

The plain look reads what serves now and lists the rest. The deep one reads everything, so that a changed byte is found in
any file, and says by name which.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from keepwell.errors import ArtifactCorrupt, ArtifactMissing, KeepwellError
from keepwell.keeping import tables
from keepwell.keeping.records import Finding
from keepwell.orchestration import Context
from keepwell.registry import digests_of, list_versions, swept_versions
from keepwell.serving import closed_segments, read_segment
from keepwell.storage import flaws, list_events

MANY_FLUSHES = 4  # this many times the flush threshold waiting means that flushing does not work
FROM_BACKUP = "`keepwell restore` brings it back from a backup, into another folder; copy it from there."


def artifacts(context: Context, *, deep: bool) -> Iterator[Finding]:
    """Every file that a version needs is there; the champion's (`deep`: all that anything names) has its bytes."""
    with context.database.read() as connection:
        versions, gone = list_versions(connection, context.name), swept_versions(connection, context.name)
        named = tables.named(connection, model=context.name) if deep else set()
    champion = context.champion()
    kept = [version for version in versions if version.number not in gone]
    listed = {found.name for found in context.artifacts.list()}
    expected: dict[str, str] = {}
    to_read: set[str] = named & listed
    for version in kept:
        for what, digest in digests_of(version):
            expected.setdefault(digest, f"{what} of version {version.number}")
            if digest not in listed or version.number == champion:
                to_read.add(digest)
    broken = 0
    for digest in sorted(to_read):
        try:
            context.artifacts.get(digest)
        except (ArtifactCorrupt, ArtifactMissing) as error:
            broken += 1
            cure = "Restore the artifacts folder from a backup, or this file: its name is its digest."
            yield Finding("artifacts", "wrong", f"{expected.get(digest) or _named_by(context, digest)}: {error.message}", cure)
    if not broken:
        swept = f"; the files of {len(gone)} were cleaned up" if gone else ""
        read = f"{len(to_read)} read" if deep else "those of the champion read, the others listed (`keepwell doctor --deep` reads all)"
        yield Finding("artifacts", "ok", f"all {len(expected)} that {len(kept)} versions need are there, {read}{swept}")


def _named_by(context: Context, digest: str) -> str:
    with context.database.read() as connection:
        return f"what {tables.where_named(connection, context.name, digest)} names"


def versioned(context: Context, now: datetime, *, deep: bool) -> Iterator[Finding]:
    """Each versioned table reads; its files are those that were written."""
    limit = context.settings.store.flush_commits
    for table in context.tables:
        name = table.name.rpartition("/")[2]
        found = flaws(table.files, deep=deep)
        broken = [Finding(name, "wrong", f"{flaw.name} of table {table.name}: {flaw.problem}", FROM_BACKUP) for flaw in found]
        yield from broken
        try:
            table.rows(since=None if deep else now - timedelta(days=1))
            with context.database.read() as connection:
                waiting = table.waiting(connection)
        except Exception as error:  # damaged files make Polars and Delta raise kinds of their own
            yield Finding(name, "wrong", f"it cannot be read: {error}", "Bring the storage back, or restore it from a backup.")
            continue
        if waiting > MANY_FLUSHES * limit:
            cure = "Look at the tables' storage: the next cycle that can write it moves them."
            yield Finding(name, "note", f"{waiting} commits wait in the record, {limit} are usual", cure)
        elif not broken:
            yield Finding(name, "ok", f"reads; {table.last_commit()} commits, {waiting} of them still in the record")


def journal(context: Context) -> Iterator[Finding]:
    """Closed segments read to their end, and do not pile up."""
    folder = context.journal_folder
    closed = closed_segments(folder) if folder.is_dir() else []
    written = sum(1 for path in folder.glob("*.open")) if folder.is_dir() else 0
    broken = 0
    for segment in closed:
        try:
            list(read_segment(segment))
        except KeepwellError as error:
            broken += 1
            yield Finding("journal", "wrong", error.message, FROM_BACKUP)
    if sealed := sum(segment.is_sealed for segment in closed):
        message = f"{sealed} closed segments are not in the ledger yet"
        yield Finding("journal", "note", message, "`keepwell predict` or a running server moves them.")
    elif written:
        yield Finding("journal", "ok", f"{written} segments are being written, or wait for a server that ended")
    elif not broken:
        yield Finding("journal", "ok", "nothing waits in it")


def record(context: Context, now: datetime, *, deep: bool) -> Iterator[Finding]:
    """The database: its shape, its pages, its clock, and what piles up in it."""
    database = context.database
    yield Finding("record", "ok", f"schema {database.revision()}, the newest, at {database.shown_url}")
    with database.read() as connection:
        problems = tables.page_faults(connection, deep=deep)
        newest = tables.newest_event(connection, context.name)
        before = now - timedelta(days=context.settings.retention.workflow_days)
        stale = tables.forget_workflows(connection, context.name, before, dry_run=True)
    for problem in problems:
        cure = "`keepwell restore` brings the record back from a backup."
        yield Finding("record", "wrong", f"the database file is damaged: {problem}", cure)
    if newest is not None and newest > now + timedelta(minutes=5):
        message = f"the record's newest line was written at {newest:%Y-%m-%d %H:%M}, which this machine's clock has not reached"
        yield Finding("clock", "wrong", message, "Set the clock: cycles and leases go by it.")
    else:
        yield Finding("clock", "ok", "behind nothing that is on record")
    if stale:
        yield Finding("workflows", "note", f"rows of {stale:,} workflows that ended long ago are kept", "`keepwell gc` removes them.")


def backups(context: Context, now: datetime) -> Iterator[Finding]:
    """How old the newest backup is."""
    with context.database.read() as connection:
        made = list_events(connection, context.name, kinds=("backed_up",), limit=1)
    if not made:
        yield Finding("backup", "note", "there is none", "`keepwell backup FOLDER` makes one; put it on another disk.")
        return
    age_days = (now - made[0].as_of) / timedelta(days=1)
    message = f"the newest was made {made[0].as_of:%Y-%m-%d %H:%M}, as {made[0].facts['backup']}"
    for what, problem in made[0].facts["damaged"].items():
        yield Finding("backup", "wrong", f"the newest has no {what}: {problem}", "An older backup may have it.")
    if age_days > context.settings.retention.backup_days:
        yield Finding("backup", "note", message, "`keepwell backup` makes another; only what is new is written.")
    else:
        yield Finding("backup", "ok", message)
