"""From a request to answers and the records that are kept of them. No network and no journal here."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from pydantic_core import to_json

from keepwell.api.bodies import ALL, NO_TIME, PredictBody, moment_of
from keepwell.api.recent import Freshness, newest_rows, unknown
from keepwell.deployment import takes
from keepwell.errors import EstimatorInvalid, FunctionBroken, InputInvalid
from keepwell.orchestration import Context
from keepwell.serving import CANARY, LOOKED_UP, Predictor, is_kept

LONG_FORM = {"entity", "time", "features"}
log = logging.getLogger("keepwell.api")


@dataclass(frozen=True)
class Key:
    """Whose row, of when; an empty entity and no time for a row that was not named."""

    entity: str
    time: datetime | None


@dataclass(frozen=True)
class Answered:
    """What goes back, and the journal records that must be durable before."""

    reply: dict[str, Any]
    records: list[bytes]


def answer(
    context: Context, predictor: Predictor, body: PredictBody, max_rows: int, now: datetime, challenger: Predictor | None = None
) -> Answered:
    """Answer a request; rows that fall into the challenger's share (`[promotion] canary_share`) by the challenger, when it can.

    Raises
    ------
    InputInvalid : it does not fit the version's signature, names no rows or too many.
    """
    asked = body.rows if body.rows is not None else body.entities
    if asked is None or (body.rows is not None and body.entities is not None):
        raise InputInvalid("The body must have either 'rows' or 'entities'", "Send {'rows': [{feature: value}]}.")
    if not asked:
        raise InputInvalid("There is no row to answer", "Send at least one.")
    if len(asked) > max_rows:
        raise InputInvalid(f"{len(asked)} rows are more than {max_rows}", "Send fewer at once, or raise serve.max_rows.")
    keys, rows = _given(predictor, body) if body.rows is not None else _observed(context, predictor, body.entities or [])
    if body.rows is None:
        Freshness.of(context.settings).check(((key.entity, key.time) for key in keys if key.time is not None), now)
    ids = [uuid.uuid4().hex for _ in keys]
    answers, versions = _ask(predictor, rows), np.full(len(ids), predictor.version.number)
    if challenger is not None:
        share, number = context.settings.promotion.canary_share, challenger.version.number
        chosen = np.array([takes(context.name, number, key.entity or one, share) for key, one in zip(keys, ids, strict=True)])
        if chosen.any() and (found := _ask_challenger(context, challenger, body, keys, rows, chosen)) is not None:
            answers, versions[chosen] = answers.copy(), number
            answers[chosen] = found
    origin, share = LOOKED_UP if body.rows is None else "api", context.settings.serve.log_share
    answered = _answered(context.name, predictor, keys, rows, ids, answers, versions.tolist(), now, origin, share)
    if body.rows is None:
        fresh = Freshness.of(context.settings)
        for prediction, key in zip(answered.reply["predictions"], keys, strict=True):
            prediction |= fresh.told(key.time, now) if key.time is not None else {}
    return answered


def _ask_challenger(
    context: Context, challenger: Predictor, body: PredictBody, keys: Sequence[Key], rows: pl.DataFrame, chosen: np.ndarray
) -> np.ndarray | None:
    """Its answers to the chosen rows; None when it cannot: then the champion's, which are there, are told."""
    try:
        if body.rows is None:  # its own code makes the features
            _, mine = _observed(context, challenger, [key.entity for key, is_its in zip(keys, chosen, strict=True) if is_its])
        else:
            mine = rows.filter(pl.Series(chosen))
        return _ask(challenger, mine)
    except Exception as error:  # nobody must get an error because of a version that is only on trial
        log.warning("Version %d, on trial, could not answer; the champion did: %s", challenger.version.number, error)
        return None


