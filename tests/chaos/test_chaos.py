"""The short form of `make chaos`: four years, four kills, each database. And faults of the surroundings."""

from __future__ import annotations

import os
import resource
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
import stores
from harness import _start, disturbed, undisturbed, weather
from projects import BUILT_AT, tiny_project
from record import Record, answer, first_difference, record_of

from keepwell import Project
from keepwell.deployment import rollout
from keepwell.errors import KeepwellError, StorageUnavailable
from keepwell.orchestration import CycleRecord, slots
from keepwell.serving import Journal
from keepwell.storage import Database, Table, tables
from keepwell.storage.engines import open_engine

UNTIL = datetime(1952, 12, 31, tzinfo=UTC)
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
LATER = datetime(2026, 1, 20, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, float]:
    """Four years that nobody disturbed."""
    return undisturbed(weather(tmp_path_factory.mktemp("calm") / "rain"), UNTIL)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_life_with_kills_leaves_the_same_record(calm: tuple[Record, float], tmp_path: Path, database: str) -> None:
    expected, _ = calm
    folder = weather(tmp_path / "rain", stores.fresh_postgres() if database == "postgresql" else None)
    ending = disturbed(folder, UNTIL, seed=3, kills=4, expected=expected)
    assert len(ending.kills) == 4
    assert ending.difference is None


def test_the_comparison_sees_one_changed_word(tiny: Path) -> None:
    before = record_of(tiny)
    with Project(tiny) as project, project.context.database.begin() as connection:
        connection.execute(sa.text("UPDATE events SET sentence = 'x' WHERE key LIKE '%/trained'"))
    assert (first_difference(before, record_of(tiny)) or "").startswith("events, row")


