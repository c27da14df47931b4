"""Versioned tables: nothing is overwritten, any moment can be read again, and Delta gets every commit exactly once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores

from keepwell.storage import ArtifactStore, Database, Table, flaws

Place = tuple[ArtifactStore, str]
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An artifact store, and where tables are."""
    root = stores.store_url(tmp_path, "kept")
    return ArtifactStore(f"{root}/artifacts", tmp_path), f"{root}/tables"


def open_table(database: Database, place: Place) -> Table:
    return Table(database, *place, "rain/observations", ("station", "day"), "day")


def rows(*days: int, value: float = 1.0, station: str = "north") -> pl.DataFrame:
    times = pl.Series([START + timedelta(days=day) for day in days], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"station": [station] * len(days), "day": times, "value": [value] * len(days)})


def append(table: Table, database: Database, key: str, frame: pl.DataFrame) -> int:
    with database.begin() as connection:
        return table.append(connection, key, frame, START).number


def values(table: Table, **window: object) -> list[float]:
    found = table.rows(**window)  # type: ignore[arg-type]
    return found["value"].to_list() if not found.is_empty() else []


def test_the_same_key_again_adds_nothing(database: Database, place: Place) -> None:
    table = open_table(database, place)
    assert append(table, database, "cycle-1", rows(1, 2)) == append(table, database, "cycle-1", rows(1, 2)) == 1
    assert values(table) == [1.0, 1.0]


def test_an_aborted_transaction_leaves_nothing(database: Database, place: Place) -> None:
    table = open_table(database, place)
    with pytest.raises(RuntimeError, match="power"), database.begin() as connection:
        table.append(connection, "cycle-1", rows(1), START)
        raise RuntimeError("power")
    assert values(table) == []
    assert append(table, database, "cycle-2", rows(5)) == 1


def test_a_corrected_row_replaces_the_first_one_but_the_first_can_be_read(database: Database, place: Place) -> None:
    table = open_table(database, place)
    first = append(table, database, "a", rows(1, 2, value=1.0))
    append(table, database, "b", rows(2, value=9.0))
    assert values(table) == [1.0, 9.0]
    assert values(table, at=first) == [1.0, 1.0]


def test_rows_of_a_key_are_found_in_the_record_and_in_delta(database: Database, place: Place) -> None:
    table = open_table(database, place)
    assert table.where(station="north").is_empty()
    append(table, database, "cycle-1", rows(1, 2))
    table.flush()
    append(table, database, "cycle-2", pl.concat([rows(2, value=5.0), rows(2, 3, station="south")]))
    for station in ("north", "south", "east"):
        found = table.where(station=station)
        assert found.equals(table.rows().filter(station=station)) or found.is_empty()
        assert found.height == {"north": 2, "south": 2, "east": 0}[station]
    assert table.where(station="north")["value"].to_list() == [1.0, 5.0]


