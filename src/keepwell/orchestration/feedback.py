"""Labels that people or other systems post: late, repeated and corrected ones alike."""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from keepwell.errors import InputInvalid, PredictionNotFound
from keepwell.orchestration.context import Context
from keepwell.serving import LABELS, POSTED, Labelling, record_labelling
from keepwell.storage import COMMIT, KNOWN


def post_labels(context: Context, items: Sequence[Mapping[str, Any]], *, now: datetime | None = None) -> dict[str, int]:
    """Keep labels named by prediction id or by (entity, time). All are kept, or none.

    Parameters
    ----------
    items : ``{"prediction_id": ..., "label": ...}`` or ``{"entity": ..., "time": ..., "label": ...}``.

    Returns
    -------
    ``{"new": n, "changed": n, "same": n}``: posting the same again changes nothing, another value restates the label.

    Raises
    ------
    InputInvalid : a label is no number (0 or 1 for a binary task), or its row is not named.
    PredictionNotFound : no such prediction is kept.
    """
    now = now or datetime.now(UTC)
    rows = [_read(context, place, item) for place, item in enumerate(items)]
    if not rows:
        return {"new": 0, "changed": 0, "same": 0}
    rows = _named_by_id(context, rows)
    frame = pl.DataFrame([(*row, POSTED) for row in rows], schema=LABELS, orient="row")
    frame = frame.unique(["entity", "time", "prediction_id"], keep="last", maintain_order=True)
    stored = context.labels.rows()
    digest = hashlib.sha256(json.dumps([list(map(str, row)) for row in rows]).encode()).hexdigest()[:16]
    counts = _counts(frame, stored)
    fresh = frame if stored.is_empty() else frame.join(stored.select(list(LABELS)), on=list(LABELS), how="anti", nulls_equal=True)
    key = f"post/{digest}/{context.labels.last_commit()}"
    with context.database.begin() as connection:
        context.labels.append(connection, key, fresh, now)
        # Labels by id belong to answers; only those of a row of the world make rows to train on.
        trainable = _counts(frame.filter(pl.col("prediction_id") == ""), stored)
        record_labelling(connection, context.name, Labelling(key, now, trainable["new"], trainable["changed"]))
    return counts


def _read(context: Context, place: int, item: Mapping[str, Any]) -> tuple[str, datetime | None, str, float]:
    label = item.get("label")
    if isinstance(label, bool):
        label = float(label)
    if not isinstance(label, int | float) or abs(label) > sys.float_info.max or math.isnan(label):
        raise InputInvalid(f"Label {place} is {reprlib.repr(label)}", "A number is needed.")
    if context.model.task == "binary" and label not in (0, 1):
        raise InputInvalid(f"Label {place} is {label:g}", "A binary label is 0 or 1.")
    if prediction_id := item.get("prediction_id"):
        return "", None, str(prediction_id), float(label)
    if "time" not in item:
        raise InputInvalid(f"Label {place} names no row", "Give 'prediction_id', or 'entity' and 'time'.")
    try:
        time = datetime.fromisoformat(str(item["time"]))
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and the last year have moments that UTC has not
        raise InputInvalid(
            f"The time of label {place} is {reprlib.repr(item['time'])}", "An ISO time such as 2026-03-01T00:00:00Z is needed."
        ) from None
    return str(item.get("entity", "all")), time, "", float(label)


def _named_by_id(context: Context, rows: list[tuple[str, datetime | None, str, float]]) -> list[tuple[str, datetime | None, str, float]]:
    """Fill in the row of labels posted by id; the join needs the time to stay within its window."""
    asked = [row[2] for row in rows if row[2]]
    if not asked:
        return rows
    kept = context.predictions.rows()
    found = kept.filter(pl.col("prediction_id").is_in(asked)) if not kept.is_empty() else kept
    where = {row["prediction_id"]: (row["entity"], row["time"]) for row in found.to_dicts()}
    for prediction_id in asked:
        if prediction_id not in where:
            raise PredictionNotFound(prediction_id)
    return [(*where[row[2]], row[2], row[3]) if row[2] else row for row in rows]


def _counts(frame: pl.DataFrame, stored: pl.DataFrame) -> dict[str, int]:
    key = ["entity", "time", "prediction_id"]
    if stored.is_empty():
        return {"new": frame.height, "changed": 0, "same": 0}
    stored = stored.drop(COMMIT, KNOWN)
    new = frame.join(stored, on=key, how="anti").height
    same = frame.join(stored, on=[*key, "label"], how="semi").height
    return {"new": new, "changed": frame.height - new - same, "same": same}
