"""The steps between gathering and building: join the labels, check up, decide about a new version."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.errors import SchemaMismatch
from keepwell.ingestion import Gathered, changed_rows, key_of, last_gather
from keepwell.monitoring import Checkup, Evidence, check_up, last_checkup, record_checkup
from keepwell.orchestration import deciding, retracing, tending, watching
from keepwell.orchestration.context import Context
from keepwell.registry import CHAMPION, aliases_now
from keepwell.retraining import get_decision, record_decision
from keepwell.serving import LABELS, POSTED, Labelling, get_labelling, record_labelling
from keepwell.storage import Event, literal, record_event
from keepwell.training import labels_of


def label(context: Context, cycle: str, as_of: datetime) -> int:
    """Ask `label` about the window that this cycle gathered; keep labels that are new or restated. Answers how many."""
    with context.database.read() as connection:
        if done := get_labelling(connection, context.name, cycle):
            return done.new
        # Only rows that new observations can reach are labelled; what lies before them is context for `label`, no more.
        first = _gathered(connection, context, cycle).since - timedelta(days=context.model.horizon_days)
        since = first - timedelta(days=context.model.lookback_days)
        observations = context.observations.rows(since=since, until=as_of, connection=connection)
        stored = context.labels.rows(since=since - timedelta(days=1), connection=connection)
    found = _found(context, observations).filter(pl.col("time") >= literal(first))
    if not stored.is_empty():
        stored = stored.filter(pl.col("prediction_id") == "").select(found.columns)
        posted = stored.filter(pl.col("origin") == POSTED)
        if posted.height:  # what a person said stands above what the function says
            found = found.join(posted, on=["entity", "time"], how="anti", maintain_order="left")
            stored = stored.filter(pl.col("origin") != POSTED)
    new, changed = changed_rows(found, stored, ("entity", "time", "prediction_id"))
    fresh = pl.concat([new, changed]) if changed.height else new
    with context.database.begin() as connection:
        context.labels.append(connection, f"label/{cycle}", fresh, as_of)
        record_labelling(connection, context.name, Labelling(cycle, as_of, new.height, changed.height))
    return new.height


def _found(context: Context, observations: pl.DataFrame) -> pl.DataFrame:
    if observations.is_empty():
        return pl.DataFrame(schema=LABELS)
    key = key_of(context.model.entity, context.model.time)
    labels = labels_of(context.model, observations)
    return labels.select(
        pl.col(key[0]).alias("entity"),
        pl.col(key[1]).alias("time"),
        pl.lit("").alias("prediction_id"),
        pl.col("label"),
        pl.lit("label").alias("origin"),
    )


def check(context: Context, cycle: str, as_of: datetime, asked: bool) -> bool:
    """Check up on the model and decide about a new version; both are recorded. True when a build is due.

    A cycle that begins anew stands by what it decided: a version that it has made since must not change its mind.
    """
    with context.database.read() as connection:
        decided = get_decision(connection, context.name, cycle)
        if decided and (decided.build or not asked):
            return decided.build
        gathered = _gathered(connection, context, cycle)
        before = last_checkup(connection, context.name, before=as_of)
        word = before.verdict if before else "unknown"
        champion = aliases_now(connection, context.name).get(CHAMPION)
        since = as_of - timedelta(days=context.settings.check.window_days)
        answered = context.predictions.rows(since=since, until=as_of, connection=connection)
        lived = deciding.judged(context, answered, since, connection)
        skew = retracing.skew(context, answered, connection)
        watched = watching.watch(context, champion, as_of, connection) if champion is not None else None
        rows = _without(lived, watched)
        checkup = _checkup(context, as_of, gathered, rows, champion, word, watched)
        state = deciding.state_of(
            context,
            connection,
            as_of,
            champion=champion,
            verdict=checkup.verdict,
            faults=faults(gathered),
            scored=rows,
            watched=watched,
            asked=asked,
            set_aside=all(finding["action"] == "quarantine" for finding in gathered.findings if finding["is_fault"]),
            cycle=cycle,
        )
    is_news = watched is not None and any(one.kind == "decline" for one in watched.said)
    decision = deciding.decision_of(context, as_of, state, champion, rows, is_news=is_news)
    known = tending.Known(
        cycle=cycle,
        as_of=as_of,
        before=before.as_of if before else None,
        gathered=gathered,
        checkup=checkup,
        decision=decision,
        rows=lived,
        champion=champion,
        trained_until=state.trained_until,
        built=state.last_build,
        watched=watched,
        skew=skew,
    )
    with context.database.begin() as connection:
        record_checkup(connection, context.name, cycle, checkup)
        record_decision(connection, context.name, cycle, as_of, decision)
        deciding.act_on(connection, context, cycle, as_of, decision)
        if watched is not None:
            watching.record(connection, context, cycle, as_of, watched)
        changes = tending.tend(connection, context, known)
        if skew is not None and any(one.incident.facts["family"] == "skew" for one in changes):
            retracing.tell_skew(connection, context.name, f"{cycle}/skew", as_of, skew)
        if word != checkup.verdict:
            sentence = f"{context.name} is {checkup.verdict}: {checkup.sentence}"
            record_event(connection, context.name, f"{cycle}/verdict", Event("verdict", as_of, sentence, {"verdict": checkup.verdict}))
    return decision.build


def _without(rows: pl.DataFrame, watched: watching.Watched | None) -> pl.DataFrame:
    """The rows that still say how the model is: a decline that has ended, or whose version no longer serves, has been told."""
    for low, until, _ in watched.ended if watched and rows.height else ():
        rows = rows.filter((pl.col("time") < literal(low)) | (pl.col("time") >= literal(until)))
    return rows


def _checkup(
    context: Context,
    as_of: datetime,
    gathered: Gathered,
    rows: pl.DataFrame,
    champion: int | None,
    before: str,
    watched: watching.Watched | None,
) -> Checkup:
    known_by = _moment(as_of - timedelta(days=context.model.horizon_days))
    due = int(rows["time"].to_numpy().searchsorted(known_by, "right")) if rows.height else 0
    numbers = rows["version"].unique().to_list() if rows.height else []
    evidence = Evidence(
        metric=context.metric,
        scored=rows,
        due=due,
        expected=context.expected(numbers),
        doubts=context.doubts(numbers),
        champion=champion,
        newest=gathered.newest,
        faults=faults(gathered),
        source_error=gathered.error,
        before=before,
        decline=watched.decline if watched else None,
    )
    return check_up(context.settings.check, evidence, as_of)


def _moment(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")


def faults(gathered: Gathered) -> tuple[str, ...]:
    """Messages of the findings that speak of a broken source."""
    return tuple(finding["message"] for finding in gathered.findings if finding["is_fault"])


def _gathered(connection: sa.Connection, context: Context, cycle: str) -> Gathered:
    gathered = last_gather(connection, context.name, cycle=cycle)
    if gathered is None:
        raise SchemaMismatch("The record of this cycle", ["the gather"], ["none"])
    return gathered
