"""Incidents: a fault that somebody has, from its beginning to its end.

Signals of the watch, findings of the contract, failures and silences come in; incidents with one owner, one sentence and one next act
go out.
Joining, owners, silence and escalation are pure functions of what was seen and a moment; `tables` keeps what they decide.
"""

from keepwell.incidents.acts import ACTS, expect
from keepwell.incidents.durations import PERIODS, Durations, durations_of, medians
from keepwell.incidents.escalation import escalate, told_to
from keepwell.incidents.faults import (
    FAILED,
    SKEWED,
    SOURCE_FAILED,
    STALE,
    UNANSWERED,
    decline_id,
    end_of,
    finding_id,
    of_decline,
    of_failures,
    of_finding,
    of_skew,
    of_source,
    of_unanswered,
)
from keepwell.incidents.joining import absorbed, join, live
from keepwell.incidents.keeping import keep, notice_of
from keepwell.incidents.owners import PARTIES, Owned, orphans, owner_of, party_of
from keepwell.incidents.records import KEEPWELL, MODEL, STATES, Activity, Change, End, Fault, Incident
from keepwell.incidents.runbooks import Runbook, runbook_of
from keepwell.incidents.silence import Answers, Labels, Seen, silences
from keepwell.incidents.tables import get_incident, list_activity, list_incidents, list_live, list_open, next_number
from keepwell.incidents.telling import Around, clause, interval, next_act, tell, words_of

__all__ = [
    "ACTS",
    "FAILED",
    "KEEPWELL",
    "MODEL",
    "PARTIES",
    "PERIODS",
    "SKEWED",
    "SOURCE_FAILED",
    "STALE",
    "STATES",
    "UNANSWERED",
    "Activity",
    "Answers",
    "Around",
    "Change",
    "Durations",
    "End",
    "Fault",
    "Incident",
    "Labels",
    "Owned",
    "Runbook",
    "Seen",
    "absorbed",
    "clause",
    "decline_id",
    "durations_of",
    "end_of",
    "escalate",
    "expect",
    "finding_id",
    "get_incident",
    "interval",
    "join",
    "keep",
    "list_activity",
    "list_incidents",
    "list_live",
    "list_open",
    "live",
    "medians",
    "next_act",
    "next_number",
    "notice_of",
    "of_decline",
    "of_failures",
    "of_finding",
    "of_skew",
    "of_source",
    "of_unanswered",
    "orphans",
    "owner_of",
    "party_of",
    "runbook_of",
    "silences",
    "tell",
    "told_to",
    "words_of",
]
