"""Rehearsals of the way back: a version loaded from its files, asked its golden rows, and timed; kept on the timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from keepwell.storage import Event, list_events, record_event

NEWEST = 400  # rehearsals looked through: a year of daily ones


@dataclass(frozen=True)
class Rehearsed:
    """`version` was loaded anew at `at` and asked its golden rows; `problem` says why it did not pass."""

    version: int
    at: datetime
    passed: bool
    seconds: float
    rows: int
    problem: str | None = None

    @property
    def took(self) -> str:
        """Its time as people say it."""
        return f"{self.seconds:.1f} s" if self.seconds >= 1 else f"{max(self.seconds * 1000, 1):.0f} ms"

    @property
    def sentence(self) -> str:
        """What came of it."""
        if self.passed:
            return f"Version {self.version} was rehearsed: it was loaded and answered its {self.rows} golden rows bit by bit as it did"
        return f"The rehearsal of version {self.version} failed, so nobody can go back to it: {self.problem}"


def record_rehearsal(connection: sa.Connection, model: str, key: str, found: Rehearsed, by: str) -> bool:
    """Keep a rehearsal, once per key."""
    facts = {"version": found.version, "passed": found.passed, "seconds": round(found.seconds, 3), "rows": found.rows, "by": by}
    return record_event(connection, model, key, Event("rehearsed", found.at, found.sentence, {**facts, "problem": found.problem}))


def last_rehearsal(connection: sa.Connection, model: str, version: int) -> Rehearsed | None:
    """The newest rehearsal of a version."""
    for event in reversed(list_events(connection, model, kinds=("rehearsed",), limit=NEWEST)):
        if event.facts["version"] == version:
            known = event.facts
            return Rehearsed(version, event.as_of, known["passed"], known["seconds"], known["rows"], known["problem"])
    return None
