"""The retraining policy: a pure decision from a model's state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from keepwell.settings import BuildSection, RetrainSection


@dataclass(frozen=True, kw_only=True)
class State:
    """What the decision looks at.

    Parameters
    ----------
    labels : labelled rows known. new_labels : of these, how many came since the last build.
    last_build : when the last build began, or None.
    trained_until : time of the champion's newest training row, or None without a champion.
    verdict : word of this cycle's check-up.
    faults : messages of findings that speak of a broken source.
    asked : somebody asked for a build by hand.
    """

    labels: int
    new_labels: int
    last_build: datetime | None
    trained_until: datetime | None
    verdict: str
    faults: tuple[str, ...] = ()
    asked: bool = False


@dataclass(frozen=True)
class RetrainDecision:
    """Build or not; `trigger` names what asked for it (or None), `held_by` what forbids it (or None)."""

    build: bool
    trigger: str | None
    held_by: str | None
    sentence: str


def decide(settings: RetrainSection, build: BuildSection, state: State, now: datetime) -> RetrainDecision:
    """First what asks for a build, then what holds it. A data fault holds everything: a broken sensor must not be learned."""
    trigger = _trigger(settings, build, state, now)
    if trigger is None:
        return RetrainDecision(False, None, None, "nothing asks for a new version")
    held = _brake(settings, build, state, now)
    if held is not None:
        return RetrainDecision(False, trigger, held, f"{trigger}; held: {held}")
    return RetrainDecision(True, trigger, None, trigger)


def _trigger(settings: RetrainSection, build: BuildSection, state: State, now: datetime) -> str | None:
    if state.asked:
        return "asked for by hand"
    if state.trained_until is None:
        return "no version serves yet"
    if settings.on_decline and state.verdict == "unwell":
        return "the model is unwell"
    if settings.max_age_days is not None and (age := now - state.trained_until) > timedelta(
        days=settings.max_age_days + build.holdout_days
    ):
        return f"the champion's newest training row is {age.days} days old"
    if settings.every_days is not None and state.last_build is not None and now - state.last_build >= timedelta(days=settings.every_days):
        return f"{settings.every_days:g} days since the last build"
    return None


def _brake(settings: RetrainSection, build: BuildSection, state: State, now: datetime) -> str | None:
    if state.labels < build.min_rows:
        return f"{state.labels} labelled rows, {build.min_rows} are needed"
    if state.faults:
        return f"the data has a fault ({state.faults[0]})"
    if state.asked or state.last_build is None:
        return None
    if (pause := timedelta(days=settings.cooldown_days) - (now - state.last_build)) > timedelta(0):
        return f"cooldown for {pause.total_seconds() / 86400:.0f} more days"
    if state.new_labels < settings.min_new_labels:
        return f"{state.new_labels} new labels since the last build, {settings.min_new_labels} are needed"
    return None
