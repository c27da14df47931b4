"""Artifacts: a digest names bytes, and changed bytes are refused."""

from pathlib import Path

import obstore
import pytest
import stores
from obstore.store import from_url

from keepwell.errors import ArtifactCorrupt, ArtifactMissing
from keepwell.storage import ArtifactStore, digest_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    return stores.store_url(tmp_path, "artifacts")


@pytest.fixture
def store(url: str, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(url, tmp_path)


def test_bytes_come_back_under_their_digest(store: ArtifactStore, url: str, tmp_path: Path) -> None:
    digest = store.put(b"rain")
    assert digest == digest_of(b"rain")
    assert ArtifactStore(url, tmp_path).get(digest) == b"rain"


def test_keeping_the_same_bytes_twice_is_one_file(store: ArtifactStore, url: str) -> None:
    assert store.put(b"rain") == store.put(b"rain")
    assert sum(len(batch) for batch in obstore.list(opened(url))) == 1


def test_a_flipped_byte_is_refused_by_name(store: ArtifactStore, url: str) -> None:
    digest = store.put(b"rain")
    obstore.put(opened(url), f"{digest[:2]}/{digest}", b"ruin")
    with pytest.raises(ArtifactCorrupt, match=digest[:12]):
        store.get(digest)


def test_a_lost_file_is_named(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactMissing, match="is not in"):
        store.get(digest_of(b"never kept"))


def opened(url: str) -> obstore.store.ObjectStore:
    return from_url(url if "://" in url else Path(url).as_uri())
