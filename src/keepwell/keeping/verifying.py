"""Does what was restored work? Not only: are its bytes right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keepwell.errors import BackupCorrupt, KeepwellError
from keepwell.keeping import tables
from keepwell.keeping.records import Copy
from keepwell.orchestration import Context
from keepwell.registry import digests_of, list_versions, swept_versions
from keepwell.settings import StoreSection
from keepwell.storage import Table


def verify(folder: Path, copy: Copy, stores: Mapping[str, str]) -> tuple[str, ...]:
    """Open the project and prove it: every count, every version's files and table commits, the champion's answers.

    Runs the project's own code. Answers what was proved, in words.

    Raises
    ------
    BackupCorrupt : something is not as the copy says.
    """
    context = Context.open(folder, {"store": {**stores, "journal": StoreSection().journal}})
    try:
        return (_counts(context, copy), _files(context, copy), _champion(context, copy))
    except BackupCorrupt:
        raise
    except KeepwellError as error:
        raise BackupCorrupt(copy.where, f"what was restored of '{copy.manifest.model}'", error.message) from error
    finally:
        context.database.close()


def _counts(context: Context, copy: Copy) -> str:
    counts = copy.manifest.counts
    with context.database.read() as connection:
        found = {name: tables.count(connection, name, context.name) for name in tables.names()}
        for table in context.tables:
            sizes = table.sizes(table.flushed(connection))
            found[f"tables/{table.name.rpartition('/')[2]}"] = sum(rows for _, rows in sizes)
    for name, rows in found.items():
        if rows != counts.get(name, 0):
            raise BackupCorrupt(copy.where, name, f"{counts.get(name, 0)} rows were copied, {rows} are there")
    return f"{sum(found.values()):,} rows of {len(found)} tables, as many as were copied"


def _files(context: Context, copy: Copy) -> str:
    with context.database.read() as connection:
        versions, gone = list_versions(connection, context.name), swept_versions(connection, context.name)
    kept = [version for version in versions if version.number not in gone]
    champion = context.champion()
    for version in kept:
        for what, digest in digests_of(version):
            try:
                context.artifacts.get(digest)
            except KeepwellError as error:
                raise BackupCorrupt(copy.where, f"the {what} of version {version.number}", error.message) from error
        for table in (context.observations, context.labels):
            name = table.name.rpartition("/")[2]
            if (commit := version.facts.get(name, 0)) and not _reads(table, commit, whole=version.number == champion):
                raise BackupCorrupt(copy.where, f"{name} at commit {commit}, which version {version.number} names", "it is not there")
    return f"every file and table commit of {len(kept)} versions"


def _reads(table: Table, commit: int, *, whole: bool) -> bool:
    return commit <= table.last_commit() and (not whole or not table.rows(at=commit).is_empty())


def _champion(context: Context, copy: Copy) -> str:
    number = context.champion()
    if number is None:
        return "no version serves, so none was asked"
    try:
        context.predictor(number)
    except KeepwellError as error:
        raise BackupCorrupt(copy.where, f"the champion, version {number}", error.message) from error
    return f"version {number}, the champion, loads and answers its golden rows as it did when it was built"
