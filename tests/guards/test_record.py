"""The record's shape: what the code expects, and what the migrations make, are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from package import SRC

import keepwell.orchestration  # noqa: F401 - with it all rooms that declare tables
from keepwell.storage import HEAD, Database
from keepwell.storage.schema import metadata


def test_head_is_the_newest_migration() -> None:
    found = sorted(path.name.split("_")[0] for path in (SRC / "storage/migrations/versions").glob("[0-9]*.py"))
    assert found[-1] == HEAD
    assert found == sorted(set(found)), "two migrations with one number"


@pytest.fixture
def migrated(tmp_path: Path) -> sa.Connection:
    database = Database(f"sqlite:///{tmp_path}/record.db", tmp_path)
    with database.engine.connect() as connection:
        yield connection
    database.close()


def test_migrations_make_exactly_the_tables_that_the_rooms_declare(migrated: sa.Connection) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(migrated, opts={"compare_type": True})
    assert compare_metadata(context, metadata) == []


def test_every_table_belongs_to_a_model_or_says_why_not() -> None:
    """Many models may share one record, so rows say whose they are; tables and workers carry the model in their names."""
    named = {"tables", "commits", "workers"}
    assert [table.name for table in metadata.sorted_tables if "model" not in table.c and table.name not in named] == []
