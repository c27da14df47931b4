"""Carry closed journal segments to where predictions are kept, each exactly once.

A segment is removed only after it was kept. A crash in between makes the next shipper keep it again under the same id, so
the keeper must know the ids that it has seen (the predictions table does).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keepwell.errors import JournalCorrupt, StorageUnavailable
from keepwell.serving.segments import Segment, closed_segments, discard, read
from keepwell.serving.writers import forget_dead_writers, is_same_file


def ship(folder: Path, keep: Callable[[str, list[bytes]], None]) -> int:
    """Keep every closed segment's records, in order, and remove the segment.

    Several processes may ship from the same folder at once; each segment is taken by one of them.

    Parameters
    ----------
    keep : called with (segment id, records); must be idempotent by id, and durable when it returns. What it raises, but for
        JournalCorrupt, ends the shipping, and the segment stays for the next time.

    Returns
    -------
    Number of records kept.

    Raises
    ------
    JournalCorrupt : a segment is damaged; raised after all others were shipped, so that one does not hold up the rest.
    StorageUnavailable : the folder or a segment cannot be read or removed.
    """
    kept = 0
    damaged: JournalCorrupt | None = None
    for segment in closed_segments(folder):
        with _held(segment) as is_ours:
            if not is_ours:
                continue
            try:
                records = list(read(segment))
                if records:
                    keep(segment.id, records)
            except JournalCorrupt as error:
                damaged = damaged or error
                continue
            discard(segment)
            kept += len(records)
    try:
        forget_dead_writers(folder)
    except OSError as error:
        raise StorageUnavailable(f"journal {folder}", str(error)) from error
    if damaged is not None:
        raise damaged
    return kept


@contextmanager
def _held(segment: Segment) -> Iterator[bool]:
    """Hold the segment against other shippers; False when another has it, or has already removed it."""
    try:
        descriptor = os.open(segment.path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        raise StorageUnavailable(f"journal segment {segment.path}", str(error)) from error
    try:
        yield _is_locked(descriptor) and is_same_file(descriptor, segment.path)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
