"""What the record holds that a point may rest on, read once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from keepwell.ingestion import last_gather
from keepwell.monitoring import get_watch, last_checkup
from keepwell.orchestration import last_cycle, list_cycles
from keepwell.registry import CHAMPION, list_alias_changes, list_versions
from keepwell.retraining import list_decisions
from keepwell.storage import Event, list_events
from keepwell.training import get_run, list_proofs, list_steps
from keepwell.validation import contract_in_force

if TYPE_CHECKING:
    from keepwell.ingestion import Gathered
    from keepwell.monitoring import Checkup
    from keepwell.orchestration import Context, CycleRecord
    from keepwell.registry import AliasChange, Version
    from keepwell.settings import Settings
    from keepwell.training import Proof, Run, StepRecord
    from keepwell.validation import ContractInForce

LEDGER_DAYS = 90
KINDS = ("rehearsed", "trial", "replayed", "rolled_back", "approved")  # lines that the newest of counts


@dataclass(frozen=True)
class Answers:
    """The ledger's newest days: how many answers, how many no number, how many different, from which doors, the newest of them."""

    count: int
    odd: int
    different: int
    origins: frozenset[str]
    newest: datetime
    version: int
    has_inputs: bool


@dataclass(frozen=True, eq=False)
class Evidence:
    """A model's record as of a moment. `wall` is that moment on the clock of the machine: in a backfill the two are years apart."""

    at: datetime
    wall: datetime
    settings: Settings
    metric: str
    versions: tuple[Version, ...]
    champion: Version | None
    changes: tuple[AliasChange, ...]
    run: Run | None
    steps: dict[str, StepRecord]
    proofs: tuple[Proof, ...]
    checkup: Checkup | None
    decided: datetime | None
    gathered: Gathered | None
    contract: ContractInForce | None
    watch: dict[str, Any] | None
    answers: Answers | None
    cycles: tuple[CycleRecord, ...]
    newest: dict[str, Event]

    @property
    def version(self) -> Version | None:
        """The newest version, whether it serves or was refused."""
        return self.versions[-1] if self.versions else None

    def model_time(self, wall: datetime) -> datetime:
        """A moment of the machine's clock as one of the model's."""
        return wall - (self.wall - self.at)


def collect(context: Context, at: datetime | None = None, now: datetime | None = None) -> Evidence:
    """Read it.

    Parameters
    ----------
    at : as it was known at this moment of the model's own time; default its present. A model that was backfilled through the
        past lives in the past: its present is the moment of its newest cycle plus the time since that cycle ran.
    """
    wall = now or datetime.now(UTC)
    name = context.name
    with context.database.read() as connection:
        cycle = last_cycle(connection, name, "done")
        behind = _behind(cycle)
        at, wall = (at, at + behind) if at is not None else (wall - behind, wall)
        moment = at
        versions = tuple(version for version in list_versions(connection, name) if version.as_of <= moment)
        changes = tuple(change for change in list_alias_changes(connection, name, CHAMPION) if change.since <= moment)
        number = changes[-1].number if changes else None
        newest = versions[-1] if versions else None
        decisions = [when for when, _ in list_decisions(connection, name) if when <= moment]
        gathered = last_gather(connection, name)
        known = get_watch(connection, name, number) if number is not None else None
        events = {kind: list_events(connection, name, kinds=(kind,), until=moment, limit=1) for kind in KINDS}
        answers = _answers(context.predictions.rows(since=moment - timedelta(days=LEDGER_DAYS), until=moment, connection=connection))
        return Evidence(
            at=moment,
            wall=wall,
            settings=context.settings,
            metric=context.metric,
            versions=versions,
            champion=next((version for version in versions if version.number == number), None),
            changes=changes,
            run=get_run(connection, name, newest.run) if newest else None,
            steps={step.name: step for step in list_steps(connection, name, newest.run)} if newest else {},
            proofs=tuple(proof for proof in list_proofs(connection, name) if proof.at <= wall),
            checkup=last_checkup(connection, name, before=moment + timedelta(microseconds=1)),
            decided=max(decisions, default=None),
            gathered=gathered if gathered and gathered.as_of <= moment else None,
            contract=contract_in_force(connection, name),
            watch=dict(known[1]) if known else None,
            answers=answers,
            cycles=tuple(one for one in list_cycles(connection, name, "done", 120) if one.as_of <= moment),
            newest={kind: found[-1] for kind, found in events.items() if found},
        )


def _behind(cycle: CycleRecord | None) -> timedelta:
    if cycle is None:
        return timedelta(0)
    apart = cycle.begun - cycle.as_of
    return apart if apart > timedelta(days=1) else timedelta(0)


def _answers(rows: pl.DataFrame) -> Answers | None:
    if rows.is_empty():
        return None
    last = rows.sort("time").row(-1, named=True)
    given = rows["answer"].cast(pl.Float64).to_numpy()
    return Answers(
        rows.height,
        int((~np.isfinite(given)).sum()),
        rows["answer"].n_unique(),
        frozenset(rows["origin"].unique().drop_nulls().to_list()),
        last["time"],
        int(last["version"]),
        bool(last.get("inputs")),
    )
