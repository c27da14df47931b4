"""Bring a record back from a backup or an archive: into an empty place, whole or not at all."""

from __future__ import annotations

import io
import json
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from keepwell.errors import RestoreRefused
from keepwell.keeping import tables
from keepwell.keeping.placing import into_place, refuse_occupied, refuse_too_large, staged
from keepwell.keeping.records import Copy, Entry, Manifest, Restored, Told
from keepwell.keeping.verifying import verify
from keepwell.settings import FILE, PREFIX, StoreSection
from keepwell.storage import COMMIT, ArtifactStore, Database, Event, Table, person, record_event


def restore(
    copy: Copy,
    folder: Path,
    *,
    stores: Mapping[str, str] | None = None,
    check: bool = False,
    replace: bool = False,
    dry_run: bool = False,
    told: Told | None = None,
) -> Restored:
    """Make a project folder of a copy.

    Everything is put together beside `folder` first and moved into place when it is complete, so a kill or a damaged file
    leaves nothing half restored.

    Parameters
    ----------
    folder : made when missing; files that are there already must be the same, or `replace` must be given.
    stores : settings of ``[store]``; default the folder's own embedded ones, whatever the copy's settings say, so that a
        drill never touches the stores it was made from. They are written to `.env` when the copy's settings differ.
    check : prove that what was restored works: see `verify`. Nothing is put in place when it does not.
    replace : move files and a record that are there aside, to `<folder>/.keepwell-before-<time>`.
    dry_run : do everything, then remove it again.

    Raises
    ------
    RestoreRefused : something is there that would be overwritten.
    BackupCorrupt : a file of the copy is not what was kept, or what was restored is not what was copied.
    StorageUnavailable : a store cannot be written.
    """
    folder = folder.resolve()
    # A trial uses the embedded stores: it must leave nothing behind in any other.
    stores = {**StoreSection().model_dump(include={"database", "tables", "artifacts"}), **({} if dry_run else stores or {})}
    if not dry_run and not replace:
        refuse_occupied(copy.manifest, folder)
    stage = staged(folder)
    try:
        refuse_too_large(copy.manifest, stage)
        _fill(copy, stage, stores, told)
        verified = verify(stage, copy, stores) if check else ()
        if dry_run:
            return _restored(copy, folder, verified, None)
        _record(copy, stage, stores)
        return _restored(copy, folder, verified, into_place(stage, folder))
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _restored(copy: Copy, folder: Path, verified: tuple[str, ...], aside: Path | None) -> Restored:
    manifest = copy.manifest
    return Restored(
        folder=str(folder),
        model=manifest.model,
        files=len(manifest.entries),
        size=manifest.size,
        counts=manifest.counts,
        secrets=manifest.secrets,
        verified=verified,
        aside=str(aside) if aside else None,
    )


# --- put it together --------------------------------------------------------------------------------------------------


def _fill(copy: Copy, stage: Path, stores: Mapping[str, str], told: Told | None) -> None:
    """The rows of the record come last, in one transaction: in a database outside the folder, too, it is all or nothing."""
    manifest = copy.manifest
    done = 0

    def read(entry: Entry) -> bytes:
        nonlocal done
        done += 1
        if told is not None:
            told(done, len(manifest.entries))
        return copy.read(entry)

    for entry in manifest.under("project"):
        _write(stage / entry.name.removeprefix("project/"), read(entry))
    _write_stores(stage, stores)
    journal = stage / StoreSection().journal
    for entry in manifest.under("journal"):
        _write(journal / entry.name.removeprefix("journal/"), read(entry))
    artifacts = ArtifactStore(stores["artifacts"], stage)
    for entry in manifest.under("artifacts"):
        artifacts.put(read(entry))
    record = {name: [row for entry in manifest.under(f"record/{name}") for row in _rows(read(entry))] for name in _names(manifest)}
    record = tables.upgraded(record, manifest.model, manifest.schema)
    database = Database(stores["database"], stage)
    try:
        with database.read() as connection:
            if any(tables.count(connection, name, manifest.model) for name in tables.names()):
                cure = "Name an empty database; rows of another model in it are no hindrance."
                raise RestoreRefused(database.shown_url, f"it has a record of '{manifest.model}' already", cure)
        _fill_tables(manifest, read, database, artifacts, stores["tables"], stage, record.get("tables", []))
        with database.begin() as connection:
            # A database that held this model before may remember its work, and would answer for cycles that begin anew.
            tables.forget_workflows(connection, manifest.model)
            tables.add_record(connection, record)
    finally:
        database.close()


def _names(manifest: Manifest) -> list[str]:
    return sorted({entry.name.split("/")[1] for entry in manifest.under("record")})


def _rows(content: bytes) -> Iterator[tables.Row]:
    return (json.loads(line) for line in content.decode().splitlines())


def _fill_tables(
    manifest: Manifest,
    read: Callable[[Entry], bytes],
    database: Database,
    artifacts: ArtifactStore,
    root: str,
    stage: Path,
    states: list[tables.Row],
) -> None:
    root = root if "://" in root else str((stage / root).resolve())
    flushed = {row["name"]: row["flushed"] for row in states}
    for kind in sorted({entry.name.split("/")[1] for entry in manifest.under("tables")}):
        name = f"{manifest.model}/{kind}"
        table = Table(database, artifacts, root, name, (), "")
        if table.sizes(flushed[name]):
            raise RestoreRefused(root, f"there are rows of {name} already", "Name a folder or prefix without them.")
        parts = manifest.under(f"tables/{kind}")
        for part in parts:
            rows = pl.read_parquet(io.BytesIO(read(part)))
            table.refill(rows, flushed[name] if part is parts[-1] else int(rows[COMMIT].max()))  # type: ignore[arg-type]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_stores(stage: Path, stores: Mapping[str, str]) -> None:
    """Where the record is now, into `.env`, unless the settings say the same."""
    said = tomllib.loads((stage / FILE).read_text("utf-8")).get("store", {})
    default = StoreSection()
    now = {**stores, "journal": default.journal}
    lines = [f"{PREFIX}STORE__{name.upper()}='{value}'\n" for name, value in now.items() if said.get(name, getattr(default, name)) != value]
    if lines:
        (stage / ".env").touch(mode=0o600)  # it may hold a password
        (stage / ".env").write_text("# Where the restored record is.\n" + "".join(lines), "utf-8")


def _record(copy: Copy, stage: Path, stores: Mapping[str, str]) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    sentence = f"Restored from {copy.where}, made {copy.manifest.made_at:%Y-%m-%d %H:%M}"
    database = Database(stores["database"], stage)
    with database.begin() as connection:
        told = Event("restored", now, sentence, {"from": copy.where, "made_at": copy.manifest.made_at.isoformat()}, person())
        record_event(connection, copy.manifest.model, f"restored/{now.isoformat()}", told)
    database.close()
