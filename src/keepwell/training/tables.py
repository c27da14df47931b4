"""Builds and their steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from keepwell.storage import append_once, insert_once
from keepwell.storage.schema import facts, linked, metadata, moment, serial, text

if TYPE_CHECKING:
    from keepwell.training.steps import StepRecord

runs = sa.Table(
    "runs",
    metadata,
    text("model", primary=True),
    text("run", primary=True),
    text("cycle"),
    moment("as_of"),
    text("reason"),
    text("status"),  # running, passed, refused, failed
    text("sentence"),
    moment("begun"),
    moment("ended", nullable=True),
    sa.Column("facts", sa.JSON, nullable=True),
    sa.Index(None, "model", "as_of"),
)

steps = sa.Table(
    "steps",
    metadata,
    text("model", primary=True),
    text("run", primary=True),
    text("name", primary=True),
    text("identity"),
    facts("parts"),
    facts("result"),
    text("reused_from", nullable=True),
    sa.Column("seconds", sa.Float, nullable=False),
    moment("at"),
    sa.Index(None, "model", "identity"),
)


reproductions = sa.Table(
    "reproductions",
    metadata,
    serial(),
    text("model"),
    text("key"),
    text("run"),
    moment("at"),
    text("verdict"),  # identical, differs, nondeterministic
    text("step", nullable=True),
    text("sentence"),
    facts(),
    *linked(),
    sa.UniqueConstraint("model", "key"),
    sa.Index(None, "model", "run"),
)


@dataclass(frozen=True)
class Run:
    """One build: why it was begun and how it ended.

    `facts` says what it was made of: digests of `code`, `settings` and `packages`, and the `git` commit where there is one.
    """

    run: str
    cycle: str
    as_of: datetime
    reason: str
    status: str
    sentence: str
    begun: datetime
    ended: datetime | None
    facts: dict[str, Any]

    def _repr_html_(self) -> str:
        from keepwell.notebook import card
        from keepwell.wording import took, when

        facts = [("Because", self.reason), ("For", when(self.as_of)), ("Took", took(self.begun, self.ended))]
        return card(self.status, f"{self.run} {self.status}: {self.sentence}", facts)


def begin_run(connection: sa.Connection, model: str, run: Run) -> None:
    """Keep that a build began, once."""
    insert_once(connection, runs, {"model": model, **asdict(run)})


def end_run(connection: sa.Connection, model: str, run: str, status: str, sentence: str) -> None:
    """Keep how a build ended."""
    where = (runs.c.model == model) & (runs.c.run == run) & (runs.c.ended.is_(None))
    connection.execute(sa.update(runs).where(where).values(status=status, sentence=sentence, ended=datetime.now(UTC)))


def list_runs(connection: sa.Connection, model: str, limit: int | None = None) -> list[Run]:
    """The newest builds, newest first."""
    query = sa.select(runs).where(runs.c.model == model).order_by(runs.c.as_of.desc()).limit(limit)
    return [_run(row) for row in connection.execute(query).mappings()]


def get_run(connection: sa.Connection, model: str, run: str) -> Run | None:
    """One build, or None."""
    row = connection.execute(sa.select(runs).where(runs.c.model == model, runs.c.run == run)).mappings().first()
    return _run(row) if row else None


def _run(row: Any) -> Run:
    return Run(**{name: value for name, value in row.items() if name not in ("model", "facts")}, facts=row["facts"] or {})


@dataclass(frozen=True)
class Proof:
    """That a run was repeated, and what came of it."""

    run: str
    at: datetime
    verdict: str
    step: str | None
    sentence: str
    facts: dict[str, Any]


def record_proof(connection: sa.Connection, model: str, key: str, proof: Proof) -> None:
    """Keep what came of repeating a run, once per key."""
    append_once(connection, reproductions, {"model": model, "key": key, **asdict(proof)})


def list_proofs(connection: sa.Connection, model: str, run: str | None = None) -> list[Proof]:
    """What came of repeating runs, oldest first."""
    query = sa.select(reproductions).where(reproductions.c.model == model).order_by(reproductions.c.seq)
    if run is not None:
        query = query.where(reproductions.c.run == run)
    return [Proof(row.run, row.at, row.verdict, row.step, row.sentence, row.facts) for row in connection.execute(query)]


def record_step(connection: sa.Connection, model: str, record: StepRecord) -> None:
    """Keep a step's result, once per (run, name)."""
    insert_once(connection, steps, {"model": model, **asdict(record)})


def find_step(connection: sa.Connection, model: str, identity: str) -> StepRecord | None:
    """The newest step with this identity."""
    query = sa.select(steps).where(steps.c.model == model, steps.c.identity == identity).order_by(steps.c.at.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return _step(row) if row else None


def list_steps(connection: sa.Connection, model: str, run: str) -> list[StepRecord]:
    """The steps of a run in the order they ran."""
    query = sa.select(steps).where(steps.c.model == model, steps.c.run == run).order_by(steps.c.at)
    return [_step(row) for row in connection.execute(query).mappings()]


def _step(row: Any) -> StepRecord:
    from keepwell.training.steps import StepRecord

    return StepRecord(**{name: value for name, value in row.items() if name != "model"})
