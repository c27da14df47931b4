"""What becomes of a version that passed the gate: champion at once, or after it has proven itself beside the champion."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from keepwell import deployment
from keepwell.deployment import (
    OPEN,
    PROBATION,
    SHADOW,
    WAITING,
    Approval,
    Judged,
    Rollout,
    Terms,
    Trial,
    approvers,
    begin_trial,
    came_back_from,
    keep_trial,
    let_go,
    living_trials,
    together,
)
from keepwell.incidents import owner_of
from keepwell.notifying import Notice, Severity, enqueue
from keepwell.orchestration import trying
from keepwell.orchestration.context import Context
from keepwell.orchestration.rehearsing import rehearse
from keepwell.registry import CHALLENGER, CHAMPION, AliasChange, Version, aliases_now, get_version, set_alias
from keepwell.retraining import get_pause
from keepwell.storage import Event, list_events, record_event

KEEPWELL = "keepwell"  # who acts when nobody does


def needed(context: Context) -> int:
    """How many people must approve a version."""
    return max(context.settings.promotion.approvals, 0 if context.settings.acts_alone else 1)


def deploy(context: Context, cycle: str, as_of: datetime, number: int | None) -> bool:
    """Let a version that passed the gate live, let it answer unseen, or let it wait for a person. True when it is champion now."""
    if number is None:
        return False
    key, mode = f"{cycle}/deploy", context.settings.promotion.mode
    version = context.version(number)
    if not version.passed:
        return False
    with context.database.read() as connection:
        champion = aliases_now(connection, context.name).get(CHAMPION)
        gone = came_back_from(connection, context.name, version)
        is_paused = get_pause(connection, context.name, as_of) is not None
    if champion == number:
        return True
    is_comparable = champion is not None and version.facts.get("parent") == champion and bool(version.facts.get("champion_metrics"))
    if gone is not None:
        with context.database.begin() as connection:
            sentence = f"Version {number} is the model that was gone back from on {gone.as_of:%Y-%m-%d}; it is not promoted by itself"
            facts = {"version": number, "beside": champion, "by": KEEPWELL, "comment": ""}
            record_event(connection, context.name, key, Event("dismissed", as_of, sentence, facts))
        return False
    if needed(context) == 0 and not is_paused and (mode == "auto" or not is_comparable):
        promote(context, number, as_of=as_of, by=KEEPWELL, reason=version.sentence.removeprefix("Passed: "), key=key)
        return True
    _begin_shadow(context, version, champion, OPEN if mode == "shadow" and is_comparable else WAITING, as_of, key)
    return False


def _begin_shadow(context: Context, version: Version, champion: int | None, status: str, as_of: datetime, key: str) -> None:
    """Let a challenger answer beside the champion. One that is on trial already gives up its place, and its deadline stays: so
    that nothing waits longer than one trial, however often a new version comes."""
    number = version.number
    known = trying.terms_of(context, number, champion) if champion is not None else {"counted": []}
    until = as_of + timedelta(days=context.settings.promotion.trial_days)
    with context.database.begin() as connection:
        for other in living_trials(connection, context.name, SHADOW):
            if other.key != key:
                until = min(until, other.until) if other.status == status == OPEN else until
                sentence = f"Version {other.version} gave up its place as challenger to version {number}"
                let_go(
                    connection, context.name, other, sentence, status="superseded", as_of=as_of, by=KEEPWELL, key=f"{key}/{other.version}"
                )
        trial = Trial(key, SHADOW, number, champion or 0, as_of, until, status, {**known, "from": as_of.isoformat()})
        if not begin_trial(connection, context.name, trial):
            return
        set_alias(connection, context.name, key, AliasChange(CHALLENGER, number, as_of, as_of, version.sentence, KEEPWELL))
        if status == OPEN:
            sentence = f"Version {number} passed the gate and answers beside version {champion}, unseen, until {until:%Y-%m-%d} at most"
            record_event(connection, context.name, key, Event("trial", as_of, sentence, {"version": number, "beside": champion}))
        else:
            _say_waiting(connection, context, number, "passed the gate", as_of, key)


def _say_waiting(connection: sa.Connection, context: Context, number: int, because: str, as_of: datetime, key: str) -> None:
    count = context.settings.promotion.approvals
    act = f"promote it with `keepwell promote {number}`" if count == 0 else f"`keepwell approve {number}` says yes"
    who = " for two people" if count == 2 else ""
    sentence = f"Version {number} {because} and waits as challenger{who}: {act}"
    record_event(connection, context.name, key, Event("waiting", as_of, sentence, {"version": number}))
    _notify(connection, context, key, "approval.needed", number, sentence, as_of)


def conclude(context: Context, cycle: str, as_of: datetime) -> list[str]:
    """Go on with every trial, and act on what is proven; nothing ends while the model is paused. Answers how trials ended."""
    ended = []
    living = trying.living(context)
    if living:
        with context.database.read() as connection:
            if get_pause(connection, context.name, as_of) is not None:
                return []
    for trial in living:
        if trial.status == WAITING and (not trial.beside or as_of > trial.until):
            continue  # a person decides, and has seen what there was to see
        trial, judged = trying.keep_looking(context, trial, cycle, as_of)
        if trial.status == OPEN:
            end = (
                _end_of_shadow(context, trial, judged, as_of) if trial.kind == SHADOW else _end_of_probation(context, trial, judged, as_of)
            )
            ended += [end] if end else []
    return ended


def _end_of_shadow(context: Context, trial: Trial, judged: Judged, as_of: datetime) -> str | None:
    days = (as_of - trial.since).days
    found = f"after {days} days beside version {trial.beside}, {trying.found_in(trial, judged)}"
    is_over = as_of >= trial.until
    silent = trial.facts.get("silent")
    overall = together(_terms(trial), judged)
    share = f"{abs(overall) / (trial.facts['loss'] or 1):.1%} {'lower' if overall > 0 else 'higher'} with the days held out"
    if judged.verdict == "better" and not silent:
        return _ready(context, trial, f"{found}: proven better", as_of)
    if judged.verdict == "worse":
        problem = f"{found}: proven worse"
    elif is_over and silent:
        problem = f"it could not answer beside version {trial.beside}: {silent}"
    elif is_over and overall > 0:
        return _ready(context, trial, f"{found}; nothing proven in time, {share}", as_of)
    elif is_over:
        problem = f"{found}; nothing proven in time, {share}"
    else:
        return None
    with context.database.begin() as connection:
        sentence = f"Version {trial.version} does not become champion: {problem}"
        let_go(connection, context.name, trial, sentence, status="dismissed", as_of=as_of, by=KEEPWELL, key=f"{trial.key}/ended")
    return "dismissed"


def _ready(context: Context, trial: Trial, reason: str, as_of: datetime) -> str:
    with context.database.read() as connection:
        said = approvers(connection, context.name, trial.version)
    if len(said) >= needed(context):
        promote(context, trial.version, as_of=as_of, by=" and ".join(said) or KEEPWELL, reason=reason, key=f"{trial.key}/ended")
        return "promoted"
    with context.database.begin() as connection:
        if keep_trial(connection, context.name, trial.key, WAITING, trial.facts):
            _say_waiting(connection, context, trial.version, f"is ready ({reason})", as_of, f"{trial.key}/waiting")
    return "waiting"


def _end_of_probation(context: Context, trial: Trial, judged: Judged, as_of: datetime) -> str | None:
    if judged.verdict == "better":
        rehearsed = rehearse(context, trial.version, at=as_of, by=KEEPWELL, key=f"{trial.key}/rehearsed")
        reason = f"on probation the former champion proved better, {trying.found_in(trial, judged)}"
        if rehearsed.passed:
            return _return(context, trial, reason, as_of)
        sentence = f"Version {trial.beside} stays champion though {reason}: version {trial.version} cannot be gone back to"
    elif judged.verdict == "worse" or as_of >= trial.until:
        ours = "" if judged.verdict == "worse" else "not "
        sentence = (
            f"Version {trial.beside} passed its probation: version {trial.version} was {ours}proven worse, {trying.found_in(trial, judged)}"
        )
    else:
        return None
    with context.database.begin() as connection:
        if keep_trial(connection, context.name, trial.key, "stayed", trial.facts):
            facts = {"version": trial.beside, "beside": trial.version, "by": KEEPWELL}
            record_event(connection, context.name, f"{trial.key}/ended", Event("stayed", as_of, sentence, facts))
    return "stayed"


def _return(context: Context, trial: Trial, reason: str, as_of: datetime) -> str | None:
    with context.database.begin() as connection:
        if aliases_now(connection, context.name).get(CHAMPION) != trial.beside:
            return None  # somebody was quicker
        key = f"{trial.key}/returned"
        done = deployment.rollback(
            connection, context.name, as_of=as_of, by=KEEPWELL, reason=reason, key=key, to=trial.version, kind="returned"
        )
        _notify(connection, context, key, "model.returned", done.champion, done.sentence, as_of)
    return "returned"


def _terms(trial: Trial) -> Terms:
    return Terms(*(trial.facts[name] for name in ("reach", "block_days", "blocks", "gain")))


def promote(
    context: Context,
    ref: int | str,
    *,
    as_of: datetime,
    by: str,
    reason: str,
    key: str,
    override: bool = False,
    approvals: int = 0,
    seen: int | None = None,
) -> Rollout:
    """Rehearse the way back, make a version champion, and let the former one go on unseen for its probation.

    Raises
    ------
    VersionNotFound, PromotionRefused, ActOvertaken
    """
    with context.database.read() as connection:
        version, champion = get_version(connection, context.name, ref), aliases_now(connection, context.name).get(CHAMPION)
    if champion is not None and champion != version.number and (version.passed or override):
        # First, so that a crash cannot come between the two: what is done again is the same rehearsal.
        rehearse(context, champion, at=as_of, by=by, key=f"{key}/rehearsed")
    with context.database.begin() as connection:
        done = deployment.promote(
            connection, context.name, ref, as_of=as_of, by=by, reason=reason, key=key, override=override, approvals=approvals, seen=seen
        )
        _follow_up(connection, context, done, as_of, key)
    return done


def rollback(
    context: Context,
    to: int | str | None,
    *,
    as_of: datetime,
    by: str,
    reason: str,
    key: str,
    override: bool = False,
    seen: int | None = None,
) -> Rollout:
    """Go back to the former champion, or to version `to`, on a person's word; owner and deputy are told.

    Raises
    ------
    VersionNotFound, RollbackRefused, ActOvertaken
    """
    with context.database.begin() as connection:
        done = deployment.rollback(
            connection, context.name, as_of=as_of, by=by, reason=reason, key=key, to=to, override=override, seen=seen
        )
        _notify(connection, context, key, "model.rolled_back", done.champion, done.sentence, as_of)
    return done


def _notify(connection: sa.Connection, context: Context, key: str, kind: str, version: int, sentence: str, at: datetime) -> None:
    """Let the model's owner and deputy know of a version that came, went or waits; in the transaction of the fact."""
    owned = owner_of(context.settings.owner, "concept_shift", "")
    severity: Severity = "info" if kind == "model.promoted" else "warning"
    notice = Notice(kind, f"{context.name}: version {version}", sentence, severity, owned.people, at, {"version": version})
    enqueue(connection, context.name, key, notice)


