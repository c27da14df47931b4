"""What will happen to a model by itself, when, and what holds it. Every door says this."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepwell.orchestration import Context
    from keepwell.retraining import Brake, RetrainDecision, State

SHOWN = 4  # names of what differs
EVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Act:
    """One thing that will happen: `when` at the earliest (None: that is not a matter of time), and what holds it (empty: nothing)."""

    name: str
    when: datetime | None
    sentence: str
    held_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Next:
    """What comes, soonest first; `brakes` are all that could hold a new version, with what they say now."""

    model: str
    at: datetime
    acts: tuple[Act, ...]
    brakes: tuple[Brake, ...]

    @property
    def sentence(self) -> str:
        """The next thing that nothing holds, and what is held."""
        free = next((act for act in self.acts if not act.held_by and act.when is not None), None)
        held = [act for act in self.acts if act.held_by]
        first = f"Next: {_when(free.when)}, {free.sentence}." if free else "Nothing will happen by itself."
        return " ".join([first, *(f"Held: {act.sentence} ({'; '.join(act.held_by)})." for act in held)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the sentence; moments as ISO text."""
        plain = {"model": self.model, "at": self.at, "sentence": self.sentence}
        found = {**plain, "acts": [asdict(act) for act in self.acts], "brakes": [asdict(brake) for brake in self.brakes]}
        return dict(_iso(found))


@dataclass(frozen=True)
class Preview:
    """What a cycle at this moment would build, or why it would not; `lines` are (what, now, then, remark)."""

    decision: RetrainDecision
    brakes: tuple[Brake, ...]
    lines: tuple[tuple[str, str, str, str], ...]


def upcoming(context: Context, at: datetime | None = None) -> Next:
    """Look at the record as it is now, as the next cycle would; nothing is gathered and nothing changes."""
    from keepwell.orchestration import state_now
    from keepwell.retraining import ROLL_BACK, all_brakes, decide

    now = at or datetime.now(UTC)
    state, settings = state_now(context, now), context.settings
    decision = decide(settings.retrain, settings.build, state, now)
    cycle = _cycle_after(context, now)
    acts = [Act("cycle", cycle, "a cycle gathers, checks up and answers")] if cycle else []
    asked = _asked(context, state, decision, now)
    acts += [asked] if asked else []
    if asked is None or asked.name == ROLL_BACK:
        acts += _foreseen(context, state)
    if decision.act in ("fix upstream", "quarantine and wait"):
        acts.append(Act(decision.act, None, decision.sentence))
    acts += [*_waiting(context, now), *_resuming(state)]
    brakes = tuple(all_brakes(settings.retrain, settings.build, state, now))
    return Next(context.name, now, tuple(sorted(acts, key=lambda act: (act.when is None, act.when or now))), brakes)


def asked_for(context: Context, now: datetime) -> tuple[RetrainDecision, Act] | None:
    """What something asks for as the record is now, and when it will be done or what holds it; None when nothing does."""
    from keepwell.orchestration import state_now
    from keepwell.retraining import decide

    state, settings = state_now(context, now), context.settings
    decision = decide(settings.retrain, settings.build, state, now)
    act = _asked(context, state, decision, now)
    return (decision, act) if act else None


def _asked(context: Context, state: State, decision: RetrainDecision, now: datetime) -> Act | None:
    from keepwell.retraining import ROLL_BACK, all_brakes

    settings = context.settings
    if decision.trigger is None:
        return None
    if decision.act == ROLL_BACK:
        held = (decision.held_by,) if decision.held_by else () if settings.acts_alone else ("a person must say so: `keepwell rollback`",)
        return Act(ROLL_BACK, _cycle_after(context, now), decision.sentence.removesuffix(f"; held: {decision.held_by}"), held)
    holding = tuple(brake for brake in all_brakes(settings.retrain, settings.build, state, now) if brake.holds)
    free = _free(holding)
    when = _cycle_after(context, free or now) if free is not None or not holding else None
    return Act("build", when, f"a new version is built: {decision.trigger}", tuple(brake.sentence for brake in holding))


def preview(context: Context, at: datetime | None = None, *, asked: bool = False) -> Preview:
    """What a cycle would decide on what is known now, and how the new version would differ from the champion in what it is made of."""
    from keepwell.orchestration import state_now
    from keepwell.retraining import all_brakes, decide

    now = at or datetime.now(UTC)
    state, settings = state_now(context, now, asked=asked), context.settings
    decision = decide(settings.retrain, settings.build, state, now)
    lines = _difference(context, state, decision, now) if decision.trigger is not None else ()
    return Preview(decision, tuple(all_brakes(settings.retrain, settings.build, state, now)), lines)


