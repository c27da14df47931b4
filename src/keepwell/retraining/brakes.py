"""What holds a new version that something asks for: each brake with its value against its limit, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepwell.retraining.policy import State
    from keepwell.settings import BuildSection, RetrainSection

MONTH = timedelta(days=30)


@dataclass(frozen=True)
class Brake:
    """One brake: does it hold, in words; `until` is when it lets go by itself, None when that is not a matter of time."""

    name: str
    holds: bool
    sentence: str
    until: datetime | None = None


def brakes(settings: RetrainSection, build: BuildSection, state: State, now: datetime) -> Iterator[Brake]:
    """All brakes in the order they are told. What a person asks for, and the first version, is held by the first three only."""
    pause = state.pause
    yield Brake("pause", pause is not None, f"paused {pause}" if pause else "not paused", pause.until if pause else None)
    yield Brake("labels", state.labels < build.min_rows, f"{state.labels} labelled rows, {build.min_rows} are needed")
    fault = f"the data has a fault ({state.faults[0]})" if state.faults else "the data has no fault"
    yield Brake("data fault", bool(state.faults), fault)
    is_free = state.asked or state.last_build is None
    ends = None if state.last_build is None else state.last_build + timedelta(days=settings.cooldown_days)
    left = (ends - now) / timedelta(days=1) if ends else 0.0
    told = f"cooldown for {left:.0f} more days" if left > 0 else f"cooldown of {settings.cooldown_days:g} days is over"
    yield Brake("cooldown", not is_free and left > 0, told, ends if left > 0 else None)
    few = state.new_labels < settings.min_new_labels
    new = f"{state.new_labels} new labels since the last build, {settings.min_new_labels} are needed"
    yield Brake("new labels", not is_free and few, new)
    if settings.max_per_month is not None:
        recent = [moment for moment in state.builds if now - moment < MONTH]
        full = len(recent) >= settings.max_per_month
        spent = f"{len(recent)} builds in the last 30 days, {settings.max_per_month} are allowed"
        freed = sorted(recent)[len(recent) - settings.max_per_month] + MONTH if full else None
        yield Brake("budget", not is_free and full, spent, freed)
    if state.waits is not None:
        yield Brake("evidence", not is_free, state.waits)
