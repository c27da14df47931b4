"""The sentence of an incident: state, since when, from what to what, because of what, who has it, what is held, what comes next.

One function, so that every door says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from keepwell.incidents.durations import durations_of
from keepwell.incidents.faults import UNPROVEN
from keepwell.incidents.records import MODEL, Incident
from keepwell.incidents.runbooks import runbook_of
from keepwell.monitoring import span

SHORT = timedelta(days=2)


@dataclass(frozen=True)
class Around:
    """What the sentence needs beside the incident: the settings' runbooks, what holds retraining and what is done next by itself (as the
    newest decision has it), and the moment, which tells whether a snooze has run out."""

    runbooks: Mapping[str, str] = field(default_factory=dict)
    held: str | None = None
    by_itself: str | None = None
    now: datetime | None = None


def tell(incident: Incident, around: Around = Around()) -> str:
    """The sentence, with the model's name."""
    lead = _lead(incident)
    parts = [_opening(incident, lead), _loss(lead), _cause(incident, lead)]
    if incident.is_open:
        parts += [_who(incident, around.now), _held(incident, around), f"Next: {next_act(incident, around)}"]
    else:
        parts.append(_closing(incident))
    return ". ".join(part for part in parts if part) + "."


def clause(incident: Incident, around: Around = Around()) -> str:
    """A line about an open incident for who sees the rest already: number, cause, who has it, what comes next."""
    lead = _lead(incident)
    return f"{incident.number} ({incident.severity}): {lead['words']}. {_who(incident, around.now)}. Next: {next_act(incident, around)}"


def next_act(incident: Incident, around: Around = Around()) -> str:
    """What comes next: what Keepwell does by itself, else the first line of the runbook."""
    if around.by_itself and incident.facts["family"] == MODEL and incident.cls != "data_quality":
        return around.by_itself
    return runbook_of(around.runbooks, incident.cls, incident.kind, incident.column).act


def _held(incident: Incident, around: Around) -> str:
    """What is held meanwhile, or nothing. Broken data hold retraining also while nothing asks for it."""
    if incident.facts["family"] != MODEL:
        return ""
    is_data = any(seen["cls"] == "data_quality" and seen["ended"] is None for seen in incident.facts["faults"].values())
    if is_data:
        return "Retraining is held while the data is at fault"
    return f"Retraining is held: {around.held}" if around.held else ""


def interval(first: datetime, last: datetime, level: float | None = None, began: str | None = None) -> str:
    """An interval as people say it; `began` is the likeliest moment in it, ISO text.

    Examples
    --------
    >>> from datetime import UTC
    >>> interval(datetime(2026, 5, 14, 2, tzinfo=UTC), datetime(2026, 5, 14, 9, tzinfo=UTC), 0.95)
    '14 May 2026 between 02:00 and 09:00 (95 %)'
    >>> interval(datetime(2026, 5, 13, tzinfo=UTC), datetime(2026, 5, 16, tzinfo=UTC), 0.9, "2026-05-14T00:00:00+00:00")
    '14 May 2026 (13 to 16 May, 90 %)'
    >>> interval(datetime(2026, 5, 13, tzinfo=UTC), datetime(2026, 5, 16, tzinfo=UTC))
    'some day of 13 to 16 May 2026'
    >>> interval(datetime(2026, 5, 13, tzinfo=UTC), datetime(2026, 5, 13, tzinfo=UTC))
    '13 May 2026'
    """
    sure = f" ({level:.0%})".replace("%", " %") if level is not None else ""
    if first == last:
        return f"{_moment(first)}{sure}"
    if first.date() == last.date():
        return f"{first:%-d %B %Y} between {first:%H:%M} and {last:%H:%M}{sure}"
    if began is not None:
        level_ = f", {level:.0%}".replace("%", " %") if level is not None else ""
        return f"{datetime.fromisoformat(began):%-d %B %Y} ({span(first, last)}{level_})"
    if last - first < SHORT:
        return f"between {_moment(first)} and {_moment(last)}{sure}"
    year = f" {last.year}" if first.year == last.year else ""
    return f"some day of {span(first, last)}{year}{sure}"


def words_of(incident: Incident) -> str:
    """The likely cause in words, or what is silent."""
    return str(_lead(incident)["words"])


def _lead(incident: Incident) -> dict[str, Any]:
    found: dict[str, Any] = incident.facts["faults"][incident.facts["lead"]]
    return found


def _opening(incident: Incident, lead: Mapping[str, Any]) -> str:
    headline = str(lead["headline"])
    if not incident.is_open:
        headline = headline.replace("is ", "was ", 1) if headline.startswith("is ") else headline.replace("gets ", "got ", 1)
    until = f" until {_moment(incident.closed_at)}" if incident.closed_at else ""
    return f"{incident.model} {headline} since {interval(incident.first, incident.last, lead.get('level'), lead.get('began'))}{until}"


def _loss(lead: Mapping[str, Any]) -> str:
    loss = lead.get("loss")
    if not loss:
        return ""
    spread = f"{loss['low']:.3f} to {loss['high']:.3f}"
    if not loss["is_measured"]:
        return f"Its {loss['name']} is expected to go from {loss['before']:.3f} to {loss['after']:.3f} ({spread}); no labels are in yet"
    maturity = lead.get("maturity")
    labels = f"; {maturity:.0%} of the labels that are due are in" if maturity is not None else ""
    verb = "rose" if loss["after"] >= loss["before"] else "fell"
    return f"Its {loss['name']} {verb} from {loss['before']:.3f} to {loss['after']:.3f} ({spread}{labels})"


def _cause(incident: Incident, lead: Mapping[str, Any]) -> str:
    words = str(lead["words"])
    if "loss" not in lead:  # seen, not inferred
        aside = lead.get("aside")
        return f"{words[:1].upper()}{words[1:]}{f'; {aside}' if aside else ''}"
    share = f" (explains about {round(100 * lead['share'], -1):.0f} % of the rise)" if lead.get("share") is not None else ""
    following = f"; next: {lead['next'][0]}" if lead.get("next") else ""
    return f"{words[:1].upper()}{words[1:]}{following}" if words.startswith(UNPROVEN) else f"Most likely: {words}{share}{following}"


def _who(incident: Incident, now: datetime | None) -> str:
    if incident.owner is None:
        return "Nobody owns it: set [owner] owner in keepwell.toml"
    if incident.snoozed_until is not None and (now is None or incident.snoozed_until > now):
        return f"{incident.owner} has it, snoozed until {_moment(incident.snoozed_until)}"
    if incident.acknowledged_at is not None:
        return f"{incident.owner} has it, acknowledged {_moment(incident.acknowledged_at)}"
    return f"{incident.owner} was told, not acknowledged yet"


def _closing(incident: Incident) -> str:
    closed = incident.facts["closed"]
    took = durations_of(incident).repair
    lasted = f" after {_span(took)}" if took is not None else ""
    effect = incident.facts.get("effect")
    helped = f". {effect['sentence']}" if effect else ""
    return f"Closed by {closed['by']}{lasted}: {closed['cause']}{helped}"


def _span(took: timedelta) -> str:
    return f"{took.days:,} days" if took >= SHORT else f"{took / timedelta(hours=1):,.0f} h"


def _moment(moment: datetime) -> str:
    clock = f" {moment:%H:%M}" if (moment.hour, moment.minute) != (0, 0) else ""
    return f"{moment:%-d %B %Y}{clock}"
