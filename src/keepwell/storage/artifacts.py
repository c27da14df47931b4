"""Content-addressed files: a digest names bytes, and bytes that changed are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keepwell.errors import ArtifactCorrupt, ArtifactMissing
from keepwell.storage.files import Files, Listed

YOUNG = timedelta(hours=1)


def digest_of(content: bytes) -> str:
    """SHA-256 of `content`, 64 lower case hex digits."""
    return hashlib.sha256(content).hexdigest()


class ArtifactStore:
    """Bytes kept under the SHA-256 of their content, in a folder or an object store.

    Parameters
    ----------
    url : a path (relative ones count from `folder`), or an object-store URL such as ``s3://bucket/prefix``.

    Raises
    ------
    StorageUnavailable : it cannot be opened; and so say all methods when it does not answer.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._files = Files(url, folder)

    def put(self, content: bytes) -> str:
        """Keep `content` and answer its digest; keeping the same bytes twice is one file."""
        digest = digest_of(content)
        found = self._files.look(_path(digest))
        # An old file is written again: cleaning up spares young ones, and the record does not name this one yet.
        if found is None or datetime.now(UTC) - found.modified > YOUNG:
            self._files.put(_path(digest), content)
        return digest

    def replace(self, digest: str, content: bytes) -> None:
        """Write `content` under its digest, over what may be there."""
        self._files.put(_path(digest), content)

    def get(self, digest: str) -> bytes:
        """The bytes kept under `digest`.

        Raises
        ------
        ArtifactMissing : there is no such file.
        ArtifactCorrupt : its bytes are no longer those that were kept.
        """
        try:
            content = self._files.get(_path(digest))
        except FileNotFoundError:
            raise ArtifactMissing(digest, self.url) from None
        found = digest_of(content)
        if found != digest:
            raise ArtifactCorrupt(digest, found)
        return content

    def has(self, digest: str) -> bool:
        """Is something kept under `digest`?"""
        return self._files.look(_path(digest)) is not None

    def list(self) -> Iterator[Listed]:
        """Everything kept, in no order; `name` is the digest."""
        for found in self._files.list():
            name = found.name.rpartition("/")[2]
            if found.name == _path(name) and len(name) == len(digest_of(b"")):
                yield Listed(name, found.size, found.modified)

    def remove(self, digest: str) -> None:
        """Forget what is kept under `digest`; only `keepwell gc` does."""
        self._files.remove(_path(digest))


def _path(digest: str) -> str:
    return f"{digest[:2]}/{digest}"
