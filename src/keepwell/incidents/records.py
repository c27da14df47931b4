"""The nouns of care: a fault that was seen, its end, the incident it belongs to, and what was done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keepwell.notifying import Severity

STATES = ("open", "acknowledged", "snoozed", "closed")
KEEPWELL = "keepwell"  # who acts when no person did

# Faults of one family are one story: what breaks the source makes the data late as well.
MODEL, SOURCE, CYCLES = "model", "source", "cycles"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that is wrong, as it was seen once.

    Attributes
    ----------
    key : where it stands on record; the same key twice is one sighting.
    id : names the fault while it lasts.
    family : faults of one family may be one; see `joining`.
    cls, kind, column : the class of the cause, its kind, and the column or source it sits on ("" for none).
    first, last : the interval in which it began; `level` how sure that is, None where it is certain.
    headline : what is the matter, after the model's name and before "since".
    words : the likely cause in words.
    facts : what else the sentence needs: `share` of the rise, `loss` (name, before, after, low, high), `version`.
    """

    key: str
    id: str
    family: str
    cls: str
    kind: str
    column: str = ""
    first: datetime
    last: datetime
    level: float | None = None
    severity: Severity = "warning"
    headline: str
    words: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_lasting(self) -> bool:
        """Is it looked at anew in every cycle? A decline is told once, and diagnosed better a few times."""
        return not self.id.startswith("watch/")


@dataclass(frozen=True)
class End:
    """The fault `id` is over since `at`, `because` of this."""

    id: str
    at: datetime
    because: str


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One fault of one model, from its beginning to its end.

    Attributes
    ----------
    revision : counts the changes; an act may say which one it rests on.
    first, last : the interval in which it began.
    told_at : when it was told (the last time, when it was reopened); `acknowledged_at` and `closed_at` follow.
    is_live : still looked at by cycles: it is not closed, or its fault lasts, or its effect is not measured yet.
    facts : `faults` (id -> what was seen of each, `ended` when it was), `evidence`, and what the sentence needs.
    """

    model: str
    number: int
    revision: int = 1
    state: str = "open"
    severity: Severity
    cls: str
    kind: str
    column: str
    first: datetime
    last: datetime
    told_at: datetime
    acknowledged_at: datetime | None = None
    closed_at: datetime | None = None
    snoozed_until: datetime | None = None
    owner: str | None = None
    deputy: str | None = None
    is_live: bool = True
    facts: dict[str, Any]

    @property
    def is_open(self) -> bool:
        """Not closed."""
        return self.state != "closed"

    @property
    def ringing(self) -> tuple[str, ...]:
        """Ids of its faults that have not ended."""
        return tuple(name for name, fault in self.facts["faults"].items() if fault["ended"] is None)

    @property
    def word(self) -> str:
        """The health word whose colour and icon it has."""
        return "paused" if not self.is_open else "unwell" if self.severity == "critical" else "watch"

    def state_at(self, now: datetime) -> str:
        """The state, with a snooze that has run out taken off."""
        if self.state == "snoozed" and (self.snoozed_until is None or self.snoozed_until <= now):
            return "acknowledged" if self.acknowledged_at else "open"
        return self.state

    def _repr_html_(self) -> str:
        from keepwell.notebook import card
        from keepwell.wording import when

        lead = self.facts["faults"][self.facts["lead"]]
        known = [("State", self.state), ("Severity", self.severity), ("Owner", self.owner or "nobody"), ("Told", when(self.told_at))]
        return card(self.word, f"Incident {self.number} of {self.model}: {lead['words']}", known)


@dataclass(frozen=True)
class Activity:
    """One line of what happened to an incident. Lines are added, never changed."""

    key: str
    number: int
    at: datetime
    by: str
    kind: str
    sentence: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """An incident as it is after something happened, and the line that says what; `notice` is what is told of it, "" for nothing."""

    incident: Incident
    activity: Activity
    notice: str = ""
