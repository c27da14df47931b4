"""Watch: how the kept answers compare with the truth that came in, and what was expected.

Scored predictions come in; a check-up with a verdict and one sentence goes out.
"""

from keepwell.monitoring.checkup import VERDICTS, Checkup, Evidence, check_up
from keepwell.monitoring.signals import Signal
from keepwell.monitoring.tables import last_checkup, list_checkups, record_checkup
from keepwell.monitoring.watch import Watch

__all__ = ["VERDICTS", "Checkup", "Evidence", "Signal", "Watch", "check_up", "last_checkup", "list_checkups", "record_checkup"]
