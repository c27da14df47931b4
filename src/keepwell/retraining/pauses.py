"""A pause: while it lasts, nothing is built, promoted or rolled back by itself. Cycles go on gathering, checking and answering."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Pause:
    """Since when, until when (None: until somebody resumes), by whom and why."""

    since: datetime
    until: datetime | None
    by: str
    reason: str

    def lasts(self, now: datetime) -> bool:
        """Is it in force at a moment?"""
        return self.since <= now and (self.until is None or now < self.until)

    @property
    def words(self) -> str:
        """Why, by whom and until when, for a sentence that has said since when."""
        until = f", until {self.until:%-d %B %Y}" if self.until else ""
        return f"{self.reason or 'no reason was given'} ({self.by}{until})"

    def __str__(self) -> str:
        until = f" until {self.until:%-d %B %Y}" if self.until else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"by {self.by} since {self.since:%-d %B %Y}{until}{reason}"
