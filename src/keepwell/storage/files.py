"""Named files in a folder or an object store: the same few acts for both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from keepwell.errors import StorageUnavailable
from keepwell.hiding import shown
from keepwell.storage.problems import problem_of
from keepwell.storage.retries import OBSTORE


@dataclass(frozen=True)
class Listed:
    """One file of a listing: its name, its size in bytes, and when it was last written."""

    name: str
    size: int
    modified: datetime


class Files:
    """A folder, or an object store's prefix.

    Parameters
    ----------
    url : a path (relative ones count from `folder`), or an object-store URL such as ``s3://bucket/prefix``.

    Raises
    ------
    StorageUnavailable : it cannot be opened; and so say all methods when it does not answer.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.local: Path | None = None
        self._store: ObjectStore
        try:
            if "://" in url and not url.startswith("file://"):
                self._store = from_url(url, retry_config=OBSTORE)
            else:
                self.local = (folder / url.removeprefix("file://")).resolve()
                self._store = LocalStore(self.local, mkdir=True)
        except Exception as error:  # obstore raises its own kinds and OSError alike
            raise StorageUnavailable(url, problem_of(error)) from error

    @property
    def shown_url(self) -> str:
        """Where they are, without a password."""
        return str(shown("url", self.url))

    def put(self, name: str, content: bytes) -> None:
        """Write a whole file at once; nobody ever sees half of it, and it survives a loss of power."""
        try:
            obstore.put(self._store, name, content)
            self._sync(name)
        except Exception as error:
            raise StorageUnavailable(self.url, problem_of(error)) from error

    def get(self, name: str) -> bytes:
        """The file's bytes.

        Raises
        ------
        FileNotFoundError : there is no such file.
        """
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            raise FileNotFoundError(name) from None
        except Exception as error:
            raise StorageUnavailable(self.url, problem_of(error)) from error

    def look(self, name: str) -> Listed | None:
        """The file's size and age; None when there is none."""
        try:
            found = obstore.head(self._store, name)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise StorageUnavailable(self.url, problem_of(error)) from error
        return Listed(name, found["size"], found["last_modified"])

    def list(self, under: str | None = None) -> Iterator[Listed]:
        """Every file below a folder, in no order."""
        try:
            for some in obstore.list(self._store, prefix=under):
                for found in some:
                    yield Listed(found["path"], found["size"], found["last_modified"])
        except Exception as error:
            raise StorageUnavailable(self.url, problem_of(error)) from error

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error."""
        try:
            obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except Exception as error:
            raise StorageUnavailable(self.url, problem_of(error)) from error

    def _sync(self, name: str) -> None:
        # obstore renames a finished file into place but does not sync it; the record must never name bytes
        # that a loss of power can take back.
        if self.local is None:
            return
        path = self.local / name
        for target in (path, path.parent):
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
