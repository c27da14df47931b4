"""Promotion and its undo. A version carries its code, contract and settings, so one alias moves them all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from keepwell.errors import PromotionRefused, RollbackRefused
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
from keepwell.storage import Event, record_event
from keepwell.validation import ContractInForce, contract_in_force, put_in_force

ROLLBACK = "rollback: "  # how the reason of an alias change begins that went back


@dataclass(frozen=True)
class Rollout:
    """What an act did to the aliases."""

    act: str
    champion: int
    before: int | None
    sentence: str


def promote(
    connection: sa.Connection, model: str, ref: int | str, *, as_of: datetime, by: str, reason: str, key: str, override: bool = False
) -> Rollout:
    """Make a version champion.

    Parameters
    ----------
    key : names the act; the same key again changes nothing more.
    override : let a version live that the gate refused.

    Raises
    ------
    VersionNotFound : there is no such version.
    PromotionRefused : the gate refused it and `override` is false, or it is champion already.
    """
    version = get_version(connection, model, ref)
    now = aliases_now(connection, model)
    before = now.get(CHAMPION)
    if before == version.number:
        raise PromotionRefused(model, version.number, "it is the champion already")
    if not version.passed and not override:
        raise PromotionRefused(model, version.number, f"the gate refused it ({version.sentence}); `--override` lets it live all the same")
    sentence = f"Version {version.number} became champion" + (f" in place of {before}" if before else "") + f": {reason}"
    _move(connection, model, version, before, as_of=as_of, by=by, reason=reason, key=key)
    if now.get(CHALLENGER) == version.number:
        set_alias(connection, model, f"{key}/challenger", _change(CHALLENGER, None, as_of, reason, by))
    record_event(
        connection,
        model,
        key,
        Event("promoted", as_of, sentence, {"version": version.number, "before": before, "by": by, "override": override}, by),
    )
    return Rollout("promote", version.number, before, sentence)


def rollback(
    connection: sa.Connection, model: str, *, as_of: datetime, by: str, reason: str, key: str, to: int | str | None = None
) -> Rollout:
    """Go back to the previous champion, or to version `to` when it was champion once.

    Raises
    ------
    RollbackRefused : there is no champion, or nothing to go back to.
    VersionNotFound : `to` does not exist.
    """
    now = aliases_now(connection, model)
    champion = now.get(CHAMPION)
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
    sentence = f"Rolled back from version {champion} to version {version.number}: {reason}"
    _move(connection, model, version, champion, as_of=as_of, by=by, reason=f"{ROLLBACK}{reason}", key=key)
    facts = {"version": version.number, "before": champion, "by": by}
    record_event(connection, model, key, Event("rolled_back", as_of, sentence, facts, by))
    return Rollout("rollback", version.number, champion, sentence)


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