def _follow_up(connection: sa.Connection, context: Context, done: Rollout, as_of: datetime, key: str) -> None:
    """What belongs to taking another's place: the owner is told, and the former champion goes on unseen for its probation."""
    days = context.settings.promotion.probation_days
    if done.before is None:
        return
    _notify(connection, context, key, "model.promoted", done.champion, done.sentence, as_of)
    if days == 0:
        return
    known = trying.terms_of(context, done.before, done.champion)
    until = as_of + timedelta(days=days)
    begin_trial(
        connection,
        context.name,
        Trial(f"{key}/probation", PROBATION, done.before, done.champion, as_of, until, OPEN, {**known, "from": as_of.isoformat()}),
    )


def approve(context: Context, ref: int | str, *, by: str, comment: str, at: datetime) -> Approval:
    """Keep that a person approves a challenger; with enough of them, and nothing else in its way, it becomes champion.

    Raises
    ------
    VersionNotFound, ApprovalRefused
    """
    with context.database.begin() as connection:
        number = get_version(connection, context.name, ref).number
        trial = deployment.waiting_trial(connection, context.name, number)
        asked_by = _asked_by(connection, context, number)
        said = deployment.record_approval(
            connection, context.name, trial, needed=max(needed(context), 1), by=by, comment=comment, asked_by=asked_by, at=at
        )
        done = None
        if deployment.is_enough(trial, said):
            who = approvers(connection, context.name, number)
            key = f"{trial.key}/approved"
            reason = f"approved by {' and '.join(who)}{f': {comment}' if comment else ''}"
            done = deployment.promote(connection, context.name, number, as_of=at, by=" and ".join(who), reason=reason, key=key)
            _follow_up(connection, context, done, at, key)
    if done is not None and done.before is not None:
        rehearse(context, done.before, at=at, by=by, key=f"{trial.key}/approved/rehearsed")
    return said


