"""The loop: one durable cycle through the rooms, resumable after a crash, run once per (model, as-of) by one worker.

An open model and a moment come in; a recorded cycle goes out.
"""

from keepwell.orchestration.answering import answer_rows
from keepwell.orchestration.context import Context
from keepwell.orchestration.cycle import attach, detach, resume, run_cycle
from keepwell.orchestration.deciding import state_now
from keepwell.orchestration.deploying import approve, conclude, facts_of, needed, promote, reject, rollback
from keepwell.orchestration.dossier import Dossier, brief, dossier, plain
from keepwell.orchestration.durable import Engine, Plain
from keepwell.orchestration.feedback import post_labels
from keepwell.orchestration.looking import look
from keepwell.orchestration.proof import Repeated, Reproduction
from keepwell.orchestration.quarantine import DROPPED, RELEASED, decide_quarantine, list_quarantine
from keepwell.orchestration.rehearsing import rehearse, rehearse_when_due, rehearsed_today
from keepwell.orchestration.reloading import reload_code
from keepwell.orchestration.reproducing import reproduce
from keepwell.orchestration.retracing import Retraced, retrace
from keepwell.orchestration.schedule import Scheduler, due, next_tick
from keepwell.orchestration.slots import dead_slots
from keepwell.orchestration.tables import CycleRecord, Newest, count_cycles, get_cycle, last_cycle, list_cycles, newest_cycles
from keepwell.orchestration.tending import around_now
from keepwell.orchestration.watching import changes_near, ended_at

__all__ = [
    "DROPPED",
    "RELEASED",
    "Context",
    "CycleRecord",
    "Dossier",
    "Engine",
    "Newest",
    "Plain",
    "Repeated",
    "Reproduction",
    "Retraced",
    "Scheduler",
    "answer_rows",
    "approve",
    "around_now",
    "attach",
    "brief",
    "changes_near",
    "conclude",
    "count_cycles",
    "dead_slots",
    "decide_quarantine",
    "detach",
    "dossier",
    "due",
    "ended_at",
    "facts_of",
    "get_cycle",
    "last_cycle",
    "list_cycles",
    "list_quarantine",
    "look",
    "needed",
    "newest_cycles",
    "next_tick",
    "plain",
    "post_labels",
    "promote",
    "rehearse",
    "rehearse_when_due",
    "rehearsed_today",
    "reject",
    "reload_code",
    "reproduce",
    "resume",
    "retrace",
    "rollback",
    "run_cycle",
    "state_now",
]
