"""Promotion and its undo. A version carries its code, contract and settings, so one alias moves them all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from keepwell.deployment.approvals import approvers
from keepwell.deployment.rehearsals import last_rehearsal
from keepwell.deployment.tables import SHADOW, Trial, keep_trial, living_trials
from keepwell.errors import ActOvertaken, PromotionRefused, RollbackRefused
from keepwell.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    AliasChange,
    Version,
    aliases_now,
    get_version,
    list_alias_changes,
    refuse_swept,
    set_alias,
)
from keepwell.storage import Event, list_events, record_event
from keepwell.validation import ContractInForce, contract_in_force, put_in_force

BACK = ("rolled_back", "returned")  # kinds of events that went back
ROLLBACK = "rollback: "  # how the reason of an alias change begins that went back


@dataclass(frozen=True)
class Rollout:
    """What an act did to the aliases."""

    act: str
    champion: int
    before: int | None
    sentence: str


def promote(
    connection: sa.Connection,
    model: str,
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
    """Make a version champion. Trials beside the champion until now end.

    Parameters
    ----------
    key : names the act; the same key again changes nothing more.
    override : let a version live that the gate refused, or that too few people approved.
    approvals : how many people must say yes; who acts is one of them.
    seen : the champion that who acts has seen, 0 for none; another one by now refuses the act. None looks at nothing.

    Raises
    ------
    VersionNotFound : there is no such version.
    ActOvertaken : somebody else made another version champion since.
    PromotionRefused : it is champion already; or, without `override`, one of the above.
    """
    version = get_version(connection, model, ref)
    now = aliases_now(connection, model)
    before = now.get(CHAMPION)
    refuse_overtaken(model, seen, before)
    if before == version.number:
        raise PromotionRefused(model, version.number, "it is the champion already")
    if not version.passed and not override:
        raise PromotionRefused(
            model,
            version.number,
            f"the gate refused it ({version.sentence.removeprefix('Refused: ').rstrip('.')}); `--override` lets it live all the same",
        )
    if not override:
        _refuse_unapproved(connection, model, version.number, by, approvals)
    sentence = f"Version {version.number} became champion" + (f" in place of {before}" if before else "") + f": {reason}"
    # People's own words must not read as a change that went back.
    _move(connection, model, version, before, as_of=as_of, by=by, reason=reason.removeprefix(ROLLBACK), key=key)
    if now.get(CHALLENGER) == version.number:
        set_alias(connection, model, f"{key}/challenger", _change(CHALLENGER, None, as_of, reason, by))
    _end_trials(connection, model, version.number, as_of=as_of, by=by, key=key)
    record_event(
        connection,
        model,
        key,
        Event("promoted", as_of, sentence, {"version": version.number, "before": before, "by": by, "override": override}, by),
    )
    return Rollout("promote", version.number, before, sentence)


def refuse_overtaken(model: str, seen: int | None, champion: int | None) -> None:
    """Raise ActOvertaken when the champion is not the one that was seen (0: none was; None: nobody looked)."""
    if seen is not None and seen != (champion or 0):
        raise ActOvertaken(model, str(seen or "none"), str(champion or "none"))


def _refuse_unapproved(connection: sa.Connection, model: str, number: int, by: str, approvals: int) -> None:
    has = len({*approvers(connection, model, number), by})
    if has < approvals:
        problem = f"{approvals} people must approve it and {has} has; `keepwell approve {number}` says yes, `--override` goes without"
        raise PromotionRefused(model, number, problem)


def came_back_from(connection: sa.Connection, model: str, version: Version) -> Event | None:
    """The newest time that this version, or one with the same model and code, was gone back from."""
    for event in reversed(list_events(connection, model, kinds=BACK)):
        gone = get_version(connection, model, event.facts["before"])
        if gone.number == version.number or _made_alike(gone, version):
            return event
    return None


def _made_alike(one: Version, other: Version) -> bool:
    mark = one.facts.get("canonical")
    return mark is not None and mark == other.facts.get("canonical") and one.code == other.code


def rollback(
    connection: sa.Connection,
    model: str,
    *,
    as_of: datetime,
    by: str,
    reason: str,
    key: str,
    to: int | str | None = None,
    override: bool = False,
    kind: str = "rolled_back",
    seen: int | None = None,
) -> Rollout:
    """Go back to the previous champion, or to version `to` when it was champion once. Trials end.

    Parameters
    ----------
    override : go back even to a version whose newest rehearsal failed.
    kind : of the event; "returned" when Keepwell goes back by itself.
    seen : as for `promote`.

    Raises
    ------
    ActOvertaken : somebody else made another version champion since.
    RollbackRefused : there is no champion, nothing to go back to, or its newest rehearsal failed.
    VersionNotFound : `to` does not exist.
    """
    now = aliases_now(connection, model)
    champion = now.get(CHAMPION)
    refuse_overtaken(model, seen, champion)
    if champion is None:
        raise RollbackRefused(model, "it has no champion")
    target = to if to is not None else now.get(PREVIOUS)
    if target is None:
        raise RollbackRefused(model, f"version {champion} is the only champion it ever had")
    last = list_alias_changes(connection, model, CHAMPION)[-1]
    if to is None and last.reason.startswith(ROLLBACK):
        # The way back was gone already: going "back" once more would bring the rejected version to life again.
        raise RollbackRefused(model, f"version {champion} came by a rollback; name the version to go to")
    version = get_version(connection, model, target)
    if version.number == champion:
        raise RollbackRefused(model, f"version {champion} is the champion now")
    if all(change.number != version.number for change in list_alias_changes(connection, model, CHAMPION)):
        raise RollbackRefused(model, f"version {version.number} was never champion")
    rehearsed = last_rehearsal(connection, model, version.number)
    if rehearsed is not None and not rehearsed.passed and not override:
        problem = f"its rehearsal of {rehearsed.at:%Y-%m-%d} failed ({rehearsed.problem}); `--override` goes back all the same"
        raise RollbackRefused(model, f"version {version.number} is no way back: {problem}")
    act = "Rolled back" if kind == "rolled_back" else "Returned by itself"
    sentence = f"{act} from version {champion} to version {version.number}: {reason}"
    _move(connection, model, version, champion, as_of=as_of, by=by, reason=f"{ROLLBACK}{reason}", key=key)
    _end_trials(connection, model, version.number, as_of=as_of, by=by, key=key)
    record_event(connection, model, key, Event(kind, as_of, sentence, {"version": version.number, "before": champion, "by": by}, by))
    return Rollout("rollback", version.number, champion, sentence)


def way_back(connection: sa.Connection, model: str, at: datetime | None = None) -> int | None:
    """The version that a rollback without a name goes to, now or at a moment; None when it would be refused."""
    changes = [change for change in list_alias_changes(connection, model) if at is None or change.since <= at]
    champion = [change for change in changes if change.alias == CHAMPION]
    if not champion or champion[-1].reason.startswith(ROLLBACK):
        return None
    return next((change.number for change in reversed(changes) if change.alias == PREVIOUS), None)


def _end_trials(connection: sa.Connection, model: str, champion: int, *, as_of: datetime, by: str, key: str) -> None:
    """Another champion: who answered beside the one before is compared with nobody any more."""
    for trial in living_trials(connection, model):
        if trial.kind == SHADOW and trial.version == champion:
            keep_trial(connection, model, trial.key, "promoted", trial.facts)
        elif trial.kind == SHADOW:
            sentence = f"The trial of version {trial.version} ended: version {champion} became champion meanwhile"
            let_go(connection, model, trial, sentence, status="stopped", as_of=as_of, by=by, key=f"{key}/stopped/{trial.version}")
        else:
            keep_trial(connection, model, trial.key, "stopped", trial.facts)


def let_go(
    connection: sa.Connection, model: str, trial: Trial, sentence: str, *, status: str, as_of: datetime, by: str, key: str, why: str = ""
) -> None:
    """End a challenger's trial without promoting it, and say so; the champion stays."""
    if not keep_trial(connection, model, trial.key, status, {**trial.facts, "sentence": sentence}):
        return
    if aliases_now(connection, model).get(CHALLENGER) == trial.version:
        set_alias(connection, model, f"{key}/challenger", _change(CHALLENGER, None, as_of, sentence, by))
    kind = "rejected" if status == "rejected" else "dismissed"
    facts = {"version": trial.version, "beside": trial.beside, "by": by, "comment": why}
    record_event(connection, model, key, Event(kind, as_of, sentence, facts))


def _move(
    connection: sa.Connection, model: str, version: Version, before: int | None, *, as_of: datetime, by: str, reason: str, key: str
) -> None:
    refuse_swept(connection, model, version.number)
    set_alias(connection, model, f"{key}/champion", _change(CHAMPION, version.number, as_of, reason, by))
    if before is not None:
        set_alias(connection, model, f"{key}/previous", _change(PREVIOUS, before, as_of, reason, by))
    in_force = contract_in_force(connection, model)
    if version.contract is not None and (in_force is None or in_force.digest != version.contract):
        moved = ContractInForce(version.contract, in_force.file_digest if in_force else "", as_of, f"came with version {version.number}")
        put_in_force(connection, model, f"{key}/contract", moved)


def _change(alias: str, number: int | None, since: datetime, reason: str, by: str) -> AliasChange:
    return AliasChange(alias, number, since, datetime.now(UTC), reason, by)
