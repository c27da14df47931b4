"""The state of a model as the policy looks at it, and what its acts would be worth, read from the record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.deployment import rollback
from keepwell.errors import KeepwellError, Refused
from keepwell.evaluation import losses
from keepwell.ingestion import key_of, last_gather
from keepwell.monitoring import get_watch, last_checkup
from keepwell.orchestration import watching
from keepwell.orchestration.context import Context
from keepwell.registry import CHAMPION, PREVIOUS, aliases_now, list_alias_changes
from keepwell.retraining import (
    FIX,
    ROLL_BACK,
    WAIT,
    Decline,
    Gain,
    Gains,
    RetrainDecision,
    State,
    considers_return,
    decide,
    gain_of_correcting,
    get_pause,
    list_decisions,
)
from keepwell.serving import joined, representative, total_labels
from keepwell.storage import Event, literal, record_event
from keepwell.training import list_runs

MOST = 5000  # newest labelled rows that a gain is estimated from


def state_of(
    context: Context,
    connection: sa.Connection,
    as_of: datetime,
    *,
    champion: int | None,
    verdict: str,
    faults: tuple[str, ...],
    scored: pl.DataFrame,
    watched: watching.Watched | None,
    asked: bool,
    set_aside: bool = False,
    cycle: str | None = None,
) -> State:
    """What the record and this cycle say. `scored` are the rows of the check-up; a build of `cycle` itself does not count as made."""
    budget = context.settings.retrain.max_per_month or 0
    builds = [run for run in list_runs(connection, context.name, max(2, budget + 1)) if run.cycle != cycle]
    labels = total_labels(connection, context.name)
    before = total_labels(connection, context.name, at=builds[0].as_of) if builds else 0
    found = context.version(champion) if champion is not None else None
    aged_from = (found.facts.get("aged_from") or found.facts["trained_until"]) if found else None
    since = _since(context, found.facts) if found else None
    decline = _decline(watched, scored)
    broken = [(low, until) for low, until, cls in watched.ended if cls == "data_quality"] if watched else []
    reach = timedelta(days=context.model.lookback_days if broken else 0)
    state = State(
        since=datetime.fromisoformat(since) if since else None,
        without=tuple((low, until + reach) for low, until in broken),
        labels=labels,
        new_labels=labels - before,
        last_build=builds[0].as_of if builds else None,
        builds=tuple(run.as_of for run in builds),
        trained_until=datetime.fromisoformat(aged_from) if aged_from else None,
        verdict=verdict,
        faults=(*faults, *(watched.faults if watched else ())),
        set_aside=set_aside and not (watched and watched.faults),
        asked=asked,
        pause=get_pause(connection, context.name, as_of),
        decline=decline,
        noted=next((one.sentence.removeprefix("note: ") for one in watched.said if one.kind == "note"), None) if watched else None,
        recalibrates=found is not None and found.code == context.code.digest,
    )
    if decline is None:
        return state
    changes = [change for change in list_alias_changes(connection, context.name, CHAMPION) if change.since <= as_of]
    promoted = changes[-1].since if changes else None
    return replace(state, promoted=promoted, previous=aliases_now(connection, context.name).get(PREVIOUS))


def _since(context: Context, facts: dict[str, Any]) -> str | None:
    """The window that the champion learned from; a recalibrated one learned from that of the version inside."""
    if "recalibrates" in facts:
        return _since(context, context.version(facts["recalibrates"]).facts)
    found: str | None = facts.get("window_from")
    return found


def state_now(context: Context, now: datetime, *, asked: bool = False) -> State:
    """What a cycle at this moment would look at, from what is known already; gains are in it where it would estimate them."""
    settings = context.settings
    with context.database.read() as connection:
        champion = aliases_now(connection, context.name).get(CHAMPION)
        checkup = last_checkup(connection, context.name)
        gathered = last_gather(connection, context.name)
        known = get_watch(connection, context.name, champion) if champion is not None else None
        findings = [finding for finding in gathered.findings if finding["is_fault"]] if gathered else []
        rows = scored(context, now - timedelta(days=settings.check.window_days), now, connection)
        state = state_of(
            context,
            connection,
            now,
            champion=champion,
            verdict=checkup.verdict if checkup else "unknown",
            faults=tuple(finding["message"] for finding in findings),
            scored=rows,
            watched=watching.Watched(champion, None, known[1]) if champion is not None and known else None,
            asked=asked,
            set_aside=all(finding["action"] == "quarantine" for finding in findings),
        )
    if champion is None or not decide(settings.retrain, settings.build, state, now).build:
        return state
    return replace(state, gains=gains_of(context, champion, state, rows))


def scored(context: Context, since: datetime, until: datetime, connection: sa.Connection) -> pl.DataFrame:
    """One prediction a row of the world in a window, with its label where it is known, in time order."""
    return judged(context, context.predictions.rows(since=since, until=until, connection=connection), since, connection)


def judged(context: Context, predictions: pl.DataFrame, since: datetime, connection: sa.Connection) -> pl.DataFrame:
    """The same from rows of the ledger since a moment."""
    return joined(representative(predictions), context.labels.rows(since=since, connection=connection))


def _decline(watched: watching.Watched | None, scored: pl.DataFrame) -> Decline | None:
    """The newest decline that has not ended."""
    declines: list[dict[str, Any]] = watched.facts.get("open", []) if watched else []
    if not declines:
        return None
    newest = declines[-1]
    onset = datetime.fromisoformat(newest["onset"])
    since = scored.filter(pl.col("label").is_not_null() & (pl.col("time") >= literal(onset)))["time"] if scored.height else scored["time"]
    judge_from: datetime | None = since.sort()[len(since) * 2 // 3] if len(since) else None
    return Decline(
        onset=onset,
        low=datetime.fromisoformat(newest["low"]),
        high=datetime.fromisoformat(newest["high"]),
        kind=newest["kind"],
        cls=newest["cls"],
        column=newest["column"],
        rows=len(since),
        judge_from=judge_from,
    )


def decision_of(
    context: Context, as_of: datetime, state: State, champion: int | None, scored: pl.DataFrame, *, is_news: bool = True
) -> RetrainDecision:
    """Decide; and where an act is considered, estimate what it is worth and decide again with that.

    `is_news`: the watch has just said something of the decline, which is when going back is looked at.
    """
    settings = context.settings
    decision = decide(settings.retrain, settings.build, state, as_of)
    if champion is None or not (decision.build or (is_news and considers_return(state))):
        return decision
    gains = gains_of(context, champion, state, scored)
    return decide(settings.retrain, settings.build, replace(state, gains=gains), as_of)


def gains_of(context: Context, champion: int, state: State, scored: pl.DataFrame) -> Gains:
    """What each act would be worth, from the champion's labelled rows since the onset, or all of the check-up's window."""
    rows = scored.filter(pl.col("label").is_not_null() & (pl.col("version") == champion)) if scored.height else scored
    if state.decline is not None and rows.height:
        rows = rows.filter(pl.col("time") >= literal(state.decline.onset))
    rows = rows.tail(MOST)
    if rows.is_empty():
        return Gains()
    answer, label = rows["answer"].to_numpy(), rows["label"].to_numpy()
    task, metric = context.outline.task, context.metric
    decoded = watching.decoded(context, champion, rows)
    numbers = [
        decoded[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in decoded.columns if decoded[name].dtype.is_numeric()
    ]
    inputs = np.column_stack(numbers) if numbers else None
    return Gains(
        gain_of_correcting(task, metric, answer, label, inputs),
        gain_of_correcting(task, metric, answer, label),
        _gain_of_return(context, state, rows) if considers_return(state) else None,
    )


def _gain_of_return(context: Context, state: State, rows: pl.DataFrame) -> Gain | None:
    """What the version before would have saved on the rows that the champion answered since the onset."""
    assert state.previous is not None
    try:
        before = context.predictor(state.previous)
        since: datetime = rows["time"].min()  # type: ignore[assignment]
        made = before.features(context.observations.rows(since=since - timedelta(days=before.model.lookback_days)))
        entity, time = key_of(context.model.entity, context.model.time)
        given = made.select(pl.col(entity).alias("entity"), pl.col(time).alias("time"), pl.Series("before", before.answer(made)))
    except KeepwellError:  # it cannot answer any more: then it is nothing to go back to
        return None
    both = rows.join(given, on=["entity", "time"], how="inner", maintain_order="left")
    if both.height < 2:
        return None
    label = both["label"].to_numpy()
    return Gain.of(*(losses(context.metric, label, both[name].to_numpy()) for name in ("answer", "before")))


def act_on(connection: sa.Connection, context: Context, cycle: str, as_of: datetime, decision: RetrainDecision) -> None:
    """Put a decision that is news on the timeline, and go back where it says so and a person need not be asked."""
    if decision.trigger is None and decision.act not in (FIX, WAIT):
        return
    said = list_decisions(connection, context.name, 2)
    before = next((one for moment, one in said if moment < as_of), None)
    is_plain = decision.build and not decision.plan
    if not is_plain and (before is None or (before.act, before.trigger, before.brake) != (decision.act, decision.trigger, decision.brake)):
        facts = {"act": decision.act, "held_by": decision.held_by, "by": "keepwell"}
        record_event(connection, context.name, f"{cycle}/decided", Event("decided", as_of, f"Decided: {decision.sentence}", facts))
    if decision.act != ROLL_BACK or decision.held_by is not None or not context.settings.acts_alone:
        return
    try:
        rollback(connection, context.name, as_of=as_of, by="keepwell", reason=decision.sentence, key=f"{cycle}/return")
    except Refused as error:
        told = Event("return_refused", as_of, f"The champion stays: {error.message}", {"by": "keepwell"})
        record_event(connection, context.name, f"{cycle}/return_refused", told)
