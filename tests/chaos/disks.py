"""A small disk that is really full, or really read-only: a filesystem of its own, in memory. Only root may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class CannotMount(Exception):
    """It is not allowed here."""


class Disk:
    """A small filesystem of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._ballast = folder, folder / "ballast"

    def leave(self, room: int) -> None:
        """Fill it up but for so many bytes."""
        self._ballast.unlink(missing_ok=True)
        free = os.statvfs(self.folder)
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_frsize - room, 1))

    def fill(self) -> None:
        """Fill up whatever is left, while others write there too."""
        with self._ballast.open("ab") as file, suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(4096))

    def empty(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def try_remount(self, how: str) -> bool:
        """The same; False when it is refused, as while a file is open to be written."""
        return subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=False, capture_output=True).returncode == 0

    def remount(self, how: str) -> None:
        """`ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """A new one at this folder. Raises CannotMount."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "keepwell-test", str(folder)]
    if os.geteuid() != 0:
        raise CannotMount("only root may mount a disk")
    if (refusal := subprocess.run(mounting, check=False, capture_output=True, text=True)).returncode:
        raise CannotMount(f"a disk cannot be mounted here: {refusal.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        # Lazily: a process that still has something open there must not keep it mounted.
        subprocess.run(["umount", "--lazy", folder], check=True)
