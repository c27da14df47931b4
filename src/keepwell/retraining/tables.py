"""Retraining decisions, one a cycle: the loop closes by reading these."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keepwell.retraining.policy import RetrainDecision
from keepwell.storage import append_once
from keepwell.storage.schema import linked, metadata, moment, text

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
    *linked(),
    sa.Index(None, "model", "as_of"),
)


def record_decision(connection: sa.Connection, model: str, cycle: str, as_of: datetime, decision: RetrainDecision) -> None:
    """Keep a decision, once per cycle."""
    values = {"build": decision.build, "trigger": decision.trigger, "held_by": decision.held_by, "sentence": decision.sentence}
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
    return RetrainDecision(row.build, row.trigger, row.held_by, row.sentence)
