"""The time range at the top, which rules everything below it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from keepwell.errors import InputInvalid

QUICK = (("90 days", 90), ("1 year", 365), ("2 years", 730), ("10 years", 3652))
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Range:
    """From `since` to `until`, both included, UTC.

    `is_given` says that somebody chose it: only then do links carry it on. `newest` is the record's newest moment.
    """

    since: datetime
    until: datetime
    newest: datetime
    is_given: bool

    @property
    def query(self) -> str:
        """What a link must carry on, with its question mark; nothing when nobody chose a range."""
        return f"?{urlencode(self.fields)}" if self.is_given else ""

    @property
    def fields(self) -> dict[str, str]:
        """The same as fields of a form."""
        return self._dates() if self.is_given else {}

    @property
    def chosen(self) -> str:
        """This very range for an address, whoever chose it."""
        return urlencode(self._dates())

    def _dates(self) -> dict[str, str]:
        begins = {"since": "all" if self.begins is None else f"{self.since:%Y-%m-%d}"}
        return begins if self.ends is None else {**begins, "until": f"{self.until:%Y-%m-%d}"}

    @property
    def begins(self) -> datetime | None:
        """Its beginning; None when it is open."""
        return None if self.since == FIRST else self.since

    @property
    def ends(self) -> datetime | None:
        """Its end; None when it is open."""
        return None if self.until == LAST else self.until

    @property
    def key(self) -> tuple[str, str]:
        """What names it among remembered things."""
        return self.since.isoformat(), self.until.isoformat()

    def quick(self) -> Iterator[tuple[str, str, bool]]:
        """Ready choices up to the newest moment: words, query, and whether it is this one."""
        day = self.newest.date()
        for words, days in QUICK:
            since = day - timedelta(days=days)
            is_this = self.is_given and self.since.date() == since and self.until.date() == day
            yield words, f"?{urlencode({'since': since.isoformat(), 'until': day.isoformat()})}", is_this
        yield "all", "?since=all", self.is_given and self.since == FIRST


def range_of(query: Mapping[str, str], newest: datetime, default: timedelta | None) -> Range:
    """The range that an address asks for; else `default` up to the newest moment (None: everything).

    Raises
    ------
    InputInvalid : it is no date, or ends before it begins.
    """
    since, until = query.get("since", ""), query.get("until", "")
    if not since and not until:
        return Range(newest - default if default else FIRST, LAST, newest, is_given=False)  # open, for acts come after the newest cycle
    begins = FIRST if since in ("", "all") else moment_of("since", since)
    ends = LAST if not until else _end_of(until)
    if ends < begins:
        raise InputInvalid(f"The range from {since[:30]} ends before it begins, at {until[:30]}", "Choose a later end.")
    return Range(begins, ends, newest, is_given=True)


def moment_of(name: str, text: str) -> datetime:
    """A moment that somebody wrote, UTC where no offset is given.

    Raises
    ------
    InputInvalid
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputInvalid(f"'{name}' is {text[:50]!r}", "A date such as 2026-03-01 is needed.") from None


def _end_of(text: str) -> datetime:
    """A day counts whole."""
    moment = moment_of("until", text)
    return moment + timedelta(days=1) - timedelta(microseconds=1) if len(text.strip()) == 10 and moment < LAST else moment
