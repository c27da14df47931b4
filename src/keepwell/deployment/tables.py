"""Trials: which version answers beside the champion, unseen, since when, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keepwell.storage import insert_once
from keepwell.storage.schema import facts, integer, metadata, moment, text

SHADOW, PROBATION = "shadow", "probation"
OPEN, WAITING = "open", "waiting"  # the test goes on; the version waits for a person
LIVING = (OPEN, WAITING)

trials = sa.Table(
    "trials",
    metadata,
    text("model", primary=True),
    text("key", primary=True),
    text("kind"),  # shadow: a challenger; probation: the former champion
    integer("version"),  # answers unseen
    integer("beside"),  # the champion it is held against
    moment("since"),
    moment("until"),
    text("status"),  # open, waiting, or how it ended
    facts(),
    sa.Index(None, "model", "status"),
)


@dataclass(frozen=True)
class Trial:
    """`version` answers beside the champion `beside` from `since` to `until`, unseen.

    `facts` hold its terms, the blocks counted so far as ``[[number, rows, gain], ...]``, from where on blocks are not counted
    yet (`from`), and in the end how it was judged.
    """

    key: str
    kind: str
    version: int
    beside: int
    since: datetime
    until: datetime
    status: str
    facts: dict[str, Any]


def begin_trial(connection: sa.Connection, model: str, trial: Trial) -> bool:
    """Keep that a trial begins, once per key."""
    return insert_once(connection, trials, {"model": model, **vars(trial)})


def keep_trial(connection: sa.Connection, model: str, key: str, status: str, known: Mapping[str, Any]) -> bool:
    """Keep what a living trial knows now, or that it ended; one that has ended stays as it is. True when it was living."""
    where = (trials.c.model == model) & (trials.c.key == key) & trials.c.status.in_(LIVING)
    return connection.execute(sa.update(trials).where(where).values(status=status, facts=dict(known))).rowcount > 0


def living_trials(connection: sa.Connection, model: str, kind: str | None = None) -> list[Trial]:
    """Trials that have not ended, oldest first."""
    query = sa.select(trials).where(trials.c.model == model, trials.c.status.in_(LIVING)).order_by(trials.c.since, trials.c.key)
    if kind is not None:
        query = query.where(trials.c.kind == kind)
    return [_trial(row) for row in connection.execute(query).mappings()]


def list_waiting(connection: sa.Connection) -> list[tuple[str, Trial]]:
    """(model, trial) of every version in the record that waits for a person, oldest first."""
    query = sa.select(trials).where(trials.c.kind == SHADOW, trials.c.status == WAITING).order_by(trials.c.since, trials.c.key)
    return [(row["model"], _trial(row)) for row in connection.execute(query).mappings()]


def list_trials(connection: sa.Connection, model: str) -> list[Trial]:
    """All trials, oldest first."""
    query = sa.select(trials).where(trials.c.model == model).order_by(trials.c.since, trials.c.key)
    return [_trial(row) for row in connection.execute(query).mappings()]


def _trial(row: Any) -> Trial:
    return Trial(**{name: value for name, value in row.items() if name != "model"})
