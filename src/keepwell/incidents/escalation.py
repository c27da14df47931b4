"""Who is told when nobody answers: the deputy once, both once more after twice as long, then nobody. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keepwell.incidents.records import KEEPWELL, Activity, Change, Incident

if TYPE_CHECKING:
    from keepwell.settings import EscalationSection

LEVELS = 2  # more would be noise that is learned to be overheard


def level_of(incident: Incident, settings: EscalationSection, now: datetime) -> int:
    """How far an incident has been left unanswered: 0 not yet, 1 the deputy is due, 2 both are.

    A note that harms nobody (severity info) waits for ever; a snooze counts from its end; a clock that went back counts as no time.
    """
    if settings.after_hours is None or incident.severity == "info" or incident.state_at(now) != "open":
        return 0
    waited = now - max(incident.told_at, incident.snoozed_until or incident.told_at)
    after = timedelta(hours=settings.after_hours)
    return min(LEVELS, int(waited / after)) if waited >= after else 0


def escalate(incident: Incident, settings: EscalationSection, now: datetime) -> Change | None:
    """The change when a further level is reached; None when there is nothing new to tell."""
    level = level_of(incident, settings, now)
    if level <= incident.facts["escalated"]:
        return None
    people = told_to(incident, level)
    facts = {**incident.facts, "escalated": level}
    after = replace(incident, revision=incident.revision + 1, facts=facts)
    who = " and ".join(people) or "nobody: no deputy is set"
    hours = (now - incident.told_at) / timedelta(hours=1)
    sentence = f"Not acknowledged for {hours:,.0f} h: told to {who}"
    episode = len(incident.facts.get("episodes", ()))
    key = f"{incident.number}/escalated/{episode}/{level}"
    line = Activity(key, incident.number, now, KEEPWELL, "escalated", sentence, {"level": level})
    return Change(after, line, "incident.escalated")


def told_to(incident: Incident, level: int) -> tuple[str, ...]:
    """Who is told at a level; without a deputy the owner is told again."""
    names = (incident.deputy or incident.owner,) if level == 1 else (incident.owner, incident.deputy)
    return tuple(name for name in dict.fromkeys(names) if name)
