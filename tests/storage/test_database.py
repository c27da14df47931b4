"""The record: one moment to a reader, one writer at a time, never changed by a stranger's newer schema. The same on every database."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
import stores

from keepwell.errors import SchemaTooNew, StorageUnavailable
from keepwell.storage import HEAD, Database, Event, list_events, record_event
from keepwell.storage.engines import open_engine

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(number: int) -> Event:
    return Event("trained", NOW, f"line {number}", {"number": number})


def write(database: Database, number: int) -> None:
    with database.begin() as connection:
        record_event(connection, "rain", str(number), event(number))


def numbers(connection: sa.Connection) -> list[int]:
    return [line.facts["number"] for line in list_events(connection, "rain")]


def together(*work: Callable[[], None]) -> list[BaseException]:
    """Run at once, each in a thread; what went wrong in them."""
    failures: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


@pytest.mark.sqlite("the folder of a database file is made")
def test_opening_brings_an_empty_database_to_the_newest_shape(tmp_path: Path) -> None:
    assert Database("sqlite:///deep/record.db", tmp_path).revision() == HEAD


def test_a_newer_record_is_left_alone(database: Database, tmp_path: Path) -> None:
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999"):
        Database(database.url, tmp_path)


@pytest.mark.parametrize("extra", ["", "://", "mysql://"])
def test_an_unusable_url_is_refused(tmp_path: Path, extra: str) -> None:
    with pytest.raises(StorageUnavailable):
        Database(extra + "me:secret@nowhere", tmp_path)


def test_an_unreachable_database_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable) as refusal:
        Database("postgresql+psycopg://me:secret@127.0.0.1:1/none?connect_timeout=2", tmp_path)
    assert "secret" not in str(refusal.value)


@pytest.mark.sqlite("another file in its place")
def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "record.db").write_bytes(b"This is a letter, not a database. " * 100)
    with pytest.raises(StorageUnavailable, match="not a database"):
        Database("sqlite:///record.db", tmp_path)


def test_the_timeline_keeps_a_line_once_per_key(database: Database) -> None:
    with database.begin() as connection:
        assert record_event(connection, "rain", "a", event(1))
        assert not record_event(connection, "rain", "a", event(2))
    with database.read() as connection:
        assert numbers(connection) == [1]


def test_what_is_no_number_is_kept_as_nothing(database: Database) -> None:
    odd = {"low": float("nan"), "high": [float("inf"), 1.5]}
    with database.begin() as connection:
        record_event(connection, "rain", "a", Event("checked", NOW, "line", odd))
    with database.read() as connection:
        assert list_events(connection, "rain")[0].facts == {"low": None, "high": [None, 1.5]}


def test_a_reader_sees_one_moment_while_others_write(database: Database) -> None:
    write(database, 1)
    with database.read() as connection:
        assert numbers(connection) == [1]
        write(database, 2)
        assert numbers(connection) == [1]
    with database.read() as connection:
        assert numbers(connection) == [1, 2]


def test_what_a_writer_has_read_nobody_changes_before_it_commits(database: Database) -> None:
    """Each counts the lines and adds the next: two that counted at once would write the same one."""

    def add() -> None:
        for _ in range(5):
            with database.begin() as connection:
                count = len(numbers(connection))
                assert record_event(connection, "rain", str(count), event(count))

    assert together(*[add] * 6) == []
    with database.read() as connection:
        assert numbers(connection) == list(range(30))


def test_two_may_open_an_empty_database_at_once(tmp_path: Path) -> None:
    empty = stores.fresh_postgres("template0") if stores.DATABASE == "postgresql" else "sqlite:///record.db"
    opened: list[Database] = []
    assert together(*[lambda: opened.append(Database(empty, tmp_path))] * 4) == []
    assert [database.revision() for database in opened] == [HEAD] * 4
    for database in opened:
        database.close()


def test_many_threads_write_without_a_lock_error(database: Database) -> None:
    def work(writer: int) -> Callable[[], None]:
        return lambda: [write(database, 100 * writer + number) for number in range(10)] and None

    assert together(*[work(writer) for writer in range(12)]) == []
    with database.read() as connection:
        assert len(numbers(connection)) == 120


class TestLostConnections:
    """The server drops connections (a restart, a network that went away): said once, and the next call works."""

    @pytest.fixture
    def database(self, tmp_path: Path) -> Database:
        return Database(stores.fresh_postgres(), tmp_path)

    @staticmethod
    def drop_all(database: Database) -> None:
        with psycopg.connect(stores.postgres(), autocommit=True) as connection:
            name = sa.make_url(database.url).database
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    def test_one_that_was_idle_is_replaced_unnoticed(self, database: Database) -> None:
        write(database, 1)
        self.drop_all(database)
        write(database, 2)
        with database.read() as connection:
            assert numbers(connection) == [1, 2]
        database.close()

    def test_one_in_the_middle_keeps_nothing_and_the_next_call_works(self, database: Database) -> None:
        with pytest.raises(StorageUnavailable), database.begin() as connection:
            record_event(connection, "rain", "lost", event(1))
            self.drop_all(database)
            record_event(connection, "rain", "lost as well", event(2))
        with pytest.raises(StorageUnavailable), database.read() as connection:
            self.drop_all(database)
            numbers(connection)
        write(database, 3)
        with database.read() as connection:
            assert numbers(connection) == [3]
        database.close()

    def test_one_whose_host_vanished_without_a_word_is_given_up_within_a_minute(self, database: Database) -> None:
        """And not after the kernel's two hours; what the URL says counts more."""
        engine = open_engine(f"{database.url}&keepalives_count=5")
        with engine.connect() as connection:
            assert connection.connection.driver_connection is not None
            told = connection.connection.driver_connection.info.get_parameters()
        assert {name: told[name] for name in ("keepalives_idle", "keepalives_count", "tcp_user_timeout")} == {
            "keepalives_idle": "30",
            "keepalives_count": "5",
            "tcp_user_timeout": "60000",
        }
        engine.dispose()
        database.close()
