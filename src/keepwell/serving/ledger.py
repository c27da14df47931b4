"""The ledger: every prediction with its id, version and inputs, and the labels that came back for them."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import polars as pl

from keepwell.errors import JournalCorrupt, PredictionNotFound
from keepwell.serving.segments import MAGIC, pack
from keepwell.storage import COMMIT, KNOWN, Database, Table

MOMENT = pl.Datetime("us", "UTC")
PREDICTION_KEY = ("prediction_id",)
LABEL_KEY = ("entity", "time", "prediction_id")
LEDGER: dict[str, Any] = {
    "prediction_id": pl.String,
    "entity": pl.String,
    "time": MOMENT,
    "version": pl.Int64,
    "answer": pl.Float64,
    "made_at": MOMENT,
    "origin": pl.String,
    "inputs": pl.String,
}
SHADOW_KEY = ("prediction_id", "version")
SHADOWS: dict[str, Any] = {
    "prediction_id": pl.String,
    "version": pl.Int64,
    "entity": pl.String,
    "time": MOMENT,
    "answer": pl.Float64,
    "role": pl.String,
}
WEIGHT = "weight"  # of a row in the ledger, where only a share is kept
CANARY = "canary"  # origin of a live answer that a challenger gave
LOOKED_UP = "look-up"  # of an answer to a request that named only an entity: the features came from the tables
OWN = 0  # version of an answer that an application's own model gave
BY_HAND = "by hand"  # of an answer to a row that a person made up
LABELS: dict[str, Any] = {"entity": pl.String, "time": MOMENT, "prediction_id": pl.String, "label": pl.Float64, "origin": pl.String}
POSTED = "posted"  # origin of a label that somebody posted; those of the project's own function have "label"


def batch_id(model: str, entity: str, time: datetime) -> str:
    """The id of a cycle's prediction: the same row always gets the same one, so a repeated step adds nothing."""
    return hashlib.sha256(f"{model}|{entity}|{time.isoformat()}".encode()).hexdigest()[:32]


def batch_predictions(model: str, rows: pl.DataFrame, answer: np.ndarray, version: int, made_at: datetime) -> pl.DataFrame:
    """Ledger rows for feature rows (entity, time, features...) answered in a cycle."""
    entity, time = rows.columns[:2]
    return pl.DataFrame(
        {
            "prediction_id": [batch_id(model, e, t) for e, t in zip(rows[entity], rows[time], strict=True)],
            "entity": rows[entity],
            "time": rows[time],
            "version": [version] * rows.height,
            "answer": answer,
            "made_at": [made_at] * rows.height,
            "origin": ["batch"] * rows.height,
            "inputs": rows.select(pl.struct(rows.columns[2:]).struct.json_encode()).to_series(),
        },
        schema=LEDGER,
    )


