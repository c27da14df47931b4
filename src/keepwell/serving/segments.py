"""The journal's files: how records lie in a segment, and which segments nobody writes to any more.

    <writer>-<number>.open      the segment that the writer writes, or wrote when it died
    <writer>-<number>.sealed    a finished segment; every byte of it was synced before it got this name

A segment is MAGIC and then frames: length, CRC-32 of the payload, CRC-32 of these two, payload. The header has its own
check so that a changed length is told from a torn write: a write that was cut off leaves the beginning of a right frame
and nothing behind it, which only an unsealed segment of a dead writer may have. Everything else is corruption.

A sealed segment ends with a mark: a header whose length is END, which no record has, and whose second number is the count of
records. It is written and synced before the segment gets its name, so that a file cut exactly between two records is not
taken for a shorter one. An unsealed segment may have it: its writer died, or could not rename it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from keepwell.errors import JournalCorrupt, StorageUnavailable
from keepwell.serving.writers import is_alive, writer_of

MAGIC = b"KWJRNL1\n"
OPEN, SEALED = ".open", ".sealed"
_SIZES = struct.Struct("<II")
_CHECK = struct.Struct("<I")
_HEADER_BYTES = _SIZES.size + _CHECK.size
END = 0xFFFFFFFF


@dataclass(frozen=True)
class Segment:
    """A closed segment: nobody writes to it any more, so its records are final."""

    id: str
    path: Path

    @property
    def is_sealed(self) -> bool:
        """False when its writer died before it could finish it: the tail may be torn."""
        return self.path.suffix == SEALED


def pack(record: bytes) -> bytes:
    """One record as a frame."""
    sizes = _SIZES.pack(len(record), crc32(record))
    return b"".join((sizes, _CHECK.pack(crc32(sizes)), record))


def end_mark(records: int) -> bytes:
    """What stands behind the last record of a sealed segment."""
    sizes = _SIZES.pack(END, records)
    return sizes + _CHECK.pack(crc32(sizes))


class OpenSegment:
    """The segment file that is being written; made with its name already lasting in the folder."""

    def __init__(self, folder: Path, segment_id: str) -> None:
        self.path = folder / f"{segment_id}{OPEN}"
        self.length, self.records = 0, 0
        self._is_torn = False
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            sync_folder(folder)
        except OSError:
            self._remove()
            raise

    def write(self, frames: bytes, records: int) -> None:
        """Add the frames of so many records and sync; when that fails nothing of them stays."""
        if self._is_torn:
            self._mend()
        added = frames if self.length else MAGIC + frames
        with self._cut_back_unless_done():
            self._append(added)
        if os.fstat(self._descriptor).st_nlink == 0:
            os.close(self._descriptor)
            raise FileNotFoundError(errno.ENOENT, "the segment was removed while it was written", str(self.path))
        self.length += len(added)
        self.records += records

    def seal(self) -> None:
        """End it with the name that says that every byte is synced; an empty one goes. When this fails it stays in use."""
        if self._is_torn:
            self._mend()
        if self.length == 0:
            self._remove()
            return
        with self._cut_back_unless_done():  # records may follow when it stays in use, and no mark may stand before them
            self._append(end_mark(self.records))
            # Not synced: if a power cut undoes the name, the writer is dead and the segment closed all the same.
            os.rename(self.path, self.path.with_suffix(SEALED))
        os.close(self._descriptor)

    def _append(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]
        sync_bytes(self._descriptor)

    @contextmanager
    def _cut_back_unless_done(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            self._is_torn = True
            with suppress(OSError):  # then the next write tries again, before it writes anything
                self._mend()
            raise

    def _mend(self) -> None:
        os.ftruncate(self._descriptor, self.length)
        # After a failed sync the kernel forgets which pages were not written; this writes the shared last one again.
        sync_bytes(self._descriptor)
        self._is_torn = False

    def _remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def closed_segments(folder: Path) -> list[Segment]:
    """List what may be shipped: sealed segments, and all segments of dead writers; oldest writer first, then in order.

    Raises
    ------
    StorageUnavailable : the folder cannot be read.
    """
    try:
        found = _closed_paths(folder)
    except OSError as error:
        raise StorageUnavailable(f"journal {folder}", str(error)) from error
    return [Segment(stem, found[stem]) for stem in sorted(found)]


def _closed_paths(folder: Path) -> dict[str, Path]:
    names = os.listdir(folder)
    # The probe must come after the listing: whoever wrote a listed file held its lock before it made the file.
    alive = {writer: is_alive(folder, writer) for writer in {writer_of(name) for name in names if name.endswith(OPEN)}}
    found = {}
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix == SEALED:
            found[stem] = folder / name
        elif suffix == OPEN and not alive[writer_of(name)]:
            # It may have sealed this one and died between the listing and the probe; now it renames nothing any more.
            sealed = folder / f"{stem}{SEALED}"
            found[stem] = sealed if sealed.exists() else folder / name
    return found


def read(segment: Segment) -> Iterator[bytes]:
    """Give the segment's records in the order in which they were appended.

    A torn tail, left by a writer that was killed in the middle of a write, was never acknowledged and ends the reading.

    Raises
    ------
    JournalCorrupt : bytes are not what was written; raised after the whole records before them were given.
    StorageUnavailable : the file cannot be read.
    """
    try:
        content = segment.path.read_bytes()
    except OSError as error:
        raise StorageUnavailable(f"journal segment {segment.path}", str(error)) from error
    at, whole = 0, 0
    if content.startswith(MAGIC):
        at = len(MAGIC)
        while (end := _frame_end(content, at)) is not None:
            yield content[at + _HEADER_BYTES : end]
            at, whole = end, whole + 1
    is_ended = at > 0 and content.startswith(end_mark(whole), at)
    if is_ended:
        at += _HEADER_BYTES
    if segment.is_sealed:
        is_whole = is_ended and at == len(content)
    else:
        # Some filesystems lengthen a file before its bytes are there; after a power cut these are zeros.
        is_whole = (not is_ended and _is_torn(content, at)) or not content[at:].strip(b"\0")
    if not is_whole:
        raise JournalCorrupt(segment.id, segment.path, at, whole)


def _header(content: bytes, at: int) -> tuple[int, int] | None:
    """(length, CRC) of the payload, or None when the header at `at` is not whole or not right."""
    payload_at = at + _HEADER_BYTES
    sizes = content[at : at + _SIZES.size]
    if payload_at > len(content) or _CHECK.unpack_from(content, at + _SIZES.size)[0] != crc32(sizes):
        return None
    length, checksum = _SIZES.unpack(sizes)
    return length, checksum


def _frame_end(content: bytes, at: int) -> int | None:
    header = _header(content, at)
    if header is None:
        return None
    end = at + _HEADER_BYTES + header[0]
    is_right = end <= len(content) and crc32(memoryview(content)[end - header[0] : end]) == header[1]
    return end if is_right else None


def _is_torn(content: bytes, at: int) -> bool:
    """Is what stands at `at` the beginning of a right frame, of an end mark, or of the file itself, and nothing more?"""
    if at == 0:
        return MAGIC.startswith(content)
    if len(content) - at < _HEADER_BYTES:
        return True
    header = _header(content, at)
    return header is not None and header[0] != END and at + _HEADER_BYTES + header[0] > len(content)


def discard(segment: Segment) -> None:
    """Remove a segment for good; one that is gone already is no error.

    Raises
    ------
    StorageUnavailable : it cannot be removed.
    """
    try:
        segment.path.unlink(missing_ok=True)
        sync_folder(segment.path.parent)
    except OSError as error:
        raise StorageUnavailable(f"journal segment {segment.path}", str(error)) from error


def sync_folder(folder: Path) -> None:
    """Make made, renamed and removed names in the folder last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_bytes(descriptor: int) -> None:
    """Return when the file's bytes and its length are on the disk itself."""
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # there fsync stops at the disk's cache, and fdatasync is missing
    else:
        os.fdatasync(descriptor)
