"""Deploy: let a version prove itself beside the champion, move the champion alias forward or back; model, features code and
contract move with it.

A version that may go live comes in; a trial, and a recorded alias change, go out.
"""

from keepwell.deployment.approvals import Approval, approvers, is_enough, record_approval, waiting_trial
from keepwell.deployment.rehearsals import Rehearsed, last_rehearsal, record_rehearsal
from keepwell.deployment.rollout import Rollout, came_back_from, let_go, promote, rollback, way_back
from keepwell.deployment.sharing import takes
from keepwell.deployment.tables import (
    LIVING,
    OPEN,
    PROBATION,
    SHADOW,
    WAITING,
    Trial,
    begin_trial,
    keep_trial,
    list_trials,
    list_waiting,
    living_trials,
)
from keepwell.deployment.trial import Judged, Terms, blocks_of, judge, terms, together

__all__ = [
    "LIVING",
    "OPEN",
    "PROBATION",
    "SHADOW",
    "WAITING",
    "Approval",
    "Judged",
    "Rehearsed",
    "Rollout",
    "Terms",
    "Trial",
    "approvers",
    "begin_trial",
    "blocks_of",
    "came_back_from",
    "is_enough",
    "judge",
    "keep_trial",
    "last_rehearsal",
    "let_go",
    "list_trials",
    "list_waiting",
    "living_trials",
    "promote",
    "record_approval",
    "record_rehearsal",
    "rollback",
    "takes",
    "terms",
    "together",
    "waiting_trial",
    "way_back",
]
