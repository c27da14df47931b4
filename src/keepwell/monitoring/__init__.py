"""Watch: is the model still as right as it was, since when not, and because of what?

Answers and the truth that came in go in; a check-up with a verdict and one sentence goes out, and signals that are few and true.
`Watch` works on plain frames, for any model. What tables hold and how they differ is `profiling`; its verbs are here too, for who watches.
"""

from keepwell.monitoring.budget import days_between
from keepwell.monitoring.checkup import VERDICTS, Checkup, Evidence, check_up
from keepwell.monitoring.signals import ENDS, Signal
from keepwell.monitoring.state import explanation_of, plain
from keepwell.monitoring.tables import (
    Said,
    get_watch,
    get_watch_state,
    last_checkup,
    list_signals,
    newest_checkups,
    record_checkup,
    record_signal,
    record_watch,
)
from keepwell.monitoring.telling import LOSS, Z90, span, tell, withdrawal
from keepwell.monitoring.watch import Watch
from keepwell.profiling import Comparison, Profile, compare, profile

__all__ = [
    "ENDS",
    "LOSS",
    "VERDICTS",
    "Z90",
    "Checkup",
    "Comparison",
    "Evidence",
    "Profile",
    "Said",
    "Signal",
    "Watch",
    "check_up",
    "compare",
    "days_between",
    "explanation_of",
    "get_watch",
    "get_watch_state",
    "last_checkup",
    "list_signals",
    "newest_checkups",
    "plain",
    "profile",
    "record_checkup",
    "record_signal",
    "record_watch",
    "span",
    "tell",
    "withdrawal",
]
