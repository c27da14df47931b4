"""Decide: is a new version built now, and if not, what holds it?

The state of a model comes in; a recorded decision with its reason in one sentence goes out.
"""

from keepwell.retraining.policy import RetrainDecision, State, decide
from keepwell.retraining.tables import get_decision, list_decisions, record_decision

__all__ = ["RetrainDecision", "State", "decide", "get_decision", "list_decisions", "record_decision"]
