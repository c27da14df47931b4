"""The predict step: answer every row that is due, each by the version that served at its own time."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from keepwell.errors import KeepwellError
from keepwell.ingestion import key_of
from keepwell.orchestration import tending
from keepwell.orchestration.context import Context
from keepwell.registry import CHAMPION, AliasChange, list_alias_changes
from keepwell.serving import batch_id, batch_predictions, get_batch, last_batch, record_batch
from keepwell.storage import Event, literal, record_event


def predict(context: Context, cycle: str, as_of: datetime) -> int:
    """Answer the rows since the last cycle, and late ones within the gather's look-back. Answers how many.

    A cycle may cover many days, or come late. A row is answered by the champion of the row's own time, never by one that
    was trained on labels from after it: so a replayed history is as honest as a live one. Rows from before the first
    champion are answered by it as long as their truth is not known yet.
    """
    with context.database.read() as connection:
        done = get_batch(connection, context.name, cycle)
        changes = list_alias_changes(connection, context.name, CHAMPION)
        last = last_batch(connection, context.name)
    if done is not None:
        return done
    served = _served(changes, as_of)
    if not served:
        return 0
    late = timedelta(days=context.settings.gather.late_days)
    begin = (served[0][0] if last is None else last) - late
    key = key_of(context.model.entity, context.model.time)
    parts: list[pl.DataFrame] = []
    silent: dict[int, str] = {}
    for place, (since, number) in enumerate(served):
        until = served[place + 1][0] if place + 1 < len(served) else None
        if until is not None and until <= begin:
            continue
        try:
            rows = _due(context, number, begin if place == 0 else max(since, begin), until, as_of, key)
            if place == 0 and begin < since and rows.height:
                rows = rows.filter((pl.col(key[1]) >= literal(since)) | ~_is_labelled(context, rows, key))
            if rows.height:
                answer = context.predictor(number).answer(rows)
                parts.append(batch_predictions(context.name, rows, answer, number, as_of))
        except KeepwellError as error:
            # The cycle goes on, so that a build can bring a version that answers; what was due is asked again next time.
            silent[number] = error.message
    rows = pl.concat(parts) if parts else pl.DataFrame()
    with context.database.begin() as connection:
        context.predictions.append(connection, f"predict/{cycle}", rows, as_of)
        record_batch(connection, context.name, cycle, as_of, rows.height)
        for number, problem in silent.items():
            told = Event("silent", as_of, f"Version {number} cannot answer: {problem}", {"version": number})
            record_event(connection, context.name, f"silent/{number}/{problem[:80]}", told)
        if silent:
            tending.unanswered(connection, context, cycle, as_of, silent)
    return rows.height


def _served(changes: list[AliasChange], as_of: datetime) -> list[tuple[datetime, int]]:
    """(since, version) spans in time order; of two changes at one moment the later one counts."""
    spans: dict[datetime, int] = {}
    for change in changes:
        if change.since <= as_of and change.number is not None:
            spans[change.since] = change.number
    return sorted(spans.items())


def _due(context: Context, number: int, since: datetime, until: datetime | None, as_of: datetime, key: tuple[str, str]) -> pl.DataFrame:
    predictor = context.predictor(number)
    with context.database.read() as connection:
        reach = since - timedelta(days=predictor.model.lookback_days)
        observations = context.observations.rows(since=reach, until=as_of, connection=connection)
        done = context.predictions.rows(since=since, connection=connection)
    if observations.is_empty():
        return observations
    rows = predictor.features(observations)
    window = pl.col(key[1]) >= literal(since)
    rows = rows.filter(window if until is None else window & (pl.col(key[1]) < literal(until)))
    if rows.is_empty():
        return rows
    if done.is_empty():
        return rows
    ids = [batch_id(context.name, entity, time) for entity, time in zip(rows[key[0]], rows[key[1]], strict=True)]
    return rows.filter(~pl.Series(ids).is_in(done["prediction_id"].to_list()))


def _is_labelled(context: Context, rows: pl.DataFrame, key: tuple[str, str]) -> pl.Series:
    """Which rows' truth is known already."""
    labels = context.labels.rows(since=rows[key[1]].min())  # type: ignore[arg-type]
    if labels.is_empty():
        return pl.Series([False] * rows.height)
    known = labels.select("entity", "time").unique().with_columns(pl.lit(True).alias("_known_truth"))
    return rows.join(known, left_on=list(key), right_on=["entity", "time"], how="left", maintain_order="left")["_known_truth"].is_not_null()