def reject(context: Context, ref: int | str, *, by: str, comment: str, at: datetime) -> str:
    """End a challenger's trial on a person's word. Answers the sentence on record.

    Raises
    ------
    VersionNotFound, ApprovalRefused
    """
    with context.database.begin() as connection:
        number = get_version(connection, context.name, ref).number
        trial = deployment.waiting_trial(connection, context.name, number)
        sentence = f"{by} rejected version {number}{f': {comment}' if comment else ''}"
        let_go(connection, context.name, trial, sentence, status="rejected", as_of=at, by=by, key=f"{trial.key}/rejected", why=comment)
    return sentence


def _asked_by(connection: sa.Connection, context: Context, number: int) -> str | None:
    """Who asked for the build of a version by hand; None when Keepwell decided."""
    made = context.version(number).as_of
    asked = list_events(connection, context.name, kinds=("asked",), since=made, until=made)
    return str(asked[-1].facts["by"]) if asked else None


def facts_of(trial: Trial) -> dict[str, Any]:
    """A trial as plain values, with what it shows until now."""
    known = trial.facts
    judged = deployment.judge([one[2] for one in known["counted"]], known["reach"], known["error"]) if "reach" in known else None
    return {
        "kind": trial.kind,
        "version": trial.version,
        "beside": trial.beside or None,
        "since": trial.since,
        "until": trial.until,
        "status": trial.status,
        "shows": trying.found_in(trial, judged) if judged else "there is no champion to hold it against",
    }
