"""People's word on a version that waits: approved or rejected, by whom and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from keepwell.deployment.tables import SHADOW, WAITING, Trial, living_trials
from keepwell.errors import ApprovalRefused
from keepwell.storage import Event, list_events, record_event


@dataclass(frozen=True)
class Approval:
    """What a person said of a version. `has` of the `needed` approvals are in."""

    version: int
    has: int
    needed: int
    sentence: str


def waiting_trial(connection: sa.Connection, model: str, version: int) -> Trial:
    """The trial of a version that may still be approved or rejected.

    Raises
    ------
    ApprovalRefused : it does not wait, or does not wait any more; says what became of it.
    """
    for trial in living_trials(connection, model, SHADOW):
        if trial.version == version:
            return trial
    ends = ("promoted", "rejected", "dismissed", "refused")
    said = [event for event in list_events(connection, model, kinds=ends) if event.facts.get("version") == version]
    raise ApprovalRefused(model, version, said[-1].sentence if said else "it is no challenger")


def approvers(connection: sa.Connection, model: str, version: int) -> list[str]:
    """Who approved a version, in order; each once."""
    found = list_events(connection, model, kinds=("approved",))
    return list(dict.fromkeys(event.facts["by"] for event in found if event.facts["version"] == version))


def record_approval(
    connection: sa.Connection, model: str, trial: Trial, *, needed: int, by: str, comment: str, asked_by: str | None, at: datetime
) -> Approval:
    """Keep that a person approves; the same person's second word counts nothing.

    Raises
    ------
    ApprovalRefused : they have approved it already, so that two people are still needed where two are.
    """
    before = approvers(connection, model, trial.version)
    if by in before:
        missing = needed - len(before)
        more = f", and {_people(missing)} more must" if missing > 0 else ""
        raise ApprovalRefused(model, trial.version, f"{by} has approved it already{more}")
    has = len(before) + 1
    after = (
        ""
        if has >= needed
        else f" ({has} of {needed} approvals{', and who asked for the build cannot do it alone' if by == asked_by else ''})"
    )
    sentence = f"{by} approved version {trial.version}{f': {comment}' if comment else ''}{after}"
    facts = {"version": trial.version, "by": by, "comment": comment, "has": has, "needed": needed, "asked_by": asked_by}
    record_event(connection, model, f"{trial.key}/approved/{trial.version}/{by}", Event("approved", at, sentence, facts))
    return Approval(trial.version, has, needed, sentence)


def is_enough(trial: Trial, approval: Approval) -> bool:
    """Are the approvals in, and does nothing else hold the version?"""
    return approval.has >= approval.needed and trial.status == WAITING


def _people(count: int) -> str:
    return "one person" if count == 1 else f"{count} people"
