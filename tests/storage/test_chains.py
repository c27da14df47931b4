"""The chain of the timeline: whatever is done to a row behind Keepwell's back is found, and named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import stores

from keepwell.storage import Database, Event, list_events, record_event
from keepwell.storage.breaks import Chain, walk
from keepwell.storage.chains import FIRST, heads, link
from keepwell.storage.history import events

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A record with a few lines, on either database whichever the other tests run on."""
    database = Database(stores.fresh_postgres() if request.param == "postgresql" else "sqlite:///record.db", tmp_path)
    for number in range(1, MANY + 1):
        write(database, number)
    yield database
    database.close()


def write(database: Database, number: int) -> None:
    with database.begin() as connection:
        facts = {"number": number, "share": 0.1 * number, "odd": float("nan"), "text": "ä", "by": "mira"}
        record_event(connection, "rain", str(number), Event("trained", NOW + timedelta(days=number), f"line {number}", facts, "mira"))


def chain(database: Database) -> Chain:
    with database.read() as connection:
        return next(found for found in walk(connection, "rain") if found.name == "events")


def change(database: Database, *statements: Any) -> None:
    with database.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def at(place: int) -> Any:
    return events.c.place == place


def test_a_record_that_nobody_touched_is_whole(told: Database) -> None:
    found = chain(told)
    assert (found.rows, found.broken) == (MANY, None)


EDITS: dict[str, Any] = {
    "text": {"sentence": "line 3, mended"},
    "facts": {"facts": {"number": 4}},
    "person": {"by": "keepwell"},
    "moment": {"as_of": NOW},
    "when it was written": {"recorded_at": NOW},
    "kind": {"kind": "promoted"},
    "key": {"key": "other"},
}


@pytest.mark.parametrize("what", EDITS)
@pytest.mark.parametrize("place", [1, 3, MANY])
def test_an_edited_row_is_named(told: Database, what: str, place: int) -> None:
    change(told, sa.update(events).where(at(place)).values(**EDITS[what]))
    found = chain(told).broken
    assert found is not None and (found.kind, found.place) == ("edited", place)
    assert found.key == ("other" if what == "key" else str(place))


def test_a_removed_row_is_named(told: Database) -> None:
    change(told, sa.delete(events).where(at(3)))
    found = chain(told).broken
    assert found is not None and (found.kind, found.place) == ("removed", 3)


def test_a_removed_row_is_found_when_the_others_move_up(told: Database) -> None:
    change(
        told, sa.delete(events).where(at(3)), *(sa.update(events).where(at(place)).values(place=place - 1) for place in range(4, MANY + 1))
    )
    found = chain(told).broken
    assert found is not None and found.place == 3


def test_a_removed_end_is_named(told: Database) -> None:
    change(told, sa.delete(events).where(events.c.place > MANY - 2))
    found = chain(told).broken
    assert found is not None and (found.kind, found.place) == ("removed", MANY - 1)
    assert f"rows {MANY - 1} to {MANY} are gone" in found.sentence


def test_two_rows_that_changed_places_are_named(told: Database) -> None:
    change(
        told,
        sa.update(events).where(at(2)).values(place=99),
        sa.update(events).where(at(4)).values(place=2),
        sa.update(events).where(at(99)).values(place=4),
    )
    found = chain(told).broken
    assert found is not None and (found.kind, found.place, found.key) == ("moved", 2, "2")


def test_rows_whose_order_of_arrival_was_changed_are_named(told: Database) -> None:
    """The newest by `seq` is what an alias means now, so this would change who serves."""
    with told.read() as connection:
        numbers = dict(connection.execute(sa.select(events.c.place, events.c.seq)).all())  # type: ignore[arg-type]
    change(
        told,
        sa.update(events).where(at(2)).values(seq=9999),
        sa.update(events).where(at(4)).values(seq=numbers[2]),
        sa.update(events).where(at(2)).values(seq=numbers[4]),
    )
    found = chain(told).broken
    assert found is not None and (found.kind, found.place) == ("moved", 3)


def forged(before: str, place: int) -> dict[str, Any]:
    row = {
        "model": "rain",
        "key": "forged",
        "kind": "promoted",
        "as_of": NOW,
        "recorded_at": NOW,
        "sentence": "x",
        "facts": {},
        "by": "eve",
    }
    row["place"] = place
    return {**row, "hash": link(before, row)}


def test_a_forged_row_is_found_though_its_hash_fits(told: Database) -> None:
    last = chain(told).hash
    change(told, sa.insert(events).values(**forged(last, MANY + 1)))
    found = chain(told).broken
    assert found is not None and (found.kind, found.place, found.key) == ("added", MANY + 1, "forged")


def test_a_row_put_between_others_is_found(told: Database) -> None:
    with told.read() as connection:
        before = connection.execute(sa.select(events.c.hash).where(at(2))).scalar_one()
    moved = [sa.update(events).where(at(place)).values(place=place + 1) for place in range(MANY, 2, -1)]
    change(told, *moved, sa.insert(events).values(**forged(before, 3)))
    found = chain(told).broken
    assert found is not None and found.place == 3 + (found.kind == "edited" and found.key != "forged")


def test_an_edited_or_removed_head_is_found(told: Database) -> None:
    change(told, sa.update(heads).values(hash=FIRST))
    found = chain(told).broken
    assert found is not None and found.kind == "head"
    change(told, sa.delete(heads))
    found = chain(told).broken
    assert found is not None and found.kind == "head"


def test_two_rows_cannot_have_one_place(told: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        change(told, sa.insert(events).values(**forged(FIRST, 2)))


def test_two_connections_and_many_threads_make_one_line(told: Database, tmp_path: Path) -> None:
    """Each key is written by two at once, on two connections; none is lost, none comes twice, nothing forks."""
    other = Database(told.url, tmp_path)
    failures: list[BaseException] = []

    def work(database: Database) -> Callable[[], None]:
        def run() -> None:
            try:
                for number in range(10, 40):
                    write(database, number)
            except BaseException as error:
                failures.append(error)

        return run

    threads = [threading.Thread(target=work(database)) for database in (told, other, told, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    assert failures == []
    found = chain(told)
    assert (found.rows, found.broken) == (MANY + 30, None)


def test_writers_with_locks_of_their_own_do_not_fork_it(told: Database) -> None:
    """A transaction with another lock does not wait its turn for the record, but it does wait at the head of the chain."""
    failures: list[BaseException] = []

    def run(lock: str) -> None:
        try:
            for number in range(10):
                with told.begin(lock) as connection:
                    record_event(connection, "rain", f"{lock}/{number}", Event("trained", NOW, "line", {}))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(lock,)) for lock in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert (chain(told).rows, chain(told).broken) == (MANY + 30, None)


def test_a_line_says_by_whom_and_can_be_asked_for(told: Database) -> None:
    with told.begin() as connection:
        record_event(connection, "rain", "own", Event("trained", NOW, "line", {}))
    with told.read() as connection:
        assert [line.by for line in list_events(connection, "rain", by="keepwell")] == ["keepwell"]
        assert len(list_events(connection, "rain", by="mira")) == MANY
