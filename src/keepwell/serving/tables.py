"""What the record keeps about answers and labels beside the ledger itself: one row a cycle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from keepwell.storage import insert_once
from keepwell.storage.schema import integer, metadata, moment, text

batches = sa.Table(
    "batches",
    metadata,
    text("model", primary=True),
    text("cycle", primary=True),
    moment("as_of"),
    integer("rows"),
    integer("total"),
    sa.Index(None, "model", "as_of"),
)

labellings = sa.Table(
    "labellings",
    metadata,
    text("model", primary=True),
    text("key", primary=True),  # the cycle, or the request that posted them
    moment("as_of"),
    integer("new"),
    integer("changed"),
    sa.Index(None, "model", "as_of"),
)


@dataclass(frozen=True)
class Labelling:
    """Labels that came in at one moment: new ones and restated ones."""

    key: str
    as_of: datetime
    new: int
    changed: int


def record_batch(connection: sa.Connection, model: str, cycle: str, as_of: datetime, rows: int) -> None:
    """Keep how many rows a cycle answered, once."""
    total = total_predictions(connection, model)
    insert_once(connection, batches, {"model": model, "cycle": cycle, "as_of": as_of, "rows": rows, "total": total + rows})


def total_predictions(connection: sa.Connection, model: str) -> int:
    """Rows answered by cycles so far."""
    query = sa.select(batches.c.total).where(batches.c.model == model).order_by(batches.c.as_of.desc()).limit(1)
    return int(connection.execute(query).scalar() or 0)


def last_batch(connection: sa.Connection, model: str) -> datetime | None:
    """When the newest cycle answered."""
    found: datetime | None = connection.execute(
        sa.select(batches.c.as_of).where(batches.c.model == model).order_by(batches.c.as_of.desc()).limit(1)
    ).scalar()
    return found


def get_batch(connection: sa.Connection, model: str, cycle: str) -> int | None:
    """How many rows a cycle answered; None when it has not answered yet."""
    found: int | None = connection.execute(sa.select(batches.c.rows).where(batches.c.model == model, batches.c.cycle == cycle)).scalar()
    return found


def get_labelling(connection: sa.Connection, model: str, key: str) -> Labelling | None:
    """The labels that came in under a key."""
    row = connection.execute(sa.select(labellings).where(labellings.c.model == model, labellings.c.key == key)).first()
    return Labelling(row.key, row.as_of, row.new, row.changed) if row else None


def record_labelling(connection: sa.Connection, model: str, labelling: Labelling) -> None:
    """Keep that labels came in, once per key."""
    insert_once(connection, labellings, {"model": model, **asdict(labelling)})


def total_labels(connection: sa.Connection, model: str, *, at: datetime | None = None) -> int:
    """Labelled rows known now, or at a moment."""
    query = sa.select(sa.func.sum(labellings.c.new)).where(labellings.c.model == model)
    if at is not None:
        query = query.where(labellings.c.as_of <= at)
    return int(connection.execute(query).scalar() or 0)
