"""What a watch says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keepwell.diagnosis import Cause, Explanation

ENDS = ("recovered", "withdrawn")  # kinds after which a decline is over


@dataclass(frozen=True)
class Signal:
    """One statement, made when a batch closed.

    `kind` is "decline" (the model is wrong more often, or will be once labels are in), "note" (something changed and no harm is claimed) or
    "recovered" (it is over) or "withdrawn" (it was told before its labels, and these show that it cost nothing); `at` the end of the batch;
    `incident` counts the declines, a better diagnosis of one comes under the same number.
    """

    kind: str
    at: datetime
    incident: int
    causes: tuple[Cause, ...]
    explanation: Explanation | None = None
    is_first: bool = True  # False for a better diagnosis of a decline that was told

    @property
    def onset(self) -> datetime | None:
        """When it began."""
        return self.explanation.began.at if self.explanation else None