def _die_in(folder: Path, name: str, act: str) -> None:
    """Do something with a project, and die when a function is entered."""

    def die(*_given: Any, **_named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr({"_sync": Table, "seal": tables}.get(name, rollout), name, die)
    with Project(folder) as project:
        if act == "flush":
            project.flush()
        else:
            getattr(project, act)(*([1] if act == "promote" else []), reason="test", **({"override": True} if act == "promote" else {}))


@pytest.mark.parametrize(
    ("act", "name"),
    [("flush", "_sync"), ("flush", "seal"), ("promote", "record_event"), ("rollback", "record_event")],
)
def test_a_kill_inside_an_act_leaves_all_of_it_or_nothing(tiny: Path, act: str, name: str) -> None:
    if name == "_sync" and stores.STORE != "local":
        pytest.skip("an object store needs no sync, which is where this kill hits")
    with Project(tiny) as project:
        project.run(LATER, build=True)
        if project.aliases()["champion"] != 2:
            project.promote(2, reason="test", override=True)
    before = record_of(tiny)
    process = _start(_die_in, tiny, name, act)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with Project(tiny) as project:
        project.flush()
    assert first_difference(_without_rehearsals(before), _without_rehearsals(record_of(tiny))) is None


def _without_rehearsals(record: Record) -> Record:
    """Before it promotes, Keepwell rehearses the way back: an act of its own, which stays on record whatever becomes of the promotion."""
    events = [row for row in record["events"] if row["kind"] != "rehearsed"]
    return {**record, "events": [{**row, "place": 0} for row in events], "chains": []}


def _ship_and_die(folder: Path, place: str) -> None:
    """Ship a segment and die before its rows are committed, before it goes, or when its rows are in Delta and it is still there."""
    from keepwell.serving import ledger, shipping

    with Project(folder) as project:

        def die(*_: Any) -> None:
            if place == "in Delta, segment there":
                project.flush()
            os.kill(os.getpid(), signal.SIGKILL)

        append = Table.append

        def append_and_die(table: Table, *given: Any) -> Any:
            append(table, *given)
            die()

        if place == "before the commit":
            ledger.Table.append = append_and_die  # type: ignore[method-assign]
        else:
            shipping.discard = die  # type: ignore[attr-defined]
        project.ship()


@pytest.mark.parametrize("place", ["before the commit", "committed, segment there", "in Delta, segment there"])
def test_a_kill_inside_shipping_loses_and_doubles_no_answer(tiny: Path, place: str) -> None:
    with Journal(tiny / ".keepwell/journal") as journal:
        journal.append_many([answer(number) for number in range(3)]).result(10)
    process = _start(_ship_and_die, tiny, place)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with Project(tiny) as project:
        assert project.ship() == 3
        assert project.ship() == 0
        project.flush()
        predictions = project.context.predictions
        asked = predictions.rows().filter(pl.col("origin") == "api")["prediction_id"]
        assert sorted(asked) == ["asked-0", "asked-1", "asked-2"]
        assert sum(rows for _, rows in predictions.sizes(until=99)) == predictions.rows().height, "each once in Delta too"
    assert not list((tiny / ".keepwell/journal").iterdir())


def _hold(folder: Path, ready: Path) -> None:
    with Project(folder) as project:
        project.engine()
        ready.touch()
        time.sleep(60)


def _paused_between_writes(pid: int, database: Database) -> None:
    """Stop a process at a moment at which it holds no lock of the database: who is stopped inside a write locks everybody out."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            with database.begin() as connection:
                connection.execute(sa.text("SELECT 1"))
            return
        except StorageUnavailable:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.1)


def test_a_paused_worker_keeps_its_name_and_a_dead_one_loses_it(tiny: Path, tmp_path: Path) -> None:
    process = _start(_hold, tiny, tmp_path / "ready")
    with Project(tiny) as project:
        database, name = project.context.database, f"{project.name}-1"
        until = time.monotonic() + 30
        while not (tmp_path / "ready").exists() and time.monotonic() < until:
            time.sleep(0.05)
        _paused_between_writes(process.pid, database)
        assert slots.claim(database, name, "other") is None
        with database.begin() as connection:  # a lease that ran out long ago, as after a clock that jumped ahead
            connection.execute(sa.text("UPDATE workers SET lease_until = :then"), {"then": "2001-01-01 00:00:00"})
        assert slots.claim(database, name, "other") is None, "on one machine a living process keeps its name, whatever the clock says"
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert slots.claim(database, name, "other") is not None


def _run(folder: Path, limit: int | None) -> None:
    if limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        with Project(folder) as project:
            project.run(LATER, build=True)
    except KeepwellError:
        os._exit(3)
    os._exit(0)


def test_a_disk_that_takes_no_more_is_told_and_loses_nothing(tiny: Path, tmp_path: Path) -> None:
    """No file may grow past a limit: every write fails as on a full disk. With room again, the cycle ends as if nothing had been."""
    calm = stores.copy_project(tiny, tmp_path / "calm" / "tiny")
    for folder, limit in ((calm, None), (tiny, 200_000), (tiny, 1_000)):
        process = _start(_run, folder, limit)
        process.join(60)
        assert process.exitcode in (0, 3), process.exitcode
    process = _start(_run, tiny, None)
    process.join(60)
    assert process.exitcode == 0
    with Project(tiny) as project, Project(calm) as undone:
        assert [one.number for one in project.versions()] == [one.number for one in undone.versions()]
        last: CycleRecord = project.cycles(1)[0]
        assert (last.status, last.as_of) == ("done", LATER)
        assert project.context.observations.rows().drop("_known").equals(undone.context.observations.rows().drop("_known"))
        assert project.context.predictions.rows().height == undone.context.predictions.rows().height


def test_a_database_that_cuts_every_connection_in_a_cycle_is_told_and_goes_on(tmp_path: Path) -> None:
    """Every connection of the server is cut in the middle of a cycle; the next cycle finds a true record."""
    url = stores.fresh_postgres()
    folder = tiny_project(tmp_path / "tiny", settings=f'\n[store]\ndatabase = "{url}"\n' if stores.DATABASE == "sqlite" else "")
    with Project(folder) as project:
        project.run(BUILT_AT)
        before = (project.versions(), project.history(), project.context.labels.rows())
        url = project.context.database.url
        engine = open_engine(url)
        original, cut = project.context.observations.append, []

        def cutting(*given: Any, **named: Any) -> Any:
            if not cut:
                cut.append(True)
                with engine.connect() as connection:
                    connection.execute(sa.text(CUT))
            return original(*given, **named)

        project.context.observations.append = cutting  # type: ignore[method-assign]
        try:
            record = project.run(LATER)
        except StorageUnavailable:
            record = project.run(LATER)
        if record.status != "done":
            record = project.run(LATER)
        engine.dispose()
        assert cut and record.status == "done"
        assert project.versions()[: len(before[0])] == before[0]
        assert project.history()[: len(before[1])] == before[1]


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)], ids=["back", "ahead"])
def test_a_clock_that_jumps_changes_no_order(tiny: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta) -> None:
    """Records are ordered by their moments and their arrival, not by the wall clock."""
    from keepwell.storage import history

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + jump

    with Project(tiny) as project:
        first = [event.sentence for event in project.history()]
        monkeypatch.setattr(history, "datetime", Jumped)
        project.run(LATER, build=True)
        assert [event.sentence for event in project.history()][: len(first)] == first
        number = project.versions()[-1].number
        if number != project.aliases()["champion"]:
            project.promote(number, reason="test", override=True, as_of=LATER)
        assert project.aliases()["champion"] == number


def test_a_record_that_is_no_database_is_told(tiny: Path) -> None:
    if stores.DATABASE != "sqlite":
        pytest.skip("a file that is damaged is SQLite's")
    found = tiny / ".keepwell" / "keepwell.db"
    found.write_bytes(b"not a database" * 1000)
    with pytest.raises(KeepwellError) as told:
        Database(f"sqlite:///{found}", tiny)
    assert isinstance(told.value, StorageUnavailable)
