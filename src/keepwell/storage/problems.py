"""What a store's own error says, in one line that a person can read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LITTLE_ROOM = 1 << 20  # bytes; SQLite gives up earlier than when the last one is taken
ARROW = re.compile(r"\s*\n\s*↳\s*")


def problem_of(error: BaseException) -> str:
    """The cause's own words: no colours, no dump of its insides, no traceback."""
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's errors carry the driver's
    text = ARROW.sub(": ", COLOUR.sub("", str(cause))).strip()
    return text.split("\n")[0].strip() or type(cause).__name__


def disk_problem(folder: Path) -> str | None:
    """What is wrong with the disk under a folder: SQLite says "disk I/O error" of a full one, and of a read-only one that a file
    cannot be opened."""
    with suppress(OSError):
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if disk.f_flag & os.ST_RDONLY:
            return "its disk is read-only; make it writable"
        if free < LITTLE_ROOM:
            return f"its disk is full, {free:,} bytes are free; make room"
    return None
