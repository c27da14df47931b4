"""All that is known of one incident: what it touched, what was tried since, and whether it helped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.evaluation import losses
from keepwell.incidents import (
    KEEPWELL,
    MODEL,
    Activity,
    Around,
    Incident,
    clause,
    durations_of,
    get_incident,
    list_activity,
    next_act,
    party_of,
    runbook_of,
    tell,
)
from keepwell.orchestration.context import Context
from keepwell.orchestration.deciding import scored
from keepwell.orchestration.tending import around_now, effect_of
from keepwell.storage import list_events

# Lines of the timeline that are something tried against an incident.
TRIED = (
    "trained",
    "refused",
    "build_failed",
    "waiting",
    "promoted",
    "rolled_back",
    "quarantine_released",
    "quarantine_dropped",
    "contract",
    "edited",
)
CHANGES_ANSWERS = ("promoted", "rolled_back")  # of these the loss before and after says whether they helped


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """One incident with everything around it.

    Attributes
    ----------
    sentence, next : the same words as at every door.
    impact : answers given while it lasted, how many have a label, and how much loss there was beyond the expected one (None: not known).
    tried : what was done since it began, each with the measured effect where there can be one.
    participants : who acted.
    """

    incident: Incident
    sentence: str
    next: str
    runbook: str
    impact: dict[str, Any]
    tried: tuple[dict[str, Any], ...]
    activity: tuple[Activity, ...]

    @property
    def participants(self) -> tuple[str, ...]:
        """People who have or had a part in it, the owner first."""
        names = (self.incident.owner, *(line.by for line in self.activity))
        return tuple(name for name in dict.fromkeys(names) if name and name != KEEPWELL)

    def _repr_html_(self) -> str:
        from keepwell.notebook import card
        from keepwell.wording import when

        told = [("Next", self.next), ("Owner", self.incident.owner or "nobody"), ("To do", self.runbook)]
        lines = [(when(line.at), line.by, line.sentence) for line in self.activity]
        return card(self.incident.word, self.sentence, told, [("When", "By", "What happened"), *lines])

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        incident = self.incident
        return {
            **plain(incident),
            "sentence": self.sentence,
            "next": self.next,
            "party": party_of(incident.cls, incident.kind),
            "runbook": self.runbook,
            "durations": durations_of(incident).as_dict(),
            "impact": self.impact,
            "tried": list(self.tried),
            "participants": list(self.participants),
            "activity": [{**vars(line), "at": line.at.isoformat()} for line in self.activity],
        }


def plain(incident: Incident) -> dict[str, Any]:
    """An incident as plain values: its columns and what is known of its faults; moments as ISO text."""
    facts = incident.facts
    columns = {name: value for name, value in vars(incident).items() if name != "facts"}
    found = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in columns.items()}
    kept = {name: facts.get(name) for name in ("closed", "effect", "episodes")}
    return {**found, **kept, "faults": facts["faults"], "evidence": facts["evidence"], "sightings": facts["sightings"]}


def dossier(context: Context, number: int, now: datetime) -> Dossier:
    """What is known of an incident at a moment.

    Raises
    ------
    IncidentNotFound
    """
    with context.database.read() as connection:
        incident = get_incident(connection, context.name, number)
        around = around_now(connection, context, now)
        lines = tuple(list_activity(connection, context.name, number))
        until = incident.closed_at or max(now, incident.first)
        span = timedelta(days=context.settings.incidents.effect_days)
        rows = scored(context, incident.first - span, until + span, connection)
        tried = tuple(_tried(connection, context, incident, rows, until, span))
    return Dossier(
        incident=incident,
        sentence=tell(incident, around),
        next=next_act(incident, around) if incident.is_open else "",
        runbook=runbook_of(around.runbooks, incident.cls, incident.kind, incident.column).text,
        impact=impact_of(context, incident, rows, until),
        tried=tried,
        activity=lines,
    )


def brief(incident: Incident, around: Around) -> dict[str, Any]:
    """An open incident as `status` and `why` show it, plain values; an acknowledgement that had not come by `around.now` is left out."""
    now = around.now or incident.told_at
    if incident.acknowledged_at is not None and incident.acknowledged_at > now:
        incident = replace(incident, acknowledged_at=None, state="open")
    return {
        "number": incident.number,
        "severity": incident.severity,
        "silent": incident.cls == "silence",
        "state": incident.state_at(now),
        "owner": incident.owner,
        "deputy": incident.deputy,
        "acknowledged_at": incident.acknowledged_at.isoformat() if incident.acknowledged_at else None,
        "next": next_act(incident, around),
        "clause": clause(incident, around),
        "sentence": tell(incident, around),
    }


def impact_of(context: Context, incident: Incident, rows: pl.DataFrame, until: datetime) -> dict[str, Any]:
    """Answers that were given while it lasted, and the loss beyond the expected one that their labels show."""
    if rows.is_empty():
        return {"answers": 0, "labelled": 0, "extra_loss": None, "metric": context.metric}
    mine = rows.filter(pl.col("time").is_between(incident.first, until))
    labelled = mine.filter(pl.col("label").is_not_null())
    extra = None
    if incident.facts["family"] == MODEL and labelled.height:
        expected = context.expected(labelled["version"].unique().to_list())
        base = np.array([expected.get(version, np.nan) for version in labelled["version"]])
        loss = losses(context.metric, labelled["label"].to_numpy(), labelled["answer"].to_numpy())
        over = loss - (base**2 if context.metric == "rmse" else base)
        extra = float(np.nansum(over)) if np.isfinite(over).any() else None
    return {"answers": mine.height, "labelled": labelled.height, "extra_loss": extra, "metric": context.metric}


def _tried(
    connection: sa.Connection, context: Context, incident: Incident, rows: pl.DataFrame, until: datetime, span: timedelta
) -> list[dict[str, Any]]:
    found = []
    for event in list_events(connection, context.name, kinds=TRIED, since=incident.told_at, until=until):
        effect = effect_of(context.metric, rows, event.as_of, span, incident.first) if event.kind in CHANGES_ANSWERS else None
        found.append({"at": event.as_of.isoformat(), "kind": event.kind, "sentence": event.sentence, "effect": effect})
    return found
