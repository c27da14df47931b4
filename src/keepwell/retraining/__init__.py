"""Decide: what is done about a model that is not well, is a new version built now, and if not, what holds it?

The state of a model comes in; a recorded decision with its act, its reason in one sentence and its estimated gain goes out.
"""

from keepwell.retraining.brakes import Brake
from keepwell.retraining.pauses import Pause
from keepwell.retraining.policy import (
    ACTS,
    FIX,
    NOTHING,
    RECALIBRATE,
    RETRAIN,
    ROLL_BACK,
    WAIT,
    Decline,
    Gains,
    RetrainDecision,
    State,
    all_brakes,
    considers_return,
    decide,
    trigger_of,
)
from keepwell.retraining.tables import (
    get_decision,
    get_pause,
    get_rehearsal,
    list_decisions,
    list_pauses,
    put_pause,
    put_rehearsal,
    record_decision,
)
from keepwell.retraining.value import Gain, gain_of_correcting

__all__ = [
    "ACTS",
    "FIX",
    "NOTHING",
    "RECALIBRATE",
    "RETRAIN",
    "ROLL_BACK",
    "WAIT",
    "Brake",
    "Decline",
    "Gain",
    "Gains",
    "Pause",
    "RetrainDecision",
    "State",
    "all_brakes",
    "considers_return",
    "decide",
    "gain_of_correcting",
    "get_decision",
    "get_pause",
    "get_rehearsal",
    "list_decisions",
    "list_pauses",
    "put_pause",
    "put_rehearsal",
    "record_decision",
    "trigger_of",
]
