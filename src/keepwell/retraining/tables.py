"""Retraining decisions, one a cycle: the loop closes by reading these. And the pause that is in force."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keepwell.retraining.pauses import Pause
from keepwell.retraining.policy import NOTHING, RETRAIN, RetrainDecision
from keepwell.retraining.value import Gain
from keepwell.storage import append_once, insert_once
from keepwell.storage.schema import facts, linked, metadata, moment, text

decisions = sa.Table(
    "decisions",
    metadata,
    text("model", primary=True),
    text("cycle", primary=True),
    moment("as_of"),
    sa.Column("build", sa.Boolean, nullable=False),
    text("trigger", nullable=True),
    text("held_by", nullable=True),
    text("sentence"),
    sa.Column("facts", sa.JSON, nullable=True),
    *linked(),
    sa.Index(None, "model", "as_of"),
)

pauses = sa.Table(
    "pauses",
    metadata,
    text("model", primary=True),
    moment("since"),
    moment("until", nullable=True),
    text("by"),
    text("reason"),
)


# How the policies of the newest rehearsal went: one a model, in place of the one before.
rehearsals = sa.Table("rehearsals", metadata, text("model", primary=True), moment("at"), facts())


def put_rehearsal(connection: sa.Connection, model: str, at: datetime, known: dict[str, Any]) -> None:
    """Keep what a rehearsal of policies came to, in place of the one before."""
    if not insert_once(connection, rehearsals, {"model": model, "at": at, "facts": known}):
        older = (rehearsals.c.model == model) & (rehearsals.c.at <= at)
        connection.execute(sa.update(rehearsals).where(older).values(at=at, facts=known))


def get_rehearsal(connection: sa.Connection, model: str) -> tuple[datetime, dict[str, Any]] | None:
    """When policies were rehearsed last, and what it came to; None when they never were."""
    row = connection.execute(sa.select(rehearsals).where(rehearsals.c.model == model)).first()
    return (row.at, row.facts) if row else None


def record_decision(connection: sa.Connection, model: str, cycle: str, as_of: datetime, decision: RetrainDecision) -> None:
    """Keep a decision, once per cycle."""
    values = {name: getattr(decision, name) for name in ("build", "trigger", "held_by", "sentence", "facts")}
    append_once(connection, decisions, {"model": model, "cycle": cycle, "as_of": as_of, **values})


def get_decision(connection: sa.Connection, model: str, cycle: str) -> RetrainDecision | None:
    """What a cycle decided, or None while it has not."""
    query = sa.select(decisions).where(decisions.c.model == model, decisions.c.cycle == cycle)
    row = connection.execute(query).first()
    return _decision(row) if row else None


def list_decisions(connection: sa.Connection, model: str, limit: int | None = None) -> list[tuple[datetime, RetrainDecision]]:
    """The newest decisions with their moments, newest first."""
    query = sa.select(decisions).where(decisions.c.model == model).order_by(decisions.c.as_of.desc()).limit(limit)
    return [(row.as_of, _decision(row)) for row in connection.execute(query)]


def _decision(row: Any) -> RetrainDecision:
    facts = row.facts or {}
    moments = {name: datetime.fromisoformat(facts[name]) for name in ("window_from", "judge_from") if facts.get(name)}
    spells = tuple((datetime.fromisoformat(low), datetime.fromisoformat(until)) for low, until in facts.get("without", []))
    gain = Gain(**facts["gain"]) if facts.get("gain") else None
    act = facts.get("act") or (RETRAIN if row.build else NOTHING)  # older decisions knew no other act
    known: dict[str, Any] = {"gain": gain, "brake": facts.get("brake"), "without": spells, **moments}
    return RetrainDecision(row.build, row.trigger, row.held_by, row.sentence, act, **known)


def list_pauses(connection: sa.Connection, now: datetime) -> dict[str, Pause]:
    """Model -> the pause in force, of every model in the record."""
    found = {row.model: Pause(row.since, row.until, row.by, row.reason) for row in connection.execute(sa.select(pauses))}
    return {model: pause for model, pause in found.items() if pause.lasts(now)}


def put_pause(connection: sa.Connection, model: str, pause: Pause | None) -> None:
    """Let a pause be in force in place of the one before; None ends it. Its history is on the timeline."""
    connection.execute(sa.delete(pauses).where(pauses.c.model == model))
    if pause is not None:
        values = {"since": pause.since, "until": pause.until, "by": pause.by, "reason": pause.reason}
        connection.execute(sa.insert(pauses).values(model=model, **values))


def get_pause(connection: sa.Connection, model: str, now: datetime) -> Pause | None:
    """The pause that is in force at a moment, as the record has it now."""
    row = connection.execute(_PAUSE, {"model": model}).first()
    pause = Pause(row.since, row.until, row.by, row.reason) if row else None
    return pause if pause is not None and pause.lasts(now) else None


# Built once: every cycle asks.
_PAUSE = sa.select(pauses).where(pauses.c.model == sa.bindparam("model"))
