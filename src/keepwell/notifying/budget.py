"""How much a person is told in a week: what comes above goes into one digest. Pure: records in, records out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from keepwell.notifying.records import DIGEST, TEST, Kept, Notice

LISTED = 20  # notices that a digest names one by one


def week_of(moment: datetime) -> datetime:
    """The Monday, 00:00 UTC, on which the week of a moment began.

    Examples
    --------
    >>> week_of(datetime(2026, 3, 5, 6, tzinfo=UTC))
    datetime.datetime(2026, 3, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def is_over(notice: Notice, told: int, budget: int) -> bool:
    """Must a notice wait for the digest, when its reader was `told` so many this week? What is critical never must."""
    return notice.severity != "critical" and notice.kind not in (DIGEST, TEST) and told >= budget


def is_due(held: datetime, now: datetime) -> bool:
    """Has the week ended in which a notice was held back?"""
    return week_of(held) < week_of(now)


def digest(person: str, held: Sequence[Kept], now: datetime) -> Notice:
    """One notice that lists what was held back for a person, oldest first."""
    count = f"{len(held)} {'notice that was' if len(held) == 1 else 'notices that were'}"
    lines = [f"{one.notice.at:%Y-%m-%d} {one.notice.severity}: {one.notice.sentence}" for one in held[:LISTED]]
    if len(held) > LISTED:
        lines.append(f"and {len(held) - LISTED} more: `keepwell notify list` shows them")
    sentence = "\n".join([f"{count} more than this week's budget:", *lines])
    listed = {"notices": [one.id for one in held]}
    return Notice(DIGEST, "", sentence, "info", (person,), now, listed)


def digest_key(person: str, held: Sequence[Kept]) -> str:
    """The same for the same notices, so that a digest of them is made once."""
    return f"digest/{person}/{held[0].number}-{held[-1].number}"
