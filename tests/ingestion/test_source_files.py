from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from keepwell.errors import SourceInvalid, SourceUnavailable
from keepwell.ingestion.sources import open_source
from keepwell.settings import GatherSection, SourceSection

DAYS = [date(2024, 5, day) for day in (1, 2, 3, 4)]
READINGS = pl.DataFrame({"station": ["KOFF"] * 4, "day": DAYS, "rain": [0, 1, None, 0]})
SPAN = datetime(2024, 5, 2, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC)
EXPECTED = [("KOFF", SPAN[0], 1), ("KOFF", SPAN[1], None)]


def opened(folder, path, **settings):
    given = {"kind": "files", "path": path, "time": "day"} | settings
    return open_source(SourceSection(**given), folder, GatherSection(tries=2, wait_s=0))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.parquet", pl.DataFrame.write_parquet),
        ("a.csv", pl.DataFrame.write_csv),
        ("a.ndjson", pl.DataFrame.write_ndjson),
        ("a.jsonl", pl.DataFrame.write_ndjson),
    ],
)
def test_each_format_gives_the_rows_of_the_span(tmp_path, name, write):
    write(READINGS, tmp_path / name)

    assert opened(tmp_path, name)(*SPAN).rows() == EXPECTED


@pytest.mark.parametrize(
    "kind",
    [
        pl.Date,
        pl.Datetime("us"),
        pl.Datetime("ms"),
        pl.Datetime("ns"),
        pl.Datetime("us", "UTC"),
        pl.Datetime("ms", "America/Chicago"),
        pl.String,
    ],
    ids=str,
)
def test_each_type_of_time_column_gives_the_same_rows(tmp_path, kind):
    day = pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if kind == pl.String:
        day = day.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    elif isinstance(kind, pl.Datetime):
        day = (day.dt.convert_time_zone(kind.time_zone) if kind.time_zone else day.dt.replace_time_zone(None)).cast(kind)
    else:
        day = pl.col("day")
    READINGS.with_columns(day).write_parquet(tmp_path / "a.parquet")

    found = opened(tmp_path, "a.parquet")(*SPAN)

    assert found.rows() == EXPECTED
    assert found.schema["day"] == pl.Datetime("us", "UTC")


def test_a_span_within_a_day_does_not_hold_the_day_before_it(tmp_path):
    READINGS.write_parquet(tmp_path / "a.parquet")

    found = opened(tmp_path, "a.parquet")(SPAN[0].replace(hour=1), SPAN[1].replace(hour=23))

    assert found["day"].to_list() == [SPAN[1]]


@pytest.mark.parametrize("form", ["{}/*.parquet", "file://{}/*.parquet", "*.parquet"])
def test_a_glob_reads_all_files_from_a_path_a_url_or_the_projects_folder(tmp_path, form):
    for index, row in enumerate(READINGS.iter_slices(1)):
        row.write_parquet(tmp_path / f"{index}.parquet")

    assert opened(tmp_path, form.format(tmp_path))(*SPAN).rows() == EXPECTED


def test_the_format_may_be_told(tmp_path):
    READINGS.write_csv(tmp_path / "readings.txt")

    assert opened(tmp_path, "readings.txt", format="csv")(*SPAN).rows() == EXPECTED


def test_only_the_span_is_read_from_parquet(tmp_path):
    READINGS.write_parquet(tmp_path / "a.parquet", row_group_size=1)
    source = opened(tmp_path, "a.parquet")

    from keepwell.ingestion.files import _within

    plan = source._scan().filter(_within("day", pl.Date(), *SPAN)).explain()
    assert "SELECTION" in plan


@pytest.mark.parametrize(
    ("path", "settings", "message"),
    [
        ("b.parquet", {}, "no file that matches"),
        ("b*.parquet", {}, "no file that matches"),
        ("s3://weather/a.csv", {"options": {"max_retries": "many"}}, "invalid value for 'max_retries'"),
        ("a.csv", {"format": "parquet"}, "cannot be read as parquet"),
        ("a.csv", {"time": "dag"}, "no column 'dag', but station, day, rain"),
        ("a.csv", {"time": "rain"}, "gave numbers"),
        ("a.csv", {"time": "station"}, "cannot be read, such as 'KOFF'"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_the_reason(tmp_path, path, settings, message):
    READINGS.write_csv(tmp_path / "a.csv")

    with pytest.raises(SourceInvalid, match=message):
        opened(tmp_path, path, **settings)(*SPAN)


def test_a_store_that_does_not_answer_is_unavailable_and_shows_no_secret(monkeypatch):
    monkeypatch.setenv("STORE_SECRET", "s3cr3t")
    options = {
        "aws_access_key_id": "reader",
        "aws_secret_access_key": "${STORE_SECRET}",
        "aws_endpoint_url": "http://127.0.0.1:9",
        "aws_allow_http": "true",
        "aws_region": "none",
        "max_retries": 0,
    }
    source = opened(Path("."), "s3://weather/a.parquet", options=options)

    with pytest.raises(SourceUnavailable, match=r"files \(s3://weather/a.parquet\) failed 2 times") as refused:
        source(*SPAN)
    assert "s3cr3t" not in str(refused.value) + repr(source)
