"""Is the record still what was written? Walks each chain again and names the first row that was edited, removed or moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from keepwell.storage.chains import FIRST, chained, covered, heads, link, plainly
from keepwell.storage.schema import metadata

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Break:
    """The first place at which a chain is not what was written; `kind` is edited, removed, moved, added or head."""

    chain: str
    model: str
    place: int
    kind: str
    key: str
    sentence: str


@dataclass(frozen=True)
class Chain:
    """One chain as it is: how many rows it has, its last hash, and where it breaks (None when it is whole)."""

    name: str
    model: str
    rows: int
    hash: str
    broken: Break | None


def walk(connection: sa.Connection, model: str) -> list[Chain]:
    """Recompute every chain of a model, by name."""
    return [_of_table(connection, model, table) for table in chained()]


def dumped(connection: sa.Connection, model: str) -> dict[str, tuple[list[dict[str, Any]], tuple[int, str] | None]]:
    """Every chain of a model as plain JSON rows in order of place, and its head: `follow` takes both."""
    found = {}
    for table in chained():
        query = sa.select(*covered(table), table.c.hash).where(table.c.model == model).order_by(table.c.place)
        rows = [plainly(dict(row)) for row in connection.execute(query).mappings()]
        end = connection.execute(sa.select(heads.c.place, heads.c.hash).where(heads.c.model == model, heads.c.chain == table.name)).first()
        found[table.name] = (rows, (int(end.place), str(end.hash)) if end else None)
    return found


def hash_at(connection: sa.Connection, model: str, place: int, chain: str = "events") -> str | None:
    """The hash of the row at a place; None when there is none."""
    table = metadata.tables[chain]
    found: str | None = connection.execute(sa.select(table.c.hash).where(table.c.model == model, table.c.place == place)).scalar()
    return found


def _of_table(connection: sa.Connection, model: str, table: sa.Table) -> Chain:
    end = connection.execute(sa.select(heads.c.place, heads.c.hash).where(heads.c.model == model, heads.c.chain == table.name)).first()
    query = sa.select(*covered(table), table.c.hash).where(table.c.model == model)
    count = table.autoincrement_column
    query = (query.add_columns(count.label("_seq")) if count is not None else query).order_by(table.c.place, *table.primary_key)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return follow(table.name, model, rows, (end.place, end.hash) if end else None)


def follow(name: str, model: str, rows: Iterable[Row], end: tuple[int, str] | None) -> Chain:
    """Recompute a chain from its rows in order of place, and hold it against its head (None where there is no head)."""
    held = list(rows)
    last, count = FIRST, 0
    for count, row in enumerate(held, 1):
        if flaw := _flaw(held, count, last):
            return Chain(name, model, len(held), last, Break(name, model, count, *flaw))
        last = row["hash"]
    wrong = _end(held, end, last)
    return Chain(name, model, len(held), last, Break(name, model, *wrong) if wrong else None)


def _flaw(rows: list[Row], place: int, before: str) -> tuple[str, str, str] | None:
    """What is wrong with the row that stands at a place: kind, key and sentence."""
    row = rows[place - 1]
    key = key_of(row)
    if row["place"] > place:
        return "removed", "", f"no row has place {place}; the next one, {key}, has place {row['place']}"
    if row["place"] < place:
        return "added", key, f"a second row has place {row['place']}"
    if _said(before, row) != row["hash"]:
        return _misfit(rows, place, before)
    if place > 1 and row.get("_seq") is not None and row["_seq"] < rows[place - 2]["_seq"]:
        return "moved", key, "numbered before the row that it follows"
    return None


def _misfit(rows: list[Row], place: int, before: str) -> tuple[str, str, str]:
    row = rows[place - 1]
    key = key_of(row)
    for other in rows[place:]:  # the row that was written here, at another place now
        if _said(before, {**other, "place": place}) == other["hash"]:
            return "moved", key_of(other), f"it was written as row {place} and stands at place {other['place']} now"
    after = rows[place] if place < len(rows) else None
    if after is not None and _said(row["hash"], after) == after["hash"]:
        return "edited", key, f"its content is not what was written: {_shown(row)}"
    how = "edited with its hash, put in, or another was removed"
    return "edited", key, f"neither it nor what follows is what was written here: {how}: {_shown(row)}"


def _end(rows: list[Row], end: tuple[int, str] | None, last: str) -> tuple[int, str, str, str] | None:
    if end is None:
        return (1, "head", "", f"the chain has {len(rows)} rows and no head: its head was removed") if rows else None
    place, digest = end
    if place > len(rows):
        gone = f"rows {len(rows) + 1} to {place} are" if place > len(rows) + 1 else f"row {place} is"
        return len(rows) + 1, "removed", "", f"the end is missing: {gone} gone, the head counts {place}"
    if place < len(rows):
        return place + 1, "added", key_of(rows[place]), f"it stands behind the end: the head counts {place}"
    if digest != last:
        return place, "head", "", "the head's hash is not that of the last row: the head was edited, or the last row replaced"
    return None


def _said(before: str, row: Row) -> str:
    return link(before, {name: value for name, value in row.items() if name != "_seq"})


def key_of(row: Row) -> str:
    """What names a row to people."""
    return str(next((row[name] for name in ("key", "cycle", "number") if row.get(name) is not None), ""))


def _shown(row: Row) -> str:
    said = row.get("sentence") or row.get("reason") or ""
    return f"{str(row.get('as_of') or row.get('since') or row.get('at') or '')[:19]} {str(said)[:100]!r}".strip()
