"""Who writes in a journal folder, and whether that process still lives.

A writer holds `<writer>.lock` by flock. The kernel lets go of it when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LOCK = ".lock"


def writer_of(name: str) -> str:
    """The writer's id, from the name of a segment or of a lock."""
    return name.partition(".")[0].partition("-")[0]


def claim_writer(folder: Path) -> tuple[str, int]:
    """Take a new writer id; it counts as alive until the returned descriptor is closed or its process ends."""
    while True:
        writer = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}_{os.urandom(8).hex()}"
        path = folder / f"{writer}{LOCK}"
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o600)  # nothing is ever written to it
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between these two calls a tidying process may have taken the file for a dead writer's.
        if is_same_file(descriptor, path):
            return writer, descriptor
        os.close(descriptor)


def release_writer(folder: Path, writer: str, descriptor: int) -> None:
    """Give the id up; what it has not sealed is then closed."""
    with suppress(OSError):  # a file that stays is not locked, so it keeps nobody alive
        (folder / f"{writer}{LOCK}").unlink()
    os.close(descriptor)


def is_alive(folder: Path, writer: str) -> bool:
    """Whether the writer's process still holds its lock."""
    try:
        descriptor = os.open(folder / f"{writer}{LOCK}", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two processes that look at the same time do not take each other for the writer.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def forget_dead_writers(folder: Path) -> None:
    """Remove the locks of dead writers that have left no segment."""
    for name in os.listdir(folder):
        if not name.endswith(LOCK):
            continue
        with suppress(FileNotFoundError, BlockingIOError), open(folder / name, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not any(folder.glob(f"{writer_of(name)}-*")):
                (folder / name).unlink()


def is_same_file(descriptor: int, path: Path) -> bool:
    """Whether the path still leads to the open file; a lock on a removed file protects nothing."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
