"""The whole record as rows of plain JSON, out of one database and into another; and what of it nobody needs any more."""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from keepwell.errors import SchemaTooNew
from keepwell.storage import HEAD, Database
from keepwell.storage.schema import Utc, metadata

LEFT_OUT = {"workers", "tokens"}  # who is at work at this moment; who may do what here: a copy must not bring a revoked token back
BY_NAME = {"tables", "commits"}  # rows of these carry the model in the name of the versioned table
SWEPT = "swept:"  # before the identity of a step whose files are gone, so that no later build takes them for there
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
Row = dict[str, Any]


def names() -> list[str]:
    """The tables of a record that a copy holds, in an order in which they may be filled."""
    return [table.name for table in metadata.sorted_tables if table.name not in LEFT_OUT]


def rows(connection: sa.Connection, name: str, model: str) -> Iterator[Row]:
    """A model's rows of one table as JSON values, in the order they came.

    Moments are ISO texts, bytes are base64. Numbers that the database counts up itself are left out: only their order means
    something, and another database counts its own.
    """
    table = metadata.tables[name]
    kept = [column for column in table.columns if column is not table.autoincrement_column]
    query = sa.select(*kept).where(_of(table, model)).order_by(*table.primary_key)
    for row in connection.execute(query).mappings():
        yield {column.name: _plain(row[column]) for column in kept}


def keys(name: str) -> list[str]:
    """The columns that name a row, in every database."""
    table = metadata.tables[name]
    own = [column.name for column in table.primary_key if column is not table.autoincrement_column]
    return own or ["model", "key"]


def add_rows(connection: sa.Connection, name: str, found: list[Row]) -> None:
    """Put rows that `rows` gave into a table."""
    table = metadata.tables[name]
    if found:
        connection.execute(sa.insert(table), [{key: _typed(table.c[key].type, value) for key, value in row.items()} for row in found])


def add_record(connection: sa.Connection, record: Mapping[str, list[Row]]) -> None:
    """Put a whole record (table -> its rows) into a database that holds nothing of the model yet."""
    for name in names():
        add_rows(connection, name, record.get(name, []))


def upgraded(record: Mapping[str, list[Row]], model: str, schema: str) -> dict[str, list[Row]]:
    """Rows of an older record as the newest migration has them: they go through a database of that age.

    Raises
    ------
    SchemaTooNew : a newer Keepwell made them.
    """
    if schema == HEAD:
        return dict(record)
    if schema > HEAD:
        raise SchemaTooNew(schema, HEAD)
    with tempfile.TemporaryDirectory() as folder:
        old = Database(f"sqlite:///{folder}/record.db", Path(folder), shape=schema)
        shapes = sa.MetaData()
        shapes.reflect(old.engine)
        with old.begin() as connection:
            for name, found in record.items():
                kinds = shapes.tables[name].c
                rows_ = [{key: _naive(_typed(kinds[key].type, value)) for key, value in row.items()} for row in found]
                if rows_:
                    connection.execute(sa.insert(shapes.tables[name]), rows_)
        old.close()
        new = Database(f"sqlite:///{folder}/record.db", Path(folder))
        with new.read() as connection:
            result = {name: list(rows(connection, name, model)) for name in names()}
        new.close()
    return result


def _naive(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value  # as SQLite keeps moments


def count(connection: sa.Connection, name: str, model: str) -> int:
    """How many rows of a table are a model's."""
    table = metadata.tables[name]
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(_of(table, model))).scalar_one())


def _of(table: sa.Table, model: str) -> sa.ColumnElement[bool]:
    return table.c.name.startswith(f"{model}/", autoescape=True) if table.name in BY_NAME else table.c.model == model


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _typed(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, sa.LargeBinary):
        return base64.b64decode(value)
    return datetime.fromisoformat(value) if isinstance(kind, Utc | sa.DateTime) else value


# --- what is named ----------------------------------------------------------------------------------------------------


