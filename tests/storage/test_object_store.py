"""Tables and artifacts in an object store, whichever the other tests run on: opened by the environment alone, secrets unseen."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import stores

from keepwell.errors import StorageUnavailable
from keepwell.storage import ArtifactStore, Database, Table

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def url() -> str:
    return stores.s3()[0]


def open_table(database: Database, url: str, folder: Path) -> Table:
    return Table(database, ArtifactStore(f"{url}/artifacts", folder), f"{url}/tables", "rain/rows", ("day",), "day")


def append(database: Database, table: Table, day: int) -> None:
    frame = pl.DataFrame({"day": pl.Series([START + timedelta(days=day)], dtype=pl.Datetime("us", "UTC")), "value": [float(day)]})
    with database.begin() as connection:
        table.append(connection, f"day-{day}", frame, START)


def test_writers_that_flush_at_once_lose_and_double_nothing(database: Database, url: str, tmp_path: Path) -> None:
    """Each has its own view of the table, as two machines have."""

    def write(writer: int) -> None:
        table = open_table(database, url, tmp_path)
        for number in range(6):
            append(database, table, 10 * writer + number)
            table.flush()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = [float(10 * writer + number) for writer in range(3) for number in range(6)]
    table = open_table(database, url, tmp_path)
    assert table.rows()["value"].to_list() == expected
    assert table.rows()["_commit"].n_unique() == 18
    with database.read() as connection:
        assert table.waiting(connection) == 0


def test_a_flush_whose_end_was_not_recorded_is_not_repeated(database: Database, url: str, tmp_path: Path) -> None:
    """Another took the same commits to Delta; Delta knows their number and this writer adds nothing."""
    table = open_table(database, url, tmp_path)
    append(database, table, 1)
    with pytest.raises(RuntimeError, match="power"), database.begin():
        table._write(table.rows(), 1)
        raise RuntimeError("power")
    again = open_table(database, url, tmp_path)
    assert again.flush() == 0
    assert again.rows()["value"].to_list() == [1.0]


def test_wrong_credentials_are_refused_without_being_shown(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(StorageUnavailable, match="s3://") as refusal:
        ArtifactStore(f"{url}/artifacts", tmp_path).put(b"rain")
    assert "another-secret" not in str(refusal.value) and stores.SECRET not in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_bucket_that_is_not_there_is_named(tmp_path: Path) -> None:
    stores.s3()
    with pytest.raises(StorageUnavailable, match="no-such-bucket"):
        ArtifactStore("s3://no-such-bucket/artifacts", tmp_path).put(b"rain")


@pytest.mark.parametrize("url", ["gs://bucket/rain", "az://container/rain", "abfss://container@account.dfs.core.windows.net/rain"])
def test_other_clouds_are_opened_by_their_url(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    assert ArtifactStore(url, tmp_path).url == url


def test_an_unknown_kind_of_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="ftp://"):
        ArtifactStore("ftp://host/rain", tmp_path)
