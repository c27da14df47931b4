"""Content-addressed files: a digest names bytes, and bytes that changed are refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from keepwell.errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable


def digest_of(content: bytes) -> str:
    """SHA-256 of `content`, 64 lower case hex digits."""
    return hashlib.sha256(content).hexdigest()


class ArtifactStore:
    """Bytes kept under the SHA-256 of their content, in a folder or an object store.

    Parameters
    ----------
    url : a path (relative ones count from `folder`), or an object-store URL such as ``s3://bucket/prefix``.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._local: Path | None = None
        self._store: ObjectStore
        try:
            if "://" in url and not url.startswith("file://"):
                self._store = from_url(url)
            else:
                self._local = (folder / url.removeprefix("file://")).resolve()
                self._store = LocalStore(self._local, mkdir=True)
        except Exception as error:  # obstore raises its own kinds and OSError alike
            raise StorageUnavailable(url, str(error)) from error

    def put(self, content: bytes) -> str:
        """Keep `content` and answer its digest; keeping the same bytes twice is one file.

        Raises
        ------
        StorageUnavailable : it could not be written.
        """
        digest = digest_of(content)
        try:
            if not self.has(digest):
                obstore.put(self._store, _path(digest), content)
                self._sync(digest)
        except Exception as error:
            raise StorageUnavailable(self.url, str(error)) from error
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes kept under `digest`.

        Raises
        ------
        ArtifactMissing : there is no such file.
        ArtifactCorrupt : its bytes are no longer those that were kept.
        StorageUnavailable : the store does not answer.
        """
        try:
            content = bytes(obstore.get(self._store, _path(digest)).bytes())
        except FileNotFoundError:
            raise ArtifactMissing(digest, self.url) from None
        except Exception as error:
            raise StorageUnavailable(self.url, str(error)) from error
        found = digest_of(content)
        if found != digest:
            raise ArtifactCorrupt(digest, found)
        return content

    def has(self, digest: str) -> bool:
        """Is something kept under `digest`?"""
        try:
            obstore.head(self._store, _path(digest))
        except FileNotFoundError:
            return False
        return True

    def _sync(self, digest: str) -> None:
        # obstore renames a finished file into place but does not sync it; the record must never name bytes
        # that a loss of power can take back.
        if self._local is None:
            return
        path = self._local / _path(digest)
        for target in (path, path.parent):
            handle = os.open(target, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _path(digest: str) -> str:
    return f"{digest[:2]}/{digest}"
