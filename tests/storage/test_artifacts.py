"""Artifacts: a digest names bytes, and changed bytes are refused."""

from pathlib import Path

import pytest

from keepwell.errors import ArtifactCorrupt, ArtifactMissing
from keepwell.storage import ArtifactStore, digest_of


def test_bytes_come_back_under_their_digest(tmp_path: Path) -> None:
    store = ArtifactStore("artifacts", tmp_path)
    digest = store.put(b"rain")
    assert digest == digest_of(b"rain")
    assert ArtifactStore("artifacts", tmp_path).get(digest) == b"rain"


def test_keeping_the_same_bytes_twice_is_one_file(tmp_path: Path) -> None:
    store = ArtifactStore("artifacts", tmp_path)
    assert store.put(b"rain") == store.put(b"rain")
    assert sum(path.is_file() for path in (tmp_path / "artifacts").rglob("*")) == 1


def test_a_flipped_byte_is_refused_by_name(tmp_path: Path) -> None:
    store = ArtifactStore("artifacts", tmp_path)
    digest = store.put(b"rain")
    (tmp_path / "artifacts" / digest[:2] / digest).write_bytes(b"ruin")
    with pytest.raises(ArtifactCorrupt, match=digest[:12]):
        store.get(digest)


def test_a_lost_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="is not in"):
        ArtifactStore("artifacts", tmp_path).get(digest_of(b"never kept"))
