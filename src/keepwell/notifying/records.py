"""What is told, to whom it goes, and what came of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")

# States of a delivery. The first two are to be sent; the others have ended.
PENDING, HELD = "pending", "held"
SENT, DIGESTED, GIVEN_UP, STALE, NOBODY = "sent", "in digest", "given up", "stale", "nobody"
STATES = (PENDING, HELD, SENT, DIGESTED, GIVEN_UP, STALE, NOBODY)
# Kinds of notices that tell of no fact: machines that follow the facts do not get them.
DIGEST, TEST = "digest", "test"


@dataclass(frozen=True)
class Notice:
    """Something to be told.

    Attributes
    ----------
    kind : words with dots, such as "incident.opened"; `dev.keepwell.incident.opened.v1` as a CloudEvent.
    subject : what it is about within the model ("incident/7").
    recipients : names of people as `[people]` has them.
    at : when the fact was: in a backfill, the moment of its cycle.
    """

    kind: str
    subject: str
    sentence: str
    severity: Severity
    recipients: tuple[str, ...]
    at: datetime
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """A notice in the outbox: `number` counts a model's notices in the order they came and is the cursor for replay."""

    model: str
    number: int
    key: str
    created: datetime
    notice: Notice
    planned: datetime | None = None  # when it was decided whom it goes to

    @property
    def id(self) -> str:
        """The same for every try at every channel: who has seen it knows a repeat by it."""
        return event_id(self.model, self.key)


@dataclass(frozen=True)
class Delivery:
    """One notice on its way to one channel. `next_try` counts while it is pending, `problem` says what went wrong last."""

    number: int
    channel: str
    person: str | None
    state: str
    tries: int = 0
    next_try: datetime | None = None
    problem: str | None = None
    changed: datetime | None = None


@dataclass(frozen=True)
class Told:
    """A notice with what came of it at each channel."""

    kept: Kept
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True)
class Outcome:
    """What a channel answered: `problem` is None when it took the notice; `refused` when asking again will hardly help."""

    problem: str | None = None
    refused: bool = False
    wait_s: float = 0.0  # the channel asked to be left alone for so long


@dataclass(frozen=True)
class Stuck:
    """A channel that does not deliver: since when its oldest notice waits, how many wait, and what went wrong last."""

    model: str
    channel: str
    since: datetime
    waiting: int
    problem: str

    @property
    def sentence(self) -> str:
        """In words, without the moment."""
        if not self.waiting:
            return f"{self.channel} gave up its newest notice: {self.problem}"
        return f"{self.channel} has not got {self.waiting} {'notice' if self.waiting == 1 else 'notices'}: {self.problem}"


def event_id(model: str, key: str) -> str:
    """The id of a notice, the same on every machine and after every restart.

    Examples
    --------
    >>> event_id("rain", "incident/7/opened") == event_id("rain", "incident/7/opened"), len(event_id("rain", "x"))
    (True, 32)
    """
    return hashlib.sha256(f"{model}\n{key}".encode()).hexdigest()[:32]
