import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from keepwell.errors import SourceInvalid, SourceUnavailable
from keepwell.ingestion.sources import open_source
from keepwell.settings import GatherSection, SourceSection

ROWS = [
    ("KOFF", "2024-05-01 00:00:00.000000", 61.5),
    ("KOFF", "2024-05-02 00:00:00.000000", None),
    ("KOFF", "2024-05-03 00:00:00.000000", 58),
    ("KOFF", "2024-05-03 06:00:00.000000", 57.5),
]
QUERY = "select station, day, temperature from readings where day between :since and :until"
SPAN = datetime(2024, 5, 2, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    with sqlite3.connect(tmp_path / "weather.db") as connection:
        connection.execute("create table readings (station text, day text, temperature real)")
        connection.executemany("insert into readings values (?, ?, ?)", ROWS)
    connection.close()
    return tmp_path


def opened(folder, *, tries=2, **settings):
    given = {"kind": "sql", "url": "sqlite:///weather.db", "query": QUERY, "time": "day"} | settings
    return open_source(SourceSection(**given), folder, GatherSection(tries=tries, wait_s=0))


def test_rows_of_the_span_come_with_both_ends_and_utc_times(folder):
    found = opened(folder)(*SPAN)

    assert found.rows() == [("KOFF", SPAN[0], None), ("KOFF", SPAN[1], 58.0)]
    assert found.schema["day"] == pl.Datetime("us", "UTC")


def test_without_a_time_column_the_rows_come_as_the_database_gives_them(folder):
    assert opened(folder, time=None)(*SPAN).schema["day"] == pl.String


def test_a_query_that_gives_too_much_is_cut_to_the_span(folder):
    found = opened(folder, query="select day from readings where day >= :since or day <= :until order by day desc")(*SPAN)

    assert found["day"].to_list() == list(SPAN)


@pytest.mark.parametrize(
    ("bind", "since", "until"),
    [
        ("datetime", "2024-05-02 00:00:00.000000", "2024-05-03 06:30:00.000000"),
        ("date", "2024-05-02", "2024-05-03"),
        ("text", "2024-05-02T00:00:00Z", "2024-05-03T06:30:00Z"),
    ],
)
def test_parameters_are_bound_as_set(folder, bind, since, until):
    until_later = SPAN[1].replace(hour=6, minute=30)

    found = opened(folder, query="select :since as since, :until as until", time=None, bind=bind)(SPAN[0], until_later)

    assert found.row(0) == (since, until)


def test_an_empty_span_gives_no_rows(folder):
    assert opened(folder)(datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC)).height == 0


def test_the_query_cannot_write(folder):
    source = opened(folder, query="delete from readings where day between :since and :until returning *")

    with pytest.raises(SourceInvalid, match="readonly"):
        source(*SPAN)
    assert opened(folder)(*SPAN).height == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"query": "select * from gauges where day between :since and :until"}, "no such table: gauges.*own client"),
        ({"time": "dag"}, "no column 'dag', but station, day, temperature"),
        ({"time": "temperature"}, "gave numbers"),
        ({"time": "station"}, "cannot be read, such as 'KOFF'"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused_with_the_reason(folder, settings, message):
    with pytest.raises(SourceInvalid, match=message):
        opened(folder, **settings)(*SPAN)


def test_a_locked_database_is_asked_again_then_unavailable(folder):
    writer = sqlite3.connect(folder / "weather.db", check_same_thread=False)
    writer.execute("begin exclusive")
    source = opened(folder, url="sqlite:///weather.db?timeout=0.05")

    with pytest.raises(SourceUnavailable, match=r"failed 2 times.*locked"):
        source(*SPAN)

    release = threading.Timer(0.1, writer.rollback)
    release.start()
    assert opened(folder, url="sqlite:///weather.db?timeout=0.05", tries=20)(*SPAN).height == 2
    release.join()
    writer.close()


def test_a_database_that_is_not_there_is_unavailable_and_shows_no_password(monkeypatch):
    monkeypatch.setenv("PG_PASSWORD", "p@ss/word")
    source = opened(Path("."), url="postgresql+psycopg://reader:${PG_PASSWORD}@127.0.0.1:9/weather")

    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1/weather.*failed 2 times") as refused:
        source(*SPAN)
    assert source.engine.url.password == "p@ss/word"
    for shown in (repr(source), str(refused.value)):
        assert "word" not in shown.replace("password", "")


def test_the_whole_url_may_come_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("WEATHER_URL", f"sqlite:///{folder}/weather.db")

    assert opened(Path("/"), url="${WEATHER_URL}")(*SPAN).height == 2
