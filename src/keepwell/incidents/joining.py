"""One fault, one incident: what was seen opens an incident, joins one, reopens one or ends one. Pure.

A fault joins the open incident that already holds it (by its id), else one that blames the same column or source, else one whose beginning
overlaps with its own. Data that are late because broken rows are set aside belong to what broke them. When a fault belongs to none and the
same cause ended a short while before, that incident is reopened. What a person closed while it lasted stays closed until it has ended and
come again, or gets worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from keepwell.incidents.owners import owner_of, party_of
from keepwell.incidents.records import KEEPWELL, MODEL, Activity, Change, End, Fault, Incident
from keepwell.notifying import SEVERITIES

if TYPE_CHECKING:
    from keepwell.settings import IncidentsSection, OwnerSection

# What follows from a finding: broken rows are set aside, so no good ones come; the same inputs have the same answers.
FOLLOWS = {"late data": "contract/", "stale": "contract/", "constant answers": "contract/constant/"}
EVIDENCE = 20  # sightings that are kept by name beside the first


def join(
    model: str,
    known: Iterable[Incident],
    faults: Sequence[Fault],
    ends: Sequence[End],
    *,
    settings: IncidentsSection,
    owners: OwnerSection,
    number: int,
    now: datetime,
) -> list[Change]:
    """What a moment's sightings change.

    Parameters
    ----------
    known : incidents that are live, and those closed within `settings.reopen_days` before a fault began.
    number : of the next incident.

    Returns
    -------
    Changes in the order to keep them; of several for one incident the last one is how it is. Sightings that are known change nothing.
    """
    table = {incident.number: incident for incident in known}
    changes: list[Change] = []

    def put(made: Iterable[Change]) -> None:
        for change in made:
            table[change.incident.number] = change.incident
            changes.append(change)

    for fault in faults:
        incidents = list(table.values())
        if _is_known(fault, incidents):
            continue
        mine = _belongs(fault, [one for one in incidents if one.is_open])
        if mine is not None:
            put(_joined(mine, fault, owners, now))
        elif (past := _recurs(fault, [one for one in incidents if not one.is_open], settings, now)) is None:
            put([_opened(model, max([number, *(one + 1 for one in table)]), fault, owners, now)])
        elif fault.id not in past.ringing or _worse(fault.severity, past.severity):
            put([_reopened(past, fault, owners, now)])
        else:  # a person closed it while it lasts
            continue
        put(absorbed(table[changes[-1].incident.number], list(table.values()), now))
    for end in ends:
        for incident in list(table.values()):
            if end.id in incident.ringing:
                put(_ended(incident, end, settings, now))
    return changes


def _is_known(fault: Fault, incidents: Sequence[Incident]) -> bool:
    """Was it told already? What is looked at anew each time is, as long as it lasts and is no worse; else each sighting is one."""
    if fault.is_lasting:
        return any(fault.id in one.ringing and not _worse(fault.severity, one.severity) for one in incidents)
    return any(fault.key == seen["key"] for one in incidents for seen in one.facts["evidence"])


def _belongs(fault: Fault, incidents: Sequence[Incident]) -> Incident | None:
    """The open incident that a fault is part of."""
    rules: tuple[Callable[[Incident], bool], ...] = (
        lambda one: fault.id in one.facts["faults"],
        lambda one: fault.kind in FOLLOWS and any(name.startswith(FOLLOWS[fault.kind]) for name in one.ringing),
        lambda one: one.facts["family"] == fault.family != MODEL,
        lambda one: one.facts["family"] == fault.family and bool(fault.column) and fault.column in _columns(one),
        lambda one: one.facts["family"] == fault.family and fault.first <= one.last and one.first <= fault.last,
    )
    return next((one for rule in rules for one in incidents if rule(one)), None)


def _columns(incident: Incident) -> set[str]:
    return {fault["column"] for fault in incident.facts["faults"].values()} - {""}


def _recurs(fault: Fault, incidents: Sequence[Incident], settings: IncidentsSection, now: datetime) -> Incident | None:
    """The newest closed incident of which a fault is the same cause again. An unknown cause is never the same.

    What counts is how soon a decline may have begun again: where few rows come it is told weeks after that.
    """
    began = now if fault.is_lasting else fault.first

    def same(one: Incident) -> bool:
        if fault.id in one.facts["faults"]:
            return True
        if one.facts["family"] != fault.family:
            return False
        known = [(seen["cls"], seen["kind"], seen["column"]) for seen in one.facts["faults"].values()]
        return fault.cls != "unknown" and ((fault.cls, fault.kind, fault.column) in known or (fault.column in _columns(one)))

    span = timedelta(days=settings.reopen_days)
    lately = [one for one in incidents if fault.id in one.ringing or (one.closed_at is not None and began - one.closed_at <= span)]
    return max((one for one in lately if same(one) and "absorbed_by" not in one.facts), key=lambda one: one.number, default=None)


def _seen(fault: Fault) -> dict[str, Any]:
    return {
        "cls": fault.cls,
        "kind": fault.kind,
        "column": fault.column,
        "words": fault.words,
        "headline": fault.headline,
        "severity": fault.severity,
        "first": fault.first.isoformat(),
        "last": fault.last.isoformat(),
        "level": fault.level,
        "ended": None,
        **fault.facts,
    }


def _opened(model: str, number: int, fault: Fault, owners: OwnerSection, now: datetime) -> Change:
    owned = owner_of(owners, fault.cls, fault.kind)
    facts = {
        "family": fault.family,
        "faults": {fault.id: _seen(fault)},
        "lead": fault.id,
        "evidence": [_evidence(fault, now)],
        "sightings": 1,
        "escalated": 0,
    }
    incident = Incident(
        model=model,
        number=number,
        severity=fault.severity,
        cls=fault.cls,
        kind=fault.kind,
        column=fault.column,
        first=fault.first,
        last=fault.last,
        told_at=now,
        owner=owned.owner,
        deputy=owned.deputy,
        facts=facts,
    )
    return Change(incident, _line(incident, fault.key, "opened", now, f"Opened: {fault.words}"), "incident.opened")


def again(past: Incident, now: datetime) -> Incident:
    """A closed incident taken up again: told anew, what was before kept as an episode."""
    episode = {
        "told_at": past.told_at.isoformat(),
        "acknowledged_at": past.acknowledged_at.isoformat() if past.acknowledged_at else None,
        "closed_at": past.closed_at.isoformat() if past.closed_at else None,
        "cause": past.facts["closed"]["cause"],
    }
    facts = {name: value for name, value in past.facts.items() if name not in ("closed", "effect", "effect_due")}
    facts |= {"episodes": [*facts.get("episodes", ()), episode], "escalated": 0}
    return replace(past, state="open", told_at=now, acknowledged_at=None, closed_at=None, snoozed_until=None, facts=facts)


def _reopened(past: Incident, fault: Fault, owners: OwnerSection, now: datetime) -> Change:
    incident = _leading(_with(replace(again(past, now), severity=fault.severity), fault, now), fault, owners)
    return Change(incident, _line(incident, fault.key, "reopened", now, f"Reopened: {fault.words}"), "incident.reopened")


def _joined(incident: Incident, fault: Fault, owners: OwnerSection, now: datetime) -> list[Change]:
    is_new = fault.id not in incident.facts["faults"]
    after = _with(incident, fault, now)
    if fault.id == incident.facts["lead"] or _rank(_seen(fault)) > _rank(incident.facts["faults"][incident.facts["lead"]]):
        after = _leading(after, fault, owners)
    worse = _worse(fault.severity, incident.severity)
    if worse:
        after = replace(after, severity=fault.severity)
        if incident.state == "snoozed":
            after = replace(after, state="acknowledged" if incident.acknowledged_at else "open", snoozed_until=None)
    what = "joined" if is_new else "diagnosed"
    sentence = f"{what.capitalize()}: {fault.words}{f'; now {fault.severity}' if worse else ''}"
    changes = [Change(after, _line(after, fault.key, what, now, sentence), "incident.worsened" if worse else "")]
    if after.owner != incident.owner:
        sentence = f"Handed to {after.owner or 'nobody'}: the cause is {party_of(after.cls, after.kind)}'s"
        handed = replace(after, revision=after.revision + 1)
        changes.append(Change(handed, _line(handed, f"{fault.key}/owner", "assigned", now, sentence), "incident.assigned"))
    return changes


def _with(incident: Incident, fault: Fault, now: datetime) -> Incident:
    evidence = [*incident.facts["evidence"], _evidence(fault, now)]
    facts = {
        **incident.facts,
        "faults": {**incident.facts["faults"], fault.id: _seen(fault)},
        "evidence": [evidence[0], *evidence[1:][-EVIDENCE:]],
        "sightings": incident.facts["sightings"] + 1,
    }
    return live(replace(incident, revision=incident.revision + 1, facts=facts))


def _leading(incident: Incident, fault: Fault, owners: OwnerSection) -> Incident:
    """With a fault as the one that names the cause, and so the owner, unless a person chose one."""
    owner, deputy = incident.owner, incident.deputy
    if "assigned" not in incident.facts:
        owned = owner_of(owners, fault.cls, fault.kind)
        owner, deputy = owned.owner, owned.deputy
    return replace(
        incident,
        cls=fault.cls,
        kind=fault.kind,
        column=fault.column,
        first=fault.first,
        last=fault.last,
        owner=owner,
        deputy=deputy,
        facts={**incident.facts, "lead": fault.id},
    )


def absorbed(incident: Incident, others: Sequence[Incident], now: datetime) -> list[Change]:
    """Open incidents that turn out to be the same fault: the oldest takes the others' faults, and they end."""
    family, faults = incident.facts["family"], incident.facts["faults"].keys()
    mine = [one for one in others if one.is_open and one.facts["family"] == family]
    same = [one for one in mine if family != MODEL or _columns(one) & _columns(incident) or one.facts["faults"].keys() & faults]
    oldest, *newer = sorted({one.number: one for one in [*same, incident]}.values(), key=lambda one: one.number)
    changes = []
    for one in newer:
        both = {**one.facts["faults"], **oldest.facts["faults"]}
        both |= {name: seen for name, seen in one.facts["faults"].items() if seen["ended"] is None}
        severity = max(one.severity, oldest.severity, key=SEVERITIES.index)
        facts = {**oldest.facts, "faults": both, "sightings": oldest.facts["sightings"] + one.facts["sightings"]}
        oldest = replace(oldest, revision=oldest.revision + 1, severity=severity, facts=facts)
        key, cause = f"{one.facts['evidence'][-1]['key']}/absorbed", f"the same fault as incident {oldest.number}"
        changes.append(Change(oldest, _line(oldest, f"{key}/{one.number}", "joined", now, f"Took in incident {one.number}: one fault")))
        left = {**one.facts, "faults": {name: {**seen, "ended": now.isoformat()} for name, seen in one.facts["faults"].items()}}
        ended = _closed(replace(one, facts={**left, "absorbed_by": oldest.number}), now, KEEPWELL, cause)
        changes.append(Change(ended, _line(ended, key, "closed", now, f"Closed: {cause}")))
    return changes