def joined(predictions: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Predictions with the newest label of each, `label` null while it is not known.

    A label posted for a prediction's own id counts before one posted for its (entity, time).
    """
    if predictions.is_empty():
        return pl.DataFrame(schema={**LEDGER, "label": pl.Float64, "labelled_at": MOMENT})
    if labels.is_empty():
        return predictions.with_columns(pl.lit(None, pl.Float64).alias("label"), pl.lit(None, MOMENT).alias("labelled_at"))
    known = pl.col(KNOWN) if KNOWN in labels.columns else pl.lit(None, MOMENT)
    truth = labels.lazy().select("entity", "time", "prediction_id", "label", known.alias("labelled_at"))
    if not (labels["prediction_id"] != "").any():
        # The usual case: `rows` of the labels table are one a key, so a plain join is enough.
        return predictions.join(truth.drop("prediction_id").collect(), on=["entity", "time"], how="left", maintain_order="left")
    by_id = truth.filter(pl.col("prediction_id") != "").drop("entity", "time").unique("prediction_id", keep="last")
    by_key = truth.filter(pl.col("prediction_id") == "").drop("prediction_id").unique(["entity", "time"], keep="last")
    both = predictions.lazy().join(by_id, on="prediction_id", how="left", maintain_order="left")
    both = both.join(by_key, on=["entity", "time"], how="left", suffix="_key", maintain_order="left")
    newest = [pl.coalesce(name, f"{name}_key").alias(name) for name in ("label", "labelled_at")]
    return both.with_columns(newest).drop("label_key", "labelled_at_key").collect()


def representative(predictions: pl.DataFrame) -> pl.DataFrame:
    """One prediction a row of the world: a caller who asks ten times about one day must not count ten times.

    Of several answers for one (entity, time), the cycle's own counts, else the first. Those that a challenger gave do not count:
    how the champion does is told by the champion's answers alone.
    """
    if predictions.is_empty():
        return predictions
    if (predictions["origin"] == "batch").all():
        return predictions  # a cycle answers a row once
    predictions = predictions.filter(pl.col("origin") != CANARY)
    if (is_own := predictions["version"] == OWN).any() and not is_own.all():  # an application's own model says nothing of the champion
        predictions = predictions.filter(~is_own)
    is_alone = predictions["entity"] == ""  # what names no entity is about no row that another could be about
    if is_alone.all():
        return predictions.sort("time", maintain_order=True)
    ordered = predictions.filter(~is_alone).lazy().sort(pl.col("origin") != "batch", "made_at", maintain_order=True)
    named = ordered.unique(["entity", "time"], keep="first", maintain_order=True)
    return pl.concat([named, predictions.lazy().filter(is_alone)]).sort("time", maintain_order=True).collect()


def find_prediction(predictions: Table, labels: Table, prediction_id: str) -> dict[str, Any]:
    """One kept prediction, its inputs read, with the newest label where it is known.

    Raises
    ------
    PredictionNotFound
    """
    kept = prediction_rows(predictions, prediction_id)
    row = joined(kept, labels.rows(since=kept["time"][0], until=kept["time"][0])).drop(COMMIT, KNOWN, strict=False).to_dicts()[0]
    return {**row, "inputs": json.loads(row["inputs"])}


def prediction_rows(predictions: Table, prediction_id: str) -> pl.DataFrame:
    """The ledger's row of one prediction, as a frame of one row.

    Raises
    ------
    PredictionNotFound
    """
    kept = predictions.where(prediction_id=prediction_id)
    if kept.is_empty():
        raise PredictionNotFound(prediction_id)
    return kept


def shadow_answers(rows: pl.DataFrame, answer: np.ndarray, version: int, role: str) -> pl.DataFrame:
    """What a version would have answered to rows of the ledger, beside their ids."""
    named = rows.select("prediction_id", "entity", "time")
    return named.with_columns(version=pl.lit(version, pl.Int64), answer=pl.Series(answer, dtype=pl.Float64), role=pl.lit(role)).select(
        list(SHADOWS)
    )


def paired(predictions: pl.DataFrame, shadows: pl.DataFrame, beside: int, version: int) -> pl.DataFrame:
    """Rows of the world that two versions answered, one prediction a row, in time order.

    Returns
    -------
    The ledger's rows with `answer` of version `beside`, and `other` of `version`.
    """
    columns = {**LEDGER, "other": pl.Float64}
    if predictions.is_empty() or shadows.is_empty():
        return pl.DataFrame(schema=columns)
    told = pl.concat([frame.select("prediction_id", "version", "answer") for frame in (predictions, shadows)])
    theirs, ours = (
        told.filter(pl.col("version") == number).select("prediction_id", pl.col("answer").alias(name)).unique("prediction_id", keep="first")
        for number, name in ((beside, "answer"), (version, "other"))
    )
    both = predictions.drop("answer").join(theirs, on="prediction_id").join(ours, on="prediction_id")
    is_canary = pl.col("origin") == CANARY  # which of the two answered it does not matter here: there is an answer of both
    both = both.with_columns(origin=pl.when(is_canary).then(pl.lit("api")).otherwise("origin"))
    return representative(both.select(list(columns))).sort("time")


def keep_journal(database: Database, predictions: Table, segment: str, records: list[bytes]) -> None:
    """Put a journal segment into the ledger, once per segment.

    Raises
    ------
    JournalCorrupt : a record is whole and not one of ours.
    """
    if not records:
        return
    found: list[_Record] = []
    for record in records:
        try:
            found.append(_read(record))
        except msgspec.MsgspecError as error:
            at = len(MAGIC) + sum(map(len, map(pack, records[: len(found)])))
            raise JournalCorrupt(segment, f"{segment}.sealed", at, len(found)) from error
    columns: dict[str, Any] = {name: [getattr(row, name) for row in found] for name in LEDGER if name not in ("time", "made_at", "inputs")}
    columns |= {name: _moments([getattr(row, name) for row in found]) for name in ("time", "made_at")}
    columns["inputs"] = [_text(row.inputs) for row in found]
    rows = pl.DataFrame(columns, schema=LEDGER)
    if any(row.weight != 1.0 for row in found):  # a column only of tables that need it; null stands for 1
        rows = rows.with_columns(pl.Series(WEIGHT, [row.weight for row in found], pl.Float64))
    with database.begin() as connection:
        predictions.append(connection, f"journal/{segment}", rows, rows["made_at"].max())  # type: ignore[arg-type]


class _Record(msgspec.Struct):
    """A journal record; `inputs` is an object, or in older journals a text that holds one."""

    prediction_id: str
    entity: str
    time: str
    version: int
    answer: float
    made_at: str
    origin: str
    inputs: msgspec.Raw
    weight: float = 1.0  # so many answers it stands for, when only a share is kept


_read = msgspec.json.Decoder(_Record).decode


def _text(inputs: msgspec.Raw) -> str:
    held = bytes(inputs)
    return str(msgspec.json.decode(held)) if held.startswith(b'"') else held.decode()


WRITTEN = "%Y-%m-%dT%H:%M:%S%.6f+00:00"  # as the server writes moments; others may have no fractions, or another offset


def _moments(texts: list[str]) -> pl.Series:
    if all(len(text) == 32 and text.endswith("+00:00") for text in texts):
        return pl.Series(texts, dtype=pl.String).str.to_datetime(WRITTEN, time_unit="us").dt.replace_time_zone("UTC")
    return pl.Series([datetime.fromisoformat(text) for text in texts], dtype=MOMENT)
