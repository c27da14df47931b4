"""Backups: many of them share one folder or object store, in which every file is kept once under its digest.

    backups/<name>.json        the manifest of one backup, written last: without it there is no backup
    files/<ab>/<sha256>        the bytes of all backups

A second backup writes only what is new. A kill at any moment leaves files that no manifest names, which the next backup
uses or `keep` removes.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from keepwell.errors import ArtifactCorrupt, ArtifactMissing, BackupCorrupt, BackupNotFound, KeepingBusy, KeepwellError
from keepwell.keeping.contents import Contents, Part, contents
from keepwell.keeping.records import Copy, Entry, Manifest, Told
from keepwell.orchestration import Context
from keepwell.storage import HEAD, ArtifactStore, Event, Files, digest_of, person, record_event

FOLDER = "backups"
IN_PROGRESS = timedelta(days=1)  # a file that no manifest names may belong to a backup that is being made


@dataclass(frozen=True)
class Backup:
    """A backup that was made: where, its name, what it holds, and how many bytes had to be written for it."""

    target: str
    name: str
    made_at: datetime
    files: int
    size: int
    written: int
    secrets: tuple[str, ...]
    damaged: dict[str, str]


@contextmanager
def alone(context: Context, act: str) -> Iterator[None]:
    """One backup or clean-up of a project at a time: what one copies the other may not remove.

    Raises
    ------
    KeepingBusy : another is at work.
    """
    context.home.mkdir(exist_ok=True)
    with open(context.home / "keeping.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KeepingBusy(context.folder, act) from None
        yield


def back_up(context: Context, target: str, *, keep: int | None = None, told: Told | None = None) -> Backup:
    """Copy the whole record as it is at this moment; cycles may run and a server may answer meanwhile.

    Parameters
    ----------
    target : a folder (relative ones count from where the process is) or an object-store URL.
    keep : remove all but this many of the model's newest backups afterwards, and the files that only they needed.

    Raises
    ------
    StorageUnavailable : a store does not answer; there is then no backup of this moment.
    KeepingBusy : another backup or clean-up is at work.
    """
    store = _Backups(target)
    with alone(context, "back up"):
        moment = datetime.now(UTC)
        held = contents(context)
        entries, damaged, written = store.keep(held, told)
        manifest = _manifest(context, moment, held, entries, damaged)
        name = store.finish(manifest)
        backup = Backup(target, name, moment, len(entries), manifest.size, written, manifest.secrets, manifest.damaged)
        _tell(context, backup)
        if keep is not None:
            store.forget(context.name, keep)
    return backup


def _manifest(context: Context, moment: datetime, held: Contents, entries: list[Entry], damaged: dict[str, str]) -> Manifest:
    everything = {**held.damaged, **damaged}
    return Manifest(context.name, moment, version("keepwell"), HEAD, held.counts, held.secrets, everything, tuple(entries))


def _tell(context: Context, backup: Backup) -> None:
    sentence = f"Backed up to {Files(backup.target, Path.cwd()).shown_url}: {backup.files:,} files, {backup.size / 1e6:,.1f} MB"
    facts = {"target": backup.target, "backup": backup.name, "bytes": backup.size, "damaged": backup.damaged}
    with context.database.begin() as connection:
        record_event(connection, context.name, f"backup/{backup.name}", Event("backed_up", backup.made_at, sentence, facts, person()))


def list_backups(target: str) -> list[str]:
    """Names of the complete backups, oldest first."""
    if "://" not in target and not Path(target).is_dir():
        return []
    return _Backups(target).names()


def open_backup(target: str, name: str | None = None) -> Copy:
    """A backup to read from; default the newest.

    Raises
    ------
    BackupNotFound : there is no complete one.
    BackupCorrupt : its manifest is not what was written.
    """
    names = list_backups(target)
    if not names or (name is not None and name not in names):
        raise BackupNotFound(target, name, names)
    return _Backups(target).open(name or names[-1])


def flaws_of(copy: Copy, told: Told | None = None) -> dict[str, str]:
    """Read every file of a copy: name -> what is wrong with it."""
    found: dict[str, str] = {}
    for done, entry in enumerate(copy.manifest.entries, 1):
        try:
            copy.read(entry)
        except BackupCorrupt as error:
            found[entry.name] = str(error.facts["problem"])
        if told is not None:
            told(done, len(copy.manifest.entries))
    return found


class _Backups:
    """A place that holds backups."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._files = Files(target, Path.cwd())
        self._bytes = ArtifactStore(f"{target.rstrip('/')}/files", Path.cwd())

    def names(self) -> list[str]:
        """Complete backups, oldest first."""
        found = [listed.name.removeprefix(f"{FOLDER}/") for listed in self._files.list(FOLDER)]
        return sorted((name.removesuffix(".json") for name in found if name.endswith(".json")), key=_made)

    def open(self, name: str) -> Copy:
        content = self._files.get(f"{FOLDER}/{name}.json")
        try:
            if digest_of(content)[:16] != name.rpartition("-")[2]:
                raise ValueError("its bytes have been changed")
            manifest = Manifest.from_bytes(content)
        except ValueError as error:
            raise BackupCorrupt(self.target, f"{FOLDER}/{name}.json", str(error)) from None
        return Copy(f"{self.target} ({name})", manifest, self._read)

    def _read(self, entry: Entry) -> bytes:
        try:
            return self._bytes.get(entry.digest)
        except ArtifactMissing:
            raise BackupCorrupt(self.target, entry.name, f"files/{entry.digest[:2]}/{entry.digest} is missing") from None
        except ArtifactCorrupt:
            problem = f"the bytes of files/{entry.digest[:2]}/{entry.digest} have been changed"
            raise BackupCorrupt(self.target, entry.name, problem) from None

    def keep(self, held: Contents, told: Told | None) -> tuple[list[Entry], dict[str, str], int]:
        """Write the parts that are not there yet. Answers all entries, what could not be copied, and the bytes written."""
        have = {found.name: found.size for found in self._bytes.list()}
        entries: list[Entry] = []
        damaged: dict[str, str] = {}
        written = 0
        for done, part in enumerate(held.parts, 1):
            try:
                entry, size = self._keep_one(part, have)
                entries.append(entry)
                written += size
            except (ArtifactMissing, ArtifactCorrupt) as error:
                damaged[part.name] = error.message
            if told is not None:
                told(done, len(held.parts))
        return entries, damaged, written

    def _keep_one(self, part: Part, have: dict[str, int]) -> tuple[Entry, int]:
        if part.digest is not None and part.size is not None and have.get(part.digest) == part.size:
            return Entry(part.name, part.digest, part.size), 0
        content = part.read()
        digest = digest_of(content)
        if have.get(digest) == len(content):
            return Entry(part.name, digest, len(content)), 0
        self._bytes.replace(digest, content)
        have[digest] = len(content)
        return Entry(part.name, digest, len(content)), len(content)

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest, which makes it a backup. Its name holds its digest, so that it vouches for itself."""
        content = manifest.to_bytes()
        name = f"{manifest.model}-{manifest.made_at:%Y%m%dT%H%M%S.%f}Z-{digest_of(content)[:16]}"
        self._files.put(f"{FOLDER}/{name}.json", content)
        return name

    def forget(self, model: str, keep: int) -> None:
        """Remove the model's older backups, and files that no backup names and that are too old to belong to one in progress."""
        names = self.names()
        mine = [name for name in names if name.rsplit("-", 2)[0] == model]
        for name in mine[: max(len(mine) - keep, 0)]:
            self._files.remove(f"{FOLDER}/{name}.json")
            names.remove(name)
        try:
            needed = {entry.digest for name in names for entry in self.open(name).manifest.entries}
        except KeepwellError:
            return  # a manifest that cannot be read may need any file
        since = datetime.now(UTC) - IN_PROGRESS
        for found in list(self._bytes.list()):
            if found.name not in needed and found.modified < since:
                self._bytes.remove(found.name)


def _made(name: str) -> str:
    return name.rsplit("-", 2)[-2]
