"""What was refused, and how often the record is told of it: enough to see it, too little to fill the record with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from keepwell.access.roles import ACTS

FIRST_S = 60.0
LONGEST_S = 3600.0


@dataclass(frozen=True)
class Refusal:
    """A call that was refused.

    `kind` says at what: its token, the model, the role or the limit. `owner` and `token` are "" when nobody knows whose it was;
    `reason` is for the record only: the caller is not told it. `wait` is in seconds.
    """

    kind: Literal["token", "model", "role", "limit"]
    act: str
    reason: str
    owner: str = ""
    token: str = ""
    role: str = ""
    wait: float = 0.0
    per_minute: int = 0

    @property
    def sentence(self) -> str:
        """As the timeline tells it."""
        return f"{self.owner or 'Somebody unknown'} may not {ACTS[self.act].words}: {self.reason}"

    def facts(self, came_from: str, times: int) -> Mapping[str, Any]:
        """As the timeline keeps it."""
        return {"act": self.act, "refused": self.kind, "token": self.token, "role": self.role, "from": came_from, "times": times}


class Audit:
    """When a refusal is due for the record.

    Of one token and one act at once, then after a minute, two, four and so on to an hour while it goes on; unknown tokens count as
    one. So a guesser adds a line an hour for each kind of act, and the lines say how many calls they stand for.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[float, float, int]] = {}  # -> told at, pause after it, refusals since

    def due(self, refusal: Refusal, now: float) -> int:
        """For how many refusals a line is due now; 0 when none is."""
        key = (refusal.token, refusal.act)
        told_at, pause, times = self._told.get(key, (float("-inf"), FIRST_S, 0))
        if 0 <= now - told_at < pause:  # a moment to come: the clock was set back
            self._told[key] = (told_at, pause, times + 1)
            return 0
        was_quiet = now - told_at > 4 * pause
        self._told[key] = (now, FIRST_S if was_quiet else min(2 * pause, LONGEST_S), 0)
        return times + 1
