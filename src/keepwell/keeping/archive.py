"""A whole model as one open file: a zip of JSON Lines, Parquet, TOML, Python and model files, with a manifest.

The form inside is that of `contents`; `docs/archive.md` documents it for other tools.
"""

from __future__ import annotations

import os
import zipfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from keepwell.errors import ArchiveInvalid, ArtifactCorrupt, ArtifactMissing, BackupCorrupt, StorageUnavailable
from keepwell.keeping.backup import alone
from keepwell.keeping.contents import contents
from keepwell.keeping.records import MANIFEST, Copy, Entry, Manifest, Told
from keepwell.orchestration import Context
from keepwell.storage import HEAD, digest_of

MOST_MANIFEST_BYTES = 256 << 20
MOST_ENTRIES = 2_000_000
PACKED = (".jsonl", ".py", ".toml", ".md", ".txt")  # the others are compressed already


def export(context: Context, file: Path, *, told: Told | None = None) -> Manifest:
    """Write a model's whole record into one file; cycles may run meanwhile. A kill leaves no file of that name.

    Raises
    ------
    StorageUnavailable : the file cannot be written.
    KeepingBusy : a backup or clean-up is at work.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with alone(context, "export"), open(partial, "wb") as stream:
            manifest = _write(context, stream, told)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except OSError as error:
        raise error if isinstance(error, StorageUnavailable) else StorageUnavailable(str(file), str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def _write(context: Context, stream: object, told: Told | None) -> Manifest:
    moment = datetime.now(UTC).replace(microsecond=0)
    held = contents(context)
    entries: list[Entry] = []
    damaged = dict(held.damaged)
    with zipfile.ZipFile(stream, "w", allowZip64=True) as archive:  # type: ignore[call-overload]
        for done, part in enumerate(held.parts, 1):
            try:
                content = part.read()
            except (ArtifactMissing, ArtifactCorrupt) as error:
                damaged[part.name] = error.message
                continue
            entries.append(Entry(part.name, digest_of(content), len(content)))
            how = zipfile.ZIP_DEFLATED if part.name.endswith(PACKED) else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(part.name, moment.timetuple()[:6]), content, how)
            if told is not None:
                told(done, len(held.parts))
        manifest = Manifest(context.name, moment, version("keepwell"), HEAD, held.counts, held.secrets, damaged, tuple(entries))
        archive.writestr(zipfile.ZipInfo(MANIFEST, moment.timetuple()[:6]), manifest.to_bytes(), zipfile.ZIP_DEFLATED)
    return manifest


def open_archive(file: Path) -> Copy:
    """An archive to import from. What it says is not believed: names, sizes and digests are checked, and nothing is unpacked
    outside the files that a record has.

    Raises
    ------
    ArchiveInvalid : it is no archive of a model, or holds what it must not.
    """
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # zipfile raises many kinds for changed bytes
        raise ArchiveInvalid(file, f"it is no zip file ({error})") from None
    listed = archive.infolist()
    names = [info.filename for info in listed]
    if len(listed) > MOST_ENTRIES or len(set(names)) != len(names) or MANIFEST not in names:
        raise ArchiveInvalid(file, f"it has no {MANIFEST}, or a file twice, or too many files")
    sizes = {info.filename: info.file_size for info in listed}
    try:
        if sizes[MANIFEST] > MOST_MANIFEST_BYTES:
            raise ValueError("its manifest is too large")
        manifest = Manifest.from_bytes(_bounded(archive, MANIFEST, sizes[MANIFEST]))
    except Exception as error:  # zlib too
        raise ArchiveInvalid(file, f"its manifest cannot be read: {error}") from None
    if sizes != {**{entry.name: entry.size for entry in manifest.entries}, MANIFEST: sizes[MANIFEST]}:
        raise ArchiveInvalid(file, "the files in it are not those that its manifest names")

    def read(entry: Entry) -> bytes:
        try:
            content = _bounded(archive, entry.name, entry.size)
        except Exception as error:  # zipfile and zlib raise many kinds for changed bytes
            raise BackupCorrupt(str(file), entry.name, f"it cannot be unpacked: {error}") from None
        if digest_of(content) != entry.digest:
            raise BackupCorrupt(str(file), entry.name, "its bytes have been changed")
        return content

    return Copy(str(file), manifest, read)


def _bounded(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """A member's bytes, never more than were announced."""
    with archive.open(name) as member:
        content = member.read(size + 1)
    if len(content) != size:
        raise ValueError(f"{name} does not unpack to the {size} bytes that were announced")
    return content
