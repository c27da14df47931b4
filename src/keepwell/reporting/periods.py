"""Spans of time that people name: a week, a month, a quarter, a year, or so many days up to now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keepwell.errors import InputInvalid

EVERY = ("week", "month", "quarter", "year")
NAMED = "2026-W07, 2026-02, 2026-Q1, 2026, week, month, quarter, year (the last one that is over), or 30d"


@dataclass(frozen=True)
class Period:
    """From `since` up to, and without, `until`; both UTC. `name` is how people write it."""

    name: str
    since: datetime
    until: datetime

    @property
    def before(self) -> Period:
        """The one it is compared with: the calendar's one before, or the same number of days.

        Examples
        --------
        >>> period_of("2026-Q1", datetime(2026, 5, 4, tzinfo=UTC)).before.name
        '2025-Q4'
        """
        for every in EVERY:
            found = _containing(every, self.since)
            if found == self:
                return _containing(every, self.since - timedelta(days=1))
        length = self.until - self.since
        return Period(f"the {length.days} days before", self.since - length, self.since)


def period_of(text: str, now: datetime) -> Period:
    """What somebody means by a period.

    Raises
    ------
    InputInvalid : it is none of the forms.

    Examples
    --------
    >>> now = datetime(2026, 5, 4, 6, tzinfo=UTC)
    >>> [period_of(text, now).name for text in ("month", "2026-02", "2025-Q4", "2024", "2026-W07")]
    ['2026-04', '2026-02', '2025-Q4', '2024', '2026-W07']
    >>> period_of("30d", now).since
    datetime.datetime(2026, 4, 4, 6, 0, tzinfo=datetime.timezone.utc)
    """
    asked = text.strip()
    if asked.lower() in EVERY:
        return last_full(asked.lower(), now)
    try:
        if match := re.fullmatch(r"(\d{4})-W(\d{2})", asked, re.IGNORECASE):
            return _containing("week", datetime.fromisocalendar(int(match[1]), int(match[2]), 1).replace(tzinfo=UTC))
        if match := re.fullmatch(r"(\d{4})-Q([1-4])", asked, re.IGNORECASE):
            return _containing("quarter", datetime(int(match[1]), 3 * int(match[2]) - 2, 1, tzinfo=UTC))
        if match := re.fullmatch(r"(\d{4})-(\d{2})", asked):
            return _containing("month", datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC))
        if match := re.fullmatch(r"(\d{4})", asked):
            return _containing("year", datetime(int(match[1]), 1, 1, tzinfo=UTC))
        if match := re.fullmatch(r"(\d{1,5})d", asked):
            days = int(match[1])
            return Period(f"{days} days until {now:%Y-%m-%d}", now - timedelta(days=max(days, 1)), now)
    except (ValueError, OverflowError):
        pass  # a month 13 or a year 0: said below, in the same words
    raise InputInvalid(f"'{asked[:40]}' is no period", f"It is written as {NAMED}.")


def last_full(every: str, now: datetime) -> Period:
    """The newest period of the calendar that is over."""
    return _containing(every, _containing(every, now).since - timedelta(microseconds=1))


def _containing(every: str, moment: datetime) -> Period:
    moment = moment.astimezone(UTC)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "week":
        since = day - timedelta(days=day.weekday())
        return Period(f"{since:%G-W%V}", since, since + timedelta(days=7))
    if every == "month":
        since = day.replace(day=1)
        return Period(f"{since:%Y-%m}", since, _month_after(since, 1))
    if every == "quarter":
        since = day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
        return Period(f"{since:%Y}-Q{(since.month + 2) // 3}", since, _month_after(since, 3))
    since = day.replace(month=1, day=1)
    return Period(f"{since:%Y}", since, since.replace(year=since.year + 1))


def _month_after(first: datetime, months: int) -> datetime:
    month = first.month - 1 + months
    return first.replace(year=first.year + month // 12, month=month % 12 + 1)
