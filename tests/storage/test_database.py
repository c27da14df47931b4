"""The record: migrated on opening, never by a stranger's newer schema, and quiet under many writers."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from keepwell.errors import SchemaTooNew, StorageUnavailable
from keepwell.storage import HEAD, Database, Event, list_events, record_event

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(number: int) -> Event:
    return Event("trained", NOW, f"line {number}", {"number": number})


def test_opening_brings_an_empty_database_to_the_newest_shape(tmp_path: Path) -> None:
    assert Database("sqlite:///deep/record.db", tmp_path).revision() == HEAD


def test_a_newer_record_is_left_alone(tmp_path: Path) -> None:
    database = Database("sqlite:///record.db", tmp_path)
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999"):
        Database("sqlite:///record.db", tmp_path)


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable) as refusal:
        Database("postgresql+psycopg://me:secret@127.0.0.1:1/none?connect_timeout=2", tmp_path)
    assert "secret" not in str(refusal.value)


def test_the_timeline_keeps_a_line_once_per_key(tmp_path: Path) -> None:
    database = Database("sqlite:///record.db", tmp_path)
    with database.begin() as connection:
        assert record_event(connection, "rain", "a", event(1))
        assert not record_event(connection, "rain", "a", event(2))
    with database.read() as connection:
        assert [line.facts["number"] for line in list_events(connection, "rain")] == [1]


def test_many_threads_write_without_a_lock_error(tmp_path: Path) -> None:
    database = Database("sqlite:///record.db", tmp_path)
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for number in range(10):
                with database.begin() as connection:
                    record_event(connection, "rain", f"{writer}/{number}", event(number))
        except BaseException as error:  # the test reports whatever went wrong in a thread
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with database.read() as connection:
        assert len(list_events(connection, "rain")) == 120
