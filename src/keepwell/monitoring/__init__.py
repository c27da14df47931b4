"""Watch: is the model still as right as it was, since when not, and because of what?

Answers and the truth that came in go in; a check-up with a verdict and one sentence goes out, and signals that are few and true.
`Watch` works on plain frames, for any model.
"""

from keepwell.monitoring.budget import days_between
from keepwell.monitoring.checkup import VERDICTS, Checkup, Evidence, check_up
from keepwell.monitoring.comparison import ColumnComparison, Comparison, compare
from keepwell.monitoring.comparison_page import document
from keepwell.monitoring.profiles import Profile
from keepwell.monitoring.profiling import profile
from keepwell.monitoring.signals import Signal
from keepwell.monitoring.state import explanation_of, plain
from keepwell.monitoring.tables import (
    Said,
    get_watch,
    last_checkup,
    list_checkups,
    list_signals,
    record_checkup,
    record_signal,
    record_watch,
)
from keepwell.monitoring.telling import tell
from keepwell.monitoring.watch import Watch

__all__ = [
    "VERDICTS",
    "Checkup",
    "ColumnComparison",
    "Comparison",
    "Evidence",
    "Profile",
    "Said",
    "Signal",
    "Watch",
    "check_up",
    "compare",
    "days_between",
    "document",
    "explanation_of",
    "get_watch",
    "last_checkup",
    "list_checkups",
    "list_signals",
    "plain",
    "profile",
    "record_checkup",
    "record_signal",
    "record_watch",
    "tell",
]
