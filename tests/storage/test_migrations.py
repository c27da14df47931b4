"""The record's history of shapes: from every step to the newest one, on both databases, and no row is lost on the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import stores
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from crashing import die, run_in_process

import keepwell.access
import keepwell.orchestration  # noqa: F401 - with it all rooms that declare tables
from keepwell import storage
from keepwell.storage import HEAD, Database
from keepwell.storage.engines import absolute, open_engine
from keepwell.storage.migrations import upgrade
from keepwell.storage.schema import metadata

STEPS = sorted(path.name.split("_")[0] for path in Path(storage.__file__).parent.glob("migrations/versions/[0-9]*.py"))
LATER = pytest.mark.thorough("the first step is followed by all the others")
FILL = {sa.Text: "a", sa.BigInteger: 1, sa.Integer: 1, sa.Float: 0.5, sa.Boolean: True, sa.JSON: {"a": 1}, sa.LargeBinary: b"a"}
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind, whichever the other tests run on."""
    return absolute(stores.fresh_postgres("template0") if request.param == "postgresql" else "sqlite:///record.db", tmp_path)


@pytest.fixture(params=STEPS)
def old(request: pytest.FixtureRequest, url: str) -> Iterator[sa.Engine]:
    """A record as it was at a step, with a row in each table."""
    engine = open_engine(url)
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        upgrade(connection, request.param)
        for table in tables_of(connection):
            connection.execute(sa.insert(table).values({column.name: fill(column) for column in table.columns}))
    yield engine
    engine.dispose()


def tables_of(connection: sa.Connection) -> list[sa.Table]:
    found = sa.MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def fill(column: sa.Column[Any]) -> Any:
    if isinstance(column.type, sa.DateTime):
        return MOMENT
    return next(value for kind, value in FILL.items() if isinstance(column.type, kind))


def test_the_newest_step_is_the_head() -> None:
    assert STEPS[-1] == HEAD
    assert len(STEPS) == len(set(STEPS)), "two steps with one number"


def test_every_step_leads_to_the_newest_shape_and_loses_no_row(old: sa.Engine, url: str, tmp_path: Path) -> None:
    with old.connect() as connection:
        before = {table.name for table in tables_of(connection)}
    database = Database(url, tmp_path)
    assert database.revision() == HEAD
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
        kept = {table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() for table in tables_of(connection)}
    assert {name: kept[name] for name in before if name in kept} == dict.fromkeys(before & kept.keys(), 1)
    database.close()


def test_a_step_that_fails_leaves_the_record_as_it_was(old: sa.Engine, url: str) -> None:
    with old.connect() as connection:
        before = [table.name for table in tables_of(connection)]
    with pytest.raises(RuntimeError, match="power"), old.connect().execution_options(write=True) as connection, connection.begin():
        upgrade(connection, HEAD)
        connection.execute(sa.text("DROP TABLE events"))
        raise RuntimeError("power")
    with old.connect() as connection:
        assert [table.name for table in tables_of(connection)] == before


def upgrade_and_die(url: str, folder: Path, statements: int) -> None:
    """Open the record, which brings it to the newest shape, and be killed when so many statements have changed it."""
    left = [statements]

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().split()[0] in ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE"):
            left[0] -= 1
            if not left[0]:
                die()

    sa.event.listen(sa.Engine, "after_cursor_execute", count)
    Database(url, folder).close()


def counts(engine: sa.Engine) -> dict[str, int]:
    """How many rows each table has."""
    with engine.connect() as connection:
        tables = tables_of(connection)
        found = {table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables}
    engine.dispose()
    return found


def killed_on_the_way(url: str, folder: Path, engine: sa.Engine) -> int:
    """Kill upgrades after one statement, after two and so on, with growing steps; each must leave what was there. Answers how many."""
    before, statements, kills = counts(engine), 1, 0
    while (code := run_in_process(upgrade_and_die, url, folder, statements)) != 0:
        assert code == -signal.SIGKILL
        assert counts(engine) == before
        kills += 1
        statements += 1 + statements // 2
    return kills


@pytest.mark.parametrize("old", [STEPS[0], *(pytest.param(step, marks=LATER) for step in STEPS[1:-1]), STEPS[-1]], indirect=True)
def test_a_kill_inside_an_upgrade_leaves_the_record_as_it_was_and_the_next_one_ends_it(old: sa.Engine, url: str, tmp_path: Path) -> None:
    before = counts(old)
    with old.connect() as connection:
        is_newest = MigrationContext.configure(connection).get_current_revision() == HEAD
    old.dispose()
    assert (killed_on_the_way(url, tmp_path, old) >= 2) != is_newest
    database = Database(url, tmp_path)
    assert database.revision() == HEAD
    after = counts(old)
    assert {name: after[name] for name in before if name in after} == {name: before[name] for name in before if name in after}
    database.close()


def test_a_kill_while_a_record_is_made_leaves_none_and_the_next_one_makes_it(url: str, tmp_path: Path) -> None:
    engine = open_engine(url)
    assert killed_on_the_way(url, tmp_path, engine) >= 5
    database = Database(url, tmp_path)
    assert database.revision() == HEAD
    assert set(counts(engine)) == {table.name for table in metadata.sorted_tables}
    database.close()