def _given(predictor: Predictor, body: PredictBody) -> tuple[list[Key], pl.DataFrame]:
    keys, features = [], []
    for place, row in enumerate(body.rows or []):
        entity, time = body.entity, body.time
        # No feature is an object, so this cannot be a plain row.
        if isinstance(row.get("features"), dict):
            if unknown := sorted(set(row) - LONG_FORM):
                raise InputInvalid(f"Row {place} has unknown {', '.join(unknown)}", "Beside 'features' it may have 'entity' and 'time'.")
            entity, time = _text(row, "entity", place) or entity, _text(row, "time", place) or time
            row = row["features"]
        keys.append(_key(predictor, entity, time, place))
        features.append(row)
    try:
        return keys, predictor.read(features)
    except UnicodeError:
        raise InputInvalid("A text holds half a character", "Send valid Unicode.") from None


def _text(row: Mapping[str, Any], name: str, place: int) -> str | None:
    value = row.get(name)
    if value is None or (isinstance(value, str) and len(value) <= 200 and _is_whole(value)):
        return value
    raise InputInvalid(f"'{name}' of row {place} is no text of at most 200 characters", "Send a text.")


def _is_whole(text: str) -> bool:
    """JSON can spell halves of characters, which no store keeps."""
    try:
        text.encode()
    except UnicodeError:
        return False
    return True


def _key(predictor: Predictor, entity: str | None, time: str | None, place: int) -> Key:
    if time is None:
        return Key(entity or "", None)
    if (moment := moment_of(time)) is None:
        raise InputInvalid(f"The time of row {place} is {time!r}", NO_TIME)
    return Key(entity or (ALL if predictor.model.entity is None else ""), moment)


def _observed(context: Context, predictor: Predictor, entities: Sequence[str]) -> tuple[list[Key], pl.DataFrame]:
    """The newest row of each entity, made by the version's own code from stored observations and their look-back."""
    rows = newest_rows(context, predictor, entities)
    place = {name: at for at, name in enumerate(rows["entity"])} if rows.height else {}
    if absent := [name for name in entities if name not in place]:
        raise unknown(absent)
    chosen = rows[[place[name] for name in entities]]
    keys = [Key(name, moment) for name, moment in chosen.select("entity", "time").iter_rows()]
    return keys, chosen.select(list(predictor.signature))


def _ask(predictor: Predictor, rows: pl.DataFrame) -> np.ndarray:
    try:
        found = predictor.answer(rows)
    except FunctionBroken as error:
        empty = [name for name in rows.columns if rows[name].null_count()]
        if not empty:
            raise
        problem = f"Version {predictor.version.number} cannot answer without {', '.join(empty)} ({error})"
        raise InputInvalid(problem[:500], "Send a value for it.") from error
    if not np.isfinite(found).all():
        raise EstimatorInvalid(f"{type(predictor.estimator).__name__}, which answered {found[~np.isfinite(found)][0]}", "finite answer")
    return found


def _answered(
    model: str,
    predictor: Predictor,
    keys: Sequence[Key],
    rows: pl.DataFrame,
    ids: Sequence[str],
    found: np.ndarray,
    versions: Sequence[int],
    now: datetime,
    origin: str,
    share: float,
) -> Answered:
    champion = predictor.version.number
    kind = "probability" if predictor.model.task == "binary" else "prediction"
    made_at = now.isoformat(timespec="microseconds")
    predictions, records = [], []
    each = zip(keys, rows.iter_rows(named=True), ids, found.tolist(), versions, strict=True)
    for key, row, prediction_id, value, number in each:
        time = key.time.isoformat(timespec="microseconds") if key.time else None
        is_logged = is_kept(prediction_id, share)
        predictions.append(
            {"prediction_id": prediction_id if is_logged else None, kind: value, "version": number}
            | ({"entity": key.entity} if key.entity else {})
            | ({"time": time} if time else {})
        )
        if not is_logged:
            continue
        record = {
            "prediction_id": prediction_id,
            "entity": key.entity if time else "",  # an entity without a time names no row of the world
            "time": time or made_at,
            "version": number,
            "answer": value,
            "made_at": made_at,
            "origin": origin if number == champion else CANARY,
            "inputs": to_json(row, inf_nan_mode="null", fallback=str).decode(),
        }
        records.append(to_json(record | ({"weight": 1.0 / share} if share < 1.0 else {})))
    return Answered({"model": model, "version": champion, "predictions": predictions}, records)
