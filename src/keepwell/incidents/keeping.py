"""A change of an incident goes on record: the incident, its line of activity, the timeline, and the notice, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from keepwell.incidents.escalation import told_to
from keepwell.incidents.records import KEEPWELL, Change, Incident
from keepwell.incidents.tables import save
from keepwell.incidents.telling import Around, tell
from keepwell.notifying import Notice, enqueue
from keepwell.storage import Event, record_event

# Kinds of activity that are lines of the model's life; better diagnoses are not.
ON_THE_TIMELINE = ("opened", "reopened", "acknowledged", "assigned", "snoozed", "closed", "escalated", "comment")


def keep(connection: sa.Connection, changes: Iterable[Change], around: Around) -> None:
    """Keep changes in their order, each once.

    Raises
    ------
    IncidentChanged : somebody else changed the incident meanwhile.
    """
    for change in changes:
        if not save(connection, change):
            continue
        incident, line = change.incident, change.activity
        if line.kind in ON_THE_TIMELINE:
            facts = {"incident": incident.number, "severity": incident.severity, "owner": incident.owner}
            words = tell(incident, around) if line.kind == "opened" else line.sentence
            sentence = f"Incident {incident.number}: {words}"
            record_event(
                connection, incident.model, f"incident/{line.key}", Event(f"incident_{line.kind}", line.at, sentence, facts, by=line.by)
            )
        if change.notice:
            enqueue(connection, incident.model, f"incident/{line.key}", notice_of(change, around))


def notice_of(change: Change, around: Around) -> Notice:
    """What is told of a change, and to whom: the owner, and who is due when nobody answered."""
    incident, line = change.incident, change.activity
    owner = (incident.owner,) if incident.owner else ()
    recipients = told_to(incident, int(line.facts["level"])) if line.kind == "escalated" else owner
    if line.by != KEEPWELL:
        recipients = tuple(name for name in recipients if name != line.by)  # who acts knows
    return Notice(
        kind=change.notice,
        subject=f"{incident.model}: incident {incident.number} {line.kind}",
        sentence=tell(incident, around),
        severity=incident.severity,
        recipients=recipients,
        at=line.at,
        facts=_facts(incident) | {"activity": line.sentence},
    )


def _facts(incident: Incident) -> dict[str, object]:
    names = ("number", "revision", "state", "severity", "cls", "kind", "column", "owner", "deputy")
    moments = ("first", "last", "told_at", "acknowledged_at", "closed_at")
    plain = {name: getattr(incident, name) for name in names}
    return {**plain, **{name: value.isoformat() if (value := getattr(incident, name)) else None for name in moments}}