def named(connection: sa.Connection, but: Mapping[str, Callable[[Row], Row]] | None = None, model: str | None = None) -> set[str]:
    """Every digest that stands anywhere in the record: in a column, in facts, in results, however deep.

    Parameters
    ----------
    but : table -> a function that takes out of a row what no longer counts.
    model : only this model's rows; default everybody's.
    """
    found: set[str] = set()
    for name in names():
        table = metadata.tables[name]
        columns = [column for column in table.columns if not isinstance(column.type, sa.LargeBinary)]
        thin = (but or {}).get(name, _whole)
        query = sa.select(*columns) if model is None else sa.select(*columns).where(_of(table, model))
        for row in connection.execute(query).mappings():
            found.update(_DIGEST.findall(json.dumps(thin({str(key): value for key, value in row.items()}), default=str)))
    return found


def where_named(connection: sa.Connection, model: str, digest: str) -> str:
    """The first row that names a digest: its table and key."""
    for name in names():
        for row in rows(connection, name, model):
            if digest in json.dumps(row):
                return " ".join([name, *(str(row[key]) for key in keys(name) if key != "model")])
    return "the record"


def _whole(row: Row) -> Row:
    return row


def newest_event(connection: sa.Connection, model: str) -> datetime | None:
    """When the newest line of the timeline was written."""
    events = metadata.tables["events"]
    found: datetime | None = connection.execute(sa.select(sa.func.max(events.c.recorded_at)).where(events.c.model == model)).scalar()
    return found


def page_faults(connection: sa.Connection, *, deep: bool) -> list[str]:
    """What SQLite finds wrong with its own pages; PostgreSQL checks its own as it reads them."""
    if connection.dialect.name != "sqlite":
        return []
    check = "integrity_check" if deep else "quick_check"
    return [problem for (problem,) in connection.execute(sa.text(f"PRAGMA {check}(5)")) if problem != "ok"]


def without_flushed(connection: sa.Connection) -> Callable[[Row], Row]:
    """For `named`: a commit that Delta holds by now does not need the file in which it waited."""
    flushed = {row.name: row.flushed for row in connection.execute(sa.select(metadata.tables["tables"]))}
    return lambda row: {} if row["number"] <= flushed.get(row["name"], 0) else row


# --- what goes --------------------------------------------------------------------------------------------------------


def sweep_steps(connection: sa.Connection, model: str, runs: set[str]) -> None:
    """Let no later build take the results of these runs for there."""
    steps = metadata.tables["steps"]
    mine = (steps.c.model == model) & steps.c.run.in_(sorted(runs)) & ~steps.c.identity.startswith(SWEPT)
    connection.execute(sa.update(steps).where(mine).values(identity=SWEPT + steps.c.identity))


def forget_workflows(connection: sa.Connection, model: str, before: datetime | None = None, *, dry_run: bool = False) -> int:
    """Remove the workflow library's rows of a model's work: what ended before a moment, or all (`before` None).

    What ended is told by the record itself; the library's rows serve only work that a crash interrupts. Answers how many.
    """
    inspector = sa.inspect(connection)
    schema = None if connection.dialect.name == "sqlite" else "dbos"
    there = inspector.get_table_names(schema=schema) if schema is None or schema in inspector.get_schema_names() else []
    if "workflow_status" not in there:
        return 0
    status = sa.table("workflow_status", sa.column("workflow_uuid"), sa.column("status"), sa.column("updated_at"), schema=schema)
    old = status.c.workflow_uuid.startswith(f"cycle/{model}/", autoescape=True)
    if before is not None:
        old &= status.c.status.in_(("SUCCESS", "ERROR")) & (status.c.updated_at < int(before.astimezone(UTC).timestamp() * 1000))
    ids = list(connection.execute(sa.select(status.c.workflow_uuid).where(old)).scalars())
    if dry_run:
        return len(ids)
    for name in there:
        if "workflow_uuid" in {column["name"] for column in inspector.get_columns(name, schema=schema)}:
            table = sa.table(name, sa.column("workflow_uuid"), schema=schema)
            for at in range(0, len(ids), 500):
                connection.execute(sa.delete(table).where(table.c.workflow_uuid.in_(ids[at : at + 500])))
    return len(ids)
