"""Prove that the way works, and send facts again that somebody has missed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from keepwell.errors import PersonNotFound
from keepwell.notifying import tables
from keepwell.notifying.channels import Channel
from keepwell.notifying.delivering import Sender, test_notice
from keepwell.notifying.records import SENT, Kept
from keepwell.storage import Database


@dataclass(frozen=True)
class Tried:
    """What a channel answered: `problem` is None when it took the notice, or when nothing was sent (`dry_run`)."""

    channel: str
    person: str | None
    problem: str | None
    notice: str | None = None


def try_channels(
    database: Database, model: str, sender: Sender, now: datetime, *, person: str | None = None, dry_run: bool = False
) -> list[Tried]:
    """Send a test to everyone, or to one person, and answer what came back.

    Raises
    ------
    PersonNotFound : the settings do not name the person, or no way to reach him or her.
    """
    chosen = _chosen(sender.channels, person)
    if dry_run or not chosen:
        return [Tried(one.name, one.person, None) for one in chosen]
    people = tuple(dict.fromkeys(one.person for one in chosen if one.person))
    key = f"test/{uuid.uuid4().hex}"
    with database.begin() as connection:
        tables.enqueue(connection, model, key, test_notice(now, people))
        kept = tables.get_notice(connection, model, key)
        assert kept is not None
        tables.mark_planned(connection, model, kept.number, now)
    ended = {one.channel: one for one in sender.send_now(kept, [one.name for one in chosen])}
    return [Tried(one.name, one.person, None if ended[one.name].state == SENT else ended[one.name].problem, kept.id) for one in chosen]


def _chosen(channels: Sequence[Channel], person: str | None) -> list[Channel]:
    if person is None:
        return list(channels)
    chosen = [one for one in channels if one.person is not None and one.person.casefold() == person.casefold()]
    if not chosen:
        raise PersonNotFound(person, sorted({one.person for one in channels if one.person}))
    return chosen


def replay(channels: Sequence[Channel], events: Sequence[Kept], now: datetime) -> Iterator[Tried]:
    """Post facts again to the machines, in order and under their old ids. A machine that fails gets no later one."""
    failed: set[str] = set()
    for kept in events:
        for one in channels:
            if one.person is None and one.name not in failed and one.wants(kept.notice):
                problem = one.send(kept, now).problem
                if problem:
                    failed.add(one.name)
                yield Tried(one.name, None, problem, kept.id)
