"""Rows set aside: look at them, let them in after all, or drop them. None is ever deleted; its state changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from keepwell.errors import InputInvalid, QuarantineNotFound
from keepwell.ingestion import canonical, key_of
from keepwell.orchestration.context import Context
from keepwell.storage import COMMIT, KNOWN, Event, record_event

WAITING, RELEASED, DROPPED = "waiting", "released", "dropped"


def list_quarantine(context: Context, state: str | None = WAITING) -> list[dict[str, Any]]:
    """Rows set aside, oldest first, each with its id, time, reason and content as delivered."""
    rows = context.quarantine.rows()
    if rows.is_empty():
        return []
    if state is not None:
        rows = rows.filter(pl.col("state") == state)
    found = rows.drop(COMMIT).rename({KNOWN: "since"}).sort("time").to_dicts()
    return [{**row, "row": json.loads(row["row"])} for row in found]


def decide_quarantine(context: Context, row_ids: Sequence[str], state: str, by: str) -> int:
    """Release rows into the observations, or drop them. Answers how many.

    Raises
    ------
    QuarantineNotFound : a row does not wait (any more); nothing is changed then.
    """
    waiting = _waiting(context.quarantine.rows())
    wanted = sorted(waiting["row_id"].to_list()) if list(row_ids) == ["all"] else list(dict.fromkeys(row_ids))
    _refuse_unknown(wanted, waiting)
    if not wanted:
        return 0
    chosen = waiting.filter(pl.col("row_id").is_in(wanted))
    now = datetime.now(UTC)
    key = f"quarantine/{state}/{'+'.join(wanted)[:200]}"
    released = _as_observations(context, chosen) if state == RELEASED else None
    with context.database.begin() as connection:
        _refuse_unknown(wanted, _waiting(context.quarantine.rows(connection=connection)))  # somebody may have decided meanwhile
        changed = chosen.drop(COMMIT, KNOWN).with_columns(pl.lit(state).alias("state"), pl.lit(by).alias("by"))
        context.quarantine.append(connection, key, changed, now)
        if released is not None:
            context.observations.append(connection, key, released, now)
        sentence = f"{state.capitalize()} by {by}: {len(wanted)} quarantined"
        told = Event(f"quarantine_{state}", now, sentence, {"rows": wanted, "by": by}, by)
        record_event(connection, context.name, f"{key}/{now.isoformat()}", told)
    return len(wanted)


def _waiting(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("state") == WAITING) if not rows.is_empty() else pl.DataFrame(schema={"row_id": pl.String})


def _refuse_unknown(wanted: Sequence[str], waiting: pl.DataFrame) -> None:
    known = set(waiting["row_id"].to_list())
    if (unknown := next((row_id for row_id in wanted if row_id not in known), None)) is not None:
        raise QuarantineNotFound(unknown)


def _as_observations(context: Context, chosen: pl.DataFrame) -> pl.DataFrame:
    """Rows as they were delivered, read with the types that the observations have."""
    model = context.model
    stored = context.observations.rows()
    kinds = {name: kind for name, kind in stored.schema.items() if name not in (COMMIT, KNOWN)}
    content = [json.loads(row) for row in chosen["row"]]
    names = dict.fromkeys(name for row in content for name in row)
    frame = pl.DataFrame({name: pl.Series([row.get(name) for row in content], strict=False) for name in names})
    key = key_of(model.entity, model.time)
    frame = canonical(frame, entity=model.entity, time=model.time, what="A quarantined row")
    if frame.select(pl.any_horizontal(pl.col(key).is_null()).any()).item():
        raise InputInvalid("A quarantined row has no entity or time", "It cannot become an observation; drop it.")
    return frame.with_columns(_as_kind(frame[name], kind) for name, kind in kinds.items() if name in frame.columns and name not in key)


def _as_kind(column: pl.Series, kind: pl.DataType) -> pl.Series:
    """The column in the type the observations have, or in its own when that would lose part of a number."""
    cast = column.cast(kind, strict=False)
    if cast.null_count() > column.null_count():
        raise InputInvalid(f"'{column.name}' of a quarantined row is no {kind}", "Mend it at the source; the row stays set aside.")
    if column.dtype.is_numeric() and kind.is_numeric() and not cast.cast(pl.Float64).equals(column.cast(pl.Float64)):
        return column.cast(pl.Float64)
    return cast
