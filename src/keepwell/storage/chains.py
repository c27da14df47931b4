"""Rows that may only be added, each with a hash over the row before it: an edited, removed or reordered one is found.

A table is chained when it has the columns of `schema.linked`. Each model has its own chain in it: the first row has place 1,
and its hash covers its content and the hash of the row before. A table of heads holds the last place and hash of each chain;
it is updated in the transaction that adds the row. So a removed end is found as well, and on PostgreSQL two who add at once
take turns at the head.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from keepwell.storage.engines import to_json
from keepwell.storage.schema import integer, metadata, text

FIRST = "0" * 64  # what stands before the first row
heads = sa.Table("chains", metadata, text("model", primary=True), text("chain", primary=True), integer("place"), text("hash"))


def models_on_record() -> sa.Subquery:
    """The names of all models in the record, as a query to join with: one seek a model, where grouping would read every row."""
    return sa.select(heads.c.model).distinct().subquery()


def chained() -> list[sa.Table]:
    """The tables whose rows are linked, by name."""
    return [table for table in metadata.sorted_tables if {"place", "hash"} <= set(table.c.keys()) and table is not heads]


def covered(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that a hash covers: all but itself and the number that the database counts up by itself."""
    return [column for column in table.columns if column.name != "hash" and column is not table.autoincrement_column]


def link(before: str, row: Mapping[str, Any]) -> str:
    """The hash of a row that stands behind the hash `before`.

    Values that are None are left out, so that a later column which old rows do not have changes none of their hashes.

    Examples
    --------
    >>> link(FIRST, {"place": 1, "sentence": "built", "note": None}) == link(FIRST, {"sentence": "built", "place": 1})
    True
    """
    said = {name: _plain(value) for name, value in row.items() if value is not None and name not in ("hash", "seq")}
    return sha256(f"{before}\n{canonical(said)}".encode()).hexdigest()


def canonical(value: Any) -> str:
    """One JSON text for what a database gives back, in whatever order it was written."""
    return json.dumps(json.loads(to_json(value)), sort_keys=True, separators=(",", ":"))


def plainly(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as `link` sees it, with its hash: plain JSON values, what is None left out."""
    return {name: _plain(value) for name, value in row.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return aware.isoformat(timespec="microseconds")
    return value


def append_once(connection: sa.Connection, table: sa.Table, values: dict[str, Any]) -> bool:
    """Add a row at the end of its model's chain, once per key. True when it is new.

    The key is ``(model, key)`` where the table has one, else its primary key. It costs one read and one write more than a
    plain insert.
    """
    model = values["model"]
    last = _head(connection, table.name, model)
    row = {**values, "place": last.place + 1}
    row["hash"] = link(last.hash, row)
    if connection.execute(_adding(table, connection.dialect.name), row).first() is None:
        return False
    connection.execute(MOVE, {"of_model": model, "of_chain": table.name, "place": row["place"], "hash": row["hash"]})
    return True


# Statements are made once: making one takes longer than SQLite takes to run it.
_MINE = (heads.c.model == sa.bindparam("of_model")) & (heads.c.chain == sa.bindparam("of_chain"))
LAST = sa.select(heads.c.place, heads.c.hash).where(_MINE).with_for_update()
MOVE = sa.update(heads).where(_MINE).values(place=sa.bindparam("place"), hash=sa.bindparam("hash"))


@cache
def _adding(table: sa.Table, dialect: str) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    key = ["model", "key"] if "key" in table.c else [column.name for column in table.primary_key]
    return insert(table).on_conflict_do_nothing(index_elements=key).returning(sa.literal_column("1"))


def _head(connection: sa.Connection, chain: str, model: str) -> Any:
    from keepwell.storage.database import insert_once

    mine = {"of_model": model, "of_chain": chain}
    found = connection.execute(LAST, mine).first()
    if found is None:  # the first of two who find none makes it, the other waits here for its end
        insert_once(connection, heads, {"model": model, "chain": chain, "place": 0, "hash": FIRST})
        found = connection.execute(LAST, mine).one()
    return found