def _ended(incident: Incident, end: End, settings: IncidentsSection, now: datetime) -> list[Change]:
    seen = incident.facts["faults"][end.id]
    faults = {**incident.facts["faults"], end.id: {**seen, "ended": end.at.isoformat()}}
    after = live(replace(incident, revision=incident.revision + 1, facts={**incident.facts, "faults": faults}))
    key = f"{end.id}/{end.at.isoformat()}"
    if after.ringing or not incident.is_open:
        return [Change(after, _line(after, key, "eased", now, f"Over: {seen['words']} ({end.because})"))]
    lead = after.facts["faults"][after.facts["lead"]]
    cause = f"{end.because}; it was: {lead['words']}"
    if end.because.startswith("replaced"):
        due = end.at + timedelta(days=settings.effect_days)
        after = replace(after, facts={**after.facts, "effect_due": due.isoformat()})
    after = _closed(replace(after, revision=incident.revision), end.at, KEEPWELL, cause)
    return [Change(after, _line(after, key, "closed", now, f"Closed: {cause}"), "incident.closed")]


def _closed(incident: Incident, at: datetime, by: str, cause: str) -> Incident:
    facts = {**incident.facts, "closed": {"by": by, "cause": cause}}
    return live(
        replace(incident, revision=incident.revision + 1, state="closed", closed_at=at, snoozed_until=None, facts=facts),
    )


def live(incident: Incident) -> Incident:
    """With `is_live` as it follows from the rest."""
    return replace(incident, is_live=incident.is_open or bool(incident.ringing) or "effect_due" in incident.facts)


def _worse(severity: str, than: str) -> bool:
    return SEVERITIES.index(severity) > SEVERITIES.index(than)


def _rank(seen: dict[str, Any]) -> tuple[bool, int, bool]:
    """Which of several faults names the cause: one that lasts, the worst, one whose cause is known."""
    return seen["ended"] is None, SEVERITIES.index(seen["severity"]), seen["cls"] != "unknown"


def _evidence(fault: Fault, now: datetime) -> dict[str, str]:
    return {"key": fault.key, "at": now.isoformat(), "sentence": f"{fault.headline}: {fault.words}"}


def _line(incident: Incident, key: str, kind: str, now: datetime, sentence: str) -> Activity:
    return Activity(f"{incident.number}/{incident.revision}/{kind}/{key}", incident.number, now, KEEPWELL, kind, sentence)
