"""How long it takes to detect, respond and repair, and the medians of a period: how well the loop does that people are part of. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from keepwell.incidents.records import Incident

PERIODS = ("month", "quarter", "year")


@dataclass(frozen=True)
class Durations:
    """From the beginning until it was told, until somebody had it, until it ended; None while that has not come. Never negative."""

    detect: timedelta | None
    respond: timedelta | None
    repair: timedelta | None

    def as_dict(self) -> dict[str, float | None]:
        """In hours."""
        return {f"{name}_h": None if (value := getattr(self, name)) is None else value / timedelta(hours=1) for name in NAMES}


NAMES = ("detect", "respond", "repair")


def durations_of(incident: Incident) -> Durations:
    """The three durations of an incident (of the last time, when it was reopened). It begins in the middle of its interval.

    A reopened incident was told when it came again; what was before is in its episodes.
    """
    began = incident.first + (incident.last - incident.first) / 2
    if incident.facts.get("episodes"):
        began = min(began, incident.told_at)
    return Durations(
        _between(began, incident.told_at),
        _between(incident.told_at, incident.acknowledged_at),
        _between(incident.told_at, incident.closed_at),
    )


def medians(incidents: Sequence[Incident], period: str = "quarter") -> list[dict[str, Any]]:
    """Medians of the incidents told in each period, oldest first: rows of `period`, `incidents`, and hours to detect, respond, repair.

    Examples
    --------
    >>> medians([], "year")
    []
    """
    groups: dict[str, list[Incident]] = {}
    for incident in sorted(incidents, key=lambda one: one.told_at):
        groups.setdefault(_period(incident.told_at, period), []).append(incident)
    return [{"period": name, "incidents": len(found), **_medians(found)} for name, found in groups.items()]


def _medians(incidents: Sequence[Incident]) -> dict[str, float | None]:
    rows = [durations_of(incident).as_dict() for incident in incidents]
    found: dict[str, float | None] = {}
    for name in (f"{name}_h" for name in NAMES):
        values = [value for row in rows if (value := row[name]) is not None]
        found[name] = median(values) if values else None
    return found


def _between(start: datetime, end: datetime | None) -> timedelta | None:
    return None if end is None else max(end - start, timedelta(0))  # a clock may have gone back


def _period(moment: datetime, period: str) -> str:
    if period == "year":
        return f"{moment:%Y}"
    return f"{moment:%Y-%m}" if period == "month" else f"{moment:%Y}-Q{(moment.month + 2) // 3}"