def test_what_a_commit_saw_stays_readable_after_flush_and_vacuum(database: Database, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepwell.storage.tables.COMPACT_FILES", 2)
    table = open_table(database, place)
    for number in range(1, 7):
        append(table, database, f"c{number}", rows(1, value=float(number)))
        table.flush()
    assert values(open_table(database, place), at=3) == [3.0]
    assert values(open_table(database, place)) == [6.0]


def test_a_crash_between_delta_and_the_record_does_not_double_rows(
    database: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = open_table(database, place)
    append(table, database, "a", rows(1, 2, 3))

    def die(*_: object) -> None:
        raise SystemExit("killed after the Delta commit")

    monkeypatch.setattr(Table, "_sync", die)
    with pytest.raises(SystemExit):
        table.flush()
    monkeypatch.undo()
    again = open_table(database, place)
    assert values(again) == [1.0, 1.0, 1.0]
    assert again.flush() == 0
    assert values(again) == [1.0, 1.0, 1.0]
    with database.read() as connection:
        assert again.waiting(connection) == 0


def test_a_commit_too_large_for_the_database_is_kept_as_an_artifact(
    database: Database, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepwell.storage.tables.INLINE_BYTES", 100)
    table = open_table(database, place)
    append(table, database, "a", rows(*range(50)))
    assert len(values(open_table(database, place))) == 50
    assert table.flush() == 50
    assert len(values(open_table(database, place))) == 50


def test_a_second_reader_sees_what_another_flushed(database: Database, place: Place) -> None:
    writer, reader = open_table(database, place), open_table(database, place)
    append(writer, database, "a", rows(1))
    assert values(reader) == [1.0]
    append(writer, database, "b", rows(2))
    writer.flush()
    append(writer, database, "c", rows(3))
    assert len(values(reader)) == 3


def test_a_new_column_leaves_older_rows_null(database: Database, place: Place) -> None:
    table = open_table(database, place)
    append(table, database, "a", rows(1))
    table.flush()
    append(table, database, "b", rows(2).with_columns(gust=pl.lit(5.0)))
    table.flush()
    assert open_table(database, place).rows()["gust"].to_list() == [None, 5.0]


def test_decimals_after_whole_numbers_keep_their_decimals(database: Database, place: Place) -> None:
    table = open_table(database, place)
    append(table, database, "a", rows(1).with_columns(value=pl.lit(1, pl.Int32)))
    table.flush()
    append(table, database, "b", rows(2).with_columns(value=pl.lit(1.5)))
    table.flush()
    append(table, database, "c", rows(3).with_columns(value=pl.lit(2, pl.Int64)))
    table.flush()
    assert values(open_table(database, place)) == values(table) == [1.0, 1.5, 2.0]
    assert values(open_table(database, place), at=1) == [1.0]


def test_columns_without_a_type_and_categories_can_be_kept(database: Database, place: Place) -> None:
    table = open_table(database, place)
    odd = rows(1).with_columns(nothing=pl.lit(None), kind=pl.lit("a").cast(pl.Categorical))
    append(table, database, "a", odd)
    assert table.flush() == 1
    assert open_table(database, place).rows()["kind"].to_list() == ["a"]


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_appends_flushes_and_reads_agrees_with_a_dictionary(database: Database, place: Place, seed: int) -> None:
    draw = np.random.default_rng(seed)
    tables = [open_table(database, place), open_table(database, place)]
    expected: dict[int, float] = {}
    past: dict[int, dict[int, float]] = {}
    for step in range(60):
        table = tables[draw.integers(2)]
        match draw.integers(4):
            case 0 | 1:
                days = sorted(set(draw.integers(0, 800, size=draw.integers(1, 4)).tolist()))
                number = append(table, database, f"s{step}", rows(*days, value=float(step)))
                expected.update(dict.fromkeys(days, float(step)))
                past[number] = dict(expected)
            case 2:
                table.flush()
            case 3:
                since = int(draw.integers(0, 800))
                seen = table.rows(since=START + timedelta(days=since))
                days = [(day - START).days for day in seen["day"]] if not seen.is_empty() else []
                assert days == sorted(day for day in expected if day >= since)
    for number, then in past.items():
        assert values(tables[0], at=number) == [then[day] for day in sorted(then)]


def test_old_rows_that_are_let_go_are_gone_for_all_readers_and_the_others_stay(database: Database, place: Place) -> None:
    table, reader = open_table(database, place), open_table(database, place)
    append(table, database, "a", rows(1, 2, 3, value=1.0))
    table.flush()
    append(table, database, "b", rows(4, value=2.0))
    moment = sorted(table.rows()["day"])[1]
    assert reader.rows().height == 4
    assert table.forget(moment, dry_run=True) == 1 and table.rows().height == 4
    assert table.forget(moment) == 1
    assert min(table.rows()["day"]) == moment and table.rows().height == open_table(database, place).rows().height == 3
    table.flush()
    assert open_table(database, place).rows().height == 3 and not list(flaws(table.files, deep=True))
    assert table.forget(moment) == 0
