"""`keepwell gc`: remove what no kept version needs, by the rules of ``[retention]``; say what, and how much it was.

Mark and sweep. First the record says which versions go. Then every digest that stands anywhere in the rest of the record is
live, however it got there, and only files that the record once named, and does not need any more, are removed. An artifact
younger than `retention.artifact_hours` is never removed: a build that runs now may not have named it yet.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keepwell.keeping import tables
from keepwell.keeping.backup import alone
from keepwell.keeping.records import Freed
from keepwell.orchestration import Context
from keepwell.registry import CHAMPION, Swept, Version, aliases_now, list_alias_changes, list_versions, record_swept, swept_versions
from keepwell.settings import RetentionSection
from keepwell.storage import Event, person, record_event
from keepwell.training import list_runs

# What stays of a version whose files go: small, and it says what the version was.
STAYS = ("code", "contract", "settings", "environment", "card")
SETTLING_S = 1.0  # longer than a build needs between finding a result to use again and naming it


def versions_to_sweep(versions: Sequence[Version], aliased: Collection[int], rules: RetentionSection, now: datetime) -> dict[int, str]:
    """Which versions' files may go, and by which rule. One that ever was champion stays.

    Parameters
    ----------
    aliased : numbers that ever were champion, or have an alias now.
    now : the moment that ages are counted to; a version's age is that of the moment it was built for.
    """
    passed = [version.number for version in versions if version.passed]
    newest = set(passed[max(len(passed) - rules.versions, 0) :])
    found: dict[int, str] = {}
    for version in versions:
        age_days = (now - version.as_of) / timedelta(days=1)
        if version.number in aliased:
            continue
        if not version.passed and age_days > rules.refused_days:
            found[version.number] = f"the gate refused it more than {rules.refused_days:g} days ago"
        elif version.passed and age_days > rules.days and version.number not in newest:
            found[version.number] = f"it is older than {rules.days:g} days, and the {rules.versions} newest that passed are kept"
    return found


def clean(context: Context, *, now: datetime | None = None, dry_run: bool = False, orphans: bool = False) -> Freed:
    """Remove what the rules let go; the record itself stays, and says what was removed.

    Parameters
    ----------
    dry_run : only tell.
    orphans : remove also old artifacts that no row of this record ever named, such as those of a build that was killed. Only
        when no other record keeps its artifacts in the same place.

    Raises
    ------
    KeepingBusy : a backup or another clean-up is at work.
    StorageUnavailable : a store does not answer; what was removed by then stays removed, and the next time goes on.
    """
    now = now or datetime.now(UTC)
    with alone(context, "clean up"):
        rules = context.settings.retention
        going = _sweep_versions(context, rules, now, dry_run)
        removable, unnamed = _removable(context, set(going), now)
        freed: dict[str, list[int]] = {
            "versions' files": list(_remove(context, removable, dry_run)),
            "files nobody named": list(_remove(context, unnamed, dry_run)) if orphans else [],
            "unpacked code": list(_remove_code(context, going, dry_run)),
        }
        forgotten_rows = 0
        if rules.predictions_days is not None:
            until = now - timedelta(days=rules.predictions_days)
            forgotten_rows = sum(table.forget(until, dry_run=dry_run) for table in (context.predictions, context.shadows))
        for table in context.tables:
            freed.setdefault("old table files", []).extend(table.vacuum(dry_run=dry_run))
        with context.database.begin() as connection:
            before = now - timedelta(days=rules.workflow_days)
            forgotten = tables.forget_workflows(connection, context.name, before, dry_run=dry_run)
        sizes = {name: sum(bytes_) for name, bytes_ in freed.items()}
        counts = {name: len(bytes_) for name, bytes_ in freed.items()} | {"workflow rows": forgotten, "old predictions": forgotten_rows}
        result = Freed(dry_run, sizes, counts, going)
        if not dry_run and any(counts.values()):
            _tell(context, result, now)
    return result


def _sweep_versions(context: Context, rules: RetentionSection, now: datetime, dry_run: bool) -> dict[int, str]:
    """Decide, and put it on record before any file goes. Answers the versions of this time."""
    with context.database.begin() as connection:
        versions = list_versions(connection, context.name)
        ever = {change.number for change in list_alias_changes(connection, context.name, CHAMPION) if change.number is not None}
        aliased = ever | set(aliases_now(connection, context.name).values())
        gone = swept_versions(connection, context.name)
        runs = list_runs(connection, context.name)
        young = {run.run for run in runs if run.begun > now - timedelta(hours=rules.artifact_hours)}
        judged = [version for version in versions if version.run not in young]  # one that was just made may be promoted next
        going = {number: rule for number, rule in versions_to_sweep(judged, aliased, rules, now).items() if number not in gone}
        if dry_run:
            return going
        for number, rule in going.items():
            record_swept(connection, context.name, Swept(number, now, rule))
        old = now - timedelta(days=rules.refused_days)
        failed = {run.run for run in runs if run.status == "failed" and run.as_of < old}
        tables.sweep_steps(connection, context.name, failed | {version.run for version in versions if version.number in going})
        is_building = any(run.status == "running" for run in runs)
    if going and is_building:
        time.sleep(SETTLING_S)
    return going


def _removable(context: Context, going: set[int], now: datetime) -> tuple[dict[str, int], dict[str, int]]:
    """(artifacts that the record names and does not need, old artifacts that it does not name), digest -> bytes."""
    young = now - timedelta(hours=context.settings.retention.artifact_hours)
    listed = [found for found in context.artifacts.list() if found.modified < young]
    with context.database.read() as connection:
        gone = going | set(swept_versions(connection, context.name))
        runs = {version.run for version in list_versions(connection, context.name) if version.number in gone}

        def version(row: tables.Row) -> tables.Row:
            is_gone = row["model"] == context.name and row["number"] in gone
            return {name: row[name] for name in STAYS} if is_gone else row

        def step(row: tables.Row) -> tables.Row:
            is_gone = row["identity"].startswith(tables.SWEPT) or (row["model"] == context.name and row["run"] in runs)
            return {} if is_gone else row

        def run(row: tables.Row) -> tables.Row:
            return {} if row["model"] == context.name and row["run"] in runs else row

        live = tables.named(connection, {"versions": version, "runs": run, "steps": step, "commits": tables.without_flushed(connection)})
        ever = tables.named(connection)
    sizes = {found.name: found.size for found in listed if found.name not in live}
    return (
        {digest: size for digest, size in sizes.items() if digest in ever},
        {digest: size for digest, size in sizes.items() if digest not in ever},
    )


def _remove(context: Context, digests: dict[str, int], dry_run: bool) -> Iterator[int]:
    for digest, size in digests.items():
        if not dry_run:
            context.artifacts.remove(digest)
        yield size


def _remove_code(context: Context, going: Collection[int], dry_run: bool) -> Iterator[int]:
    """Unpacked copies of code that neither the project nor a kept version has. They are made again when needed."""
    with context.database.read() as connection:
        gone = {*going, *swept_versions(connection, context.name)}
        kept = {version.code[:16] for version in list_versions(connection, context.name) if version.number not in gone}
    cache = context.home / "code"
    for folder in cache.iterdir() if cache.is_dir() else ():
        if folder.is_dir() and len(folder.name) == len(context.code.digest[:16]) and folder.name not in kept | {context.code.digest[:16]}:
            yield _size(folder)
            if not dry_run:
                shutil.rmtree(folder, ignore_errors=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _tell(context: Context, freed: Freed, now: datetime) -> None:
    kinds = ", ".join(f"{count:,} {name}" for name, count in freed.files.items() if count)
    sentence = f"Cleaned up: {kinds}; {freed.total / 1e6:,.1f} MB"
    event = Event("cleaned", now, sentence, {"bytes": freed.bytes, "files": freed.files}, person())
    with context.database.begin() as connection:
        record_event(connection, context.name, f"cleaned/{now.isoformat()}", event)