def _foreseen(context: Context, state: State) -> list[Act]:
    """Builds that the calendar will ask for, and the one that a decline would."""
    settings, acts = context.settings.retrain, []
    if settings.every_days is not None and state.last_build is not None:
        due = state.last_build + timedelta(days=settings.every_days)
        acts.append(Act("build", _cycle_after(context, due), f"a new version is built: {settings.every_days:g} days since the last build"))
    if settings.max_age_days is not None and state.trained_until is not None:
        due = state.trained_until + timedelta(days=settings.max_age_days + context.settings.build.holdout_days)
        acts.append(
            Act("build", _cycle_after(context, due), f"a new version is built: the champion's rows are {settings.max_age_days:g} days old")
        )
    if settings.on_decline:
        acts.append(Act("build", None, "a new version is built when a check-up says that the model is unwell"))
    return acts


def _waiting(context: Context, now: datetime) -> list[Act]:
    from keepwell.deployment import OPEN, SHADOW, living_trials
    from keepwell.registry import CHALLENGER, aliases_now

    with context.database.read() as connection:
        number = aliases_now(connection, context.name).get(CHALLENGER)
        on_trial = [one for one in living_trials(connection, context.name, SHADOW) if one.version == number and one.status == OPEN]
    if number is None:
        return []
    if on_trial:
        when = _cycle_after(context, max(on_trial[0].until, now))
        return [Act("trial", when, f"the trial of version {number} beside version {on_trial[0].beside} ends, sooner if it shows enough")]
    return [Act("promote", None, f"version {number} goes live", (f"a person must say so: `keepwell promote {number}`",))]


def _resuming(state: State) -> list[Act]:
    if state.pause is None:
        return []
    held = () if state.pause.until else ("`keepwell resume` ends it",)
    return [Act("resume", state.pause.until, f"the pause ends: {state.pause.words}", held)]


def _free(holding: tuple[Brake, ...]) -> datetime | None:
    """When the last of the brakes lets go; None when one of them is not a matter of time, or nothing holds."""
    moments = [brake.until for brake in holding]
    return max(moment for moment in moments if moment is not None) if moments and all(moments) else None


def _cycle_after(context: Context, moment: datetime) -> datetime | None:
    from keepwell.orchestration import next_tick

    schedule = context.settings.schedule
    return next_tick(schedule.cron, schedule.timezone, moment) if schedule.cron else None


def _difference(context: Context, state: State, decision: RetrainDecision, now: datetime) -> tuple[tuple[str, str, str, str], ...]:
    from keepwell.comparison import code_differences, package_differences, setting_differences
    from keepwell.ingestion import last_gather
    from keepwell.training import Code, needed_packages

    champion = context.champion()
    with context.database.read() as connection:
        gathered = last_gather(connection, context.name)
    newest = (gathered.newest if gathered else None) or now
    holdout = max(newest - timedelta(days=context.settings.build.holdout_days), decision.judge_from or EVER)
    since = f"{decision.window_from:%Y-%m-%d}" if decision.window_from else "the first row"
    lines = [("rows known", "", f"{state.labels:,} labelled", f"{state.new_labels:,} of them new")]
    if champion is None:
        return (*lines, ("trained on", "–", f"{since} to {holdout:%Y-%m-%d}", ""), ("judged on", "–", f"after {holdout:%Y-%m-%d}", ""))
    version = context.version(champion)
    facts = version.facts
    trained = f"{facts['trained_from'][:10]} to {facts['trained_until'][:10]}"
    lines.append(("trained on", trained, f"{since} to {holdout:%Y-%m-%d}", "at the latest: the last rows' truth must be known by then"))
    lines.append(("judged on", f"after {facts['holdout_from'][:10]}", f"after {holdout:%Y-%m-%d}", "beside the champion, on the same rows"))
    kept = Code.get(context.artifacts, version.code)
    settings = [json.loads(text) for text in (context.artifacts.get(version.settings), context.settings_json())]
    before, after = ({name: table.get(name, {}) for name in ("build", "gate", "train", "search")} for table in settings)
    packages = [needed_packages(code.files()) for code in (kept, context.code)]
    for what, found in (
        ("code", code_differences(kept.files(), context.code.files())),
        ("settings", setting_differences(before, after)),
        ("packages", package_differences(*packages)),
    ):
        names = ", ".join(one.what for one in found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
        lines.append((what, f"version {champion}", "as in the folder", f"changed: {names}" if found else "same"))
    return tuple(lines)


def _when(moment: datetime | None) -> str:
    return f"{moment:%-d %B %Y %H:%M}" if moment else ""


def _iso(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _iso(inner) for name, inner in value.items()}
    return [_iso(inner) for inner in value] if isinstance(value, list | tuple) else value
