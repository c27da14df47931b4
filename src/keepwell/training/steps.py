"""A build's steps: an identity computed before the step runs, a result that is kept, and reuse when both agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from keepwell.storage import Database, digest_of
from keepwell.training import tables

Result = dict[str, Any]
Runner = Callable[[str, str, dict[str, Any], Callable[[], Result]], Result]  # (run, step, parts, work) -> result


@dataclass(frozen=True)
class StepRecord:
    """One step of one run: what it was made of, what it gave, and whether an earlier result was used again."""

    run: str
    name: str
    identity: str
    parts: dict[str, Any]
    result: Result
    reused_from: str | None
    seconds: float
    at: datetime

    @property
    def reason(self) -> str:
        """Why it ran, or why it did not."""
        return f"reused: same identity as in run {self.reused_from}" if self.reused_from else "ran: no earlier result has this identity"


def identity_of(name: str, parts: dict[str, Any]) -> str:
    """SHA-256 over the step's name and everything that may change its result."""
    return digest_of(json.dumps([name, parts], sort_keys=True, default=str).encode())


@dataclass(frozen=True)
class Trial:
    """A step that was run again, outside the record."""

    name: str
    identity: str
    parts: dict[str, Any]
    result: Result


def run_step(database: Database, model: str, run: str, name: str, parts: dict[str, Any], work: Callable[[], Result]) -> Result:
    """The step's result: that of an earlier step with the same identity, or what `work` answers now.

    `work` must be a function of `parts` alone. Its result is plain JSON; large results are artifacts it names by digest.
    """
    identity = identity_of(name, parts)
    with database.read() as connection:
        earlier = tables.find_step(connection, model, identity)
    if earlier is not None and earlier.run == run:
        return earlier.result
    begun = datetime.now(UTC)
    result = earlier.result if earlier else work()
    record = StepRecord(
        run=run,
        name=name,
        identity=identity,
        parts=parts,
        result=result,
        reused_from=(earlier.reused_from or earlier.run) if earlier else None,
        seconds=(datetime.now(UTC) - begun).total_seconds(),
        at=begun,
    )
    with database.begin() as connection:
        tables.record_step(connection, model, record)
    return result
