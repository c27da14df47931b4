"""What people do with an incident: acknowledge, assign, comment, snooze, close, reopen. Pure; who acts second is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from keepwell.errors import IncidentChanged, IncidentRefused
from keepwell.incidents.joining import again, live
from keepwell.incidents.records import Activity, Change, Incident

LONGEST_TEXT = 4000


def acknowledge(incident: Incident, *, by: str, now: datetime) -> Change:
    """Somebody has it. Who acknowledges what nobody owns owns it.

    Raises
    ------
    IncidentRefused : it is closed, or somebody acknowledged it already.
    """
    _must_be_open(incident, "acknowledge")
    if incident.acknowledged_at is not None:
        who = incident.facts.get("acknowledged_by", "somebody")
        raise IncidentRefused(incident.number, "acknowledge", f"{who} did so at {incident.acknowledged_at:%Y-%m-%d %H:%M}")
    after = replace(incident, state="acknowledged", acknowledged_at=now, snoozed_until=None, owner=incident.owner or by)
    return _done(after, by, now, "acknowledged", f"Acknowledged by {by}", acknowledged_by=by)


def assign(incident: Incident, to: str, *, by: str, now: datetime) -> Change:
    """Give it to a person.

    Raises
    ------
    IncidentRefused : it is closed, they have it already, or no name was given.
    """
    _must_be_open(incident, "assign")
    name = _text(incident, "assign", to)
    if incident.owner == name:
        raise IncidentRefused(incident.number, "assign", f"{name} has it already")
    return _done(replace(incident, owner=name), by, now, "assigned", f"Handed to {name} by {by}", "incident.assigned", assigned=by)


def comment(incident: Incident, text: str, *, by: str, now: datetime) -> Change:
    """Add words to it, also after its end.

    Raises
    ------
    IncidentRefused : there are no words, or too many.
    """
    return _done(incident, by, now, "comment", _text(incident, "comment on", text))


def snooze(incident: Incident, until: datetime, *, by: str, now: datetime) -> Change:
    """Tell nobody until a moment, unless it gets worse.

    Raises
    ------
    IncidentRefused : it is closed, or that moment is over.
    """
    _must_be_open(incident, "snooze")
    if until <= now:
        raise IncidentRefused(incident.number, "snooze", f"{until:%Y-%m-%d %H:%M} is over")
    after = replace(incident, state="snoozed", snoozed_until=until)
    return _done(after, by, now, "snoozed", f"Snoozed until {until:%Y-%m-%d %H:%M} by {by}")


def close(incident: Incident, cause: str, *, by: str, now: datetime) -> Change:
    """End it, with its cause. While the fault lasts it stays closed, unless it gets worse.

    Raises
    ------
    IncidentRefused : it is closed already, or no cause was given.
    """
    _must_be_open(incident, "close")
    words = _text(incident, "close", cause)
    after = replace(incident, state="closed", closed_at=now, snoozed_until=None)
    return _done(after, by, now, "closed", f"Closed by {by}: {words}", "incident.closed", closed={"by": by, "cause": words})


def reopen(incident: Incident, reason: str, *, by: str, now: datetime) -> Change:
    """Take it up again.

    Raises
    ------
    IncidentRefused : it is not closed, it was one fault with another, or no reason was given.
    """
    if incident.is_open:
        raise IncidentRefused(incident.number, "reopen", "it is not closed")
    if "absorbed_by" in incident.facts:
        raise IncidentRefused(incident.number, "reopen", f"it is one fault with incident {incident.facts['absorbed_by']}")
    words = _text(incident, "reopen", reason)
    after = again(incident, now)
    return _done(after, by, now, "reopened", f"Reopened by {by}: {words}", "incident.reopened")


ACTS: dict[str, Callable[..., Change]] = {
    "ack": acknowledge,
    "assign": assign,
    "comment": comment,
    "snooze": snooze,
    "close": close,
    "reopen": reopen,
}


def expect(incident: Incident, revision: int | None) -> None:
    """Refuse an act that rests on an older state of the incident than there is.

    Raises
    ------
    IncidentChanged
    """
    if revision is not None and revision != incident.revision:
        raise IncidentChanged(incident.number, revision, incident.revision)


def _must_be_open(incident: Incident, act: str) -> None:
    if not incident.is_open:
        closed = incident.facts.get("closed", {})
        when = f" on {incident.closed_at:%Y-%m-%d %H:%M}" if incident.closed_at else ""
        raise IncidentRefused(incident.number, act, f"{closed.get('by', 'somebody')} closed it{when}: {closed.get('cause', 'no cause')}")


def _text(incident: Incident, act: str, text: str) -> str:
    words = text.strip()
    if not words:
        raise IncidentRefused(incident.number, act, "no words were given")
    if len(words) > LONGEST_TEXT:
        raise IncidentRefused(incident.number, act, f"{len(words):,} characters are more than {LONGEST_TEXT:,}")
    return words


def _done(incident: Incident, by: str, now: datetime, kind: str, sentence: str, notice: str = "", **facts: object) -> Change:
    after = live(replace(incident, revision=incident.revision + 1, facts={**incident.facts, **facts}))
    key = f"{incident.number}/{kind}/revision {after.revision}"
    return Change(after, Activity(key, incident.number, now, by, kind, sentence), notice)
