"""Whom a notice goes to: decided once, when somebody is there to send it, by the settings of that moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from keepwell.notifying import budget, tables
from keepwell.notifying.channels import Channel
from keepwell.notifying.records import DIGESTED, HELD, NOBODY, PENDING, STALE, Delivery, Kept
from keepwell.settings import NotifySection

AT_ONCE = 100  # notices that are planned in one transaction: others want to write too
WEEK = timedelta(days=7)


def plan(connection: sa.Connection, model: str, channels: Sequence[Channel], settings: NotifySection, now: datetime) -> bool:
    """Decide about some notices that came since, and make the digests whose week has ended. Are there more?"""
    for person, notices in _held(connection, model, lambda held: budget.is_due(held, now)).items():
        _make_digest(connection, model, person, notices, settings, now)
    for kept in tables.list_unplanned(connection, model, AT_ONCE):
        told = partial(tables.count_told, connection, model, since=budget.week_of(now))
        found = list(routes(kept, channels, settings, now, told))
        tables.add_deliveries(connection, model, found, now)
        tables.mark_planned(connection, model, kept.number, now)
        if kept.notice.severity == "critical":  # who is told something critical is told the rest with it
            reached = {one.person for one in found if one.person and one.state == PENDING}
            for person, notices in _held(connection, model, lambda _: True).items():
                if person in reached:
                    _make_digest(connection, model, person, notices, settings, now)
    return bool(tables.list_unplanned(connection, model, 1))


def routes(
    kept: Kept, channels: Sequence[Channel], settings: NotifySection, now: datetime, told: Callable[[str], int]
) -> Iterator[Delivery]:
    """The deliveries of a notice.

    Parameters
    ----------
    told : how many notices a person had this week.
    """
    notice = kept.notice
    age = now - notice.at
    stale = f"it happened {age.days} days before it could be sent" if age > timedelta(days=settings.stale_days) else None

    def delivery(channel: Channel, state: str) -> Delivery:
        if stale:
            return Delivery(kept.number, channel.name, channel.person, STALE, problem=stale)
        return Delivery(kept.number, channel.name, channel.person, state, next_try=now if state == PENDING else None)

    yield from (delivery(one, PENDING) for one in channels if one.person is None and one.wants(notice))
    for recipient in notice.recipients:
        reached = [one for one in channels if one.person is not None and one.person.casefold() == recipient.casefold()]
        if not reached:
            problem = f'nobody to reach: [people."{recipient}"] has no tell'
            yield Delivery(kept.number, recipient, recipient, NOBODY, problem=problem)
            continue
        is_over = budget.is_over(notice, 0 if stale else told(str(reached[0].person)), settings.weekly_budget)
        yield from (delivery(one, HELD if is_over else PENDING) for one in reached)


def _held(connection: sa.Connection, model: str, chosen: Callable[[datetime], bool]) -> dict[str, list[Kept]]:
    found: dict[str, list[Kept]] = {}
    for person, kept, held in tables.list_held(connection, model):
        if chosen(held):
            found.setdefault(person, []).append(kept)
    return found


def _make_digest(connection: sa.Connection, model: str, person: str, held: list[Kept], settings: NotifySection, now: datetime) -> None:
    # What was held back from the first hour of a week on is listed at its end, so it may be a week older.
    limit = timedelta(days=settings.stale_days) + WEEK
    old = [one.number for one in held if now - one.notice.at > limit]
    if old:
        tables.end_held(connection, model, person, old, STALE, "it was too old when its week ended", now)
    if listed := [one for one in held if one.number not in old]:
        key = budget.digest_key(person, listed)
        tables.enqueue(connection, model, key, budget.digest(person, listed, now))
        tables.end_held(connection, model, person, [one.number for one in listed], DIGESTED, f"listed in {key}", now)
