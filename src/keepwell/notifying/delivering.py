"""From the outbox to the channels: at least once, in order per model and channel, by one sender at a time.

A delivery is leased before it is sent and marked after. A sender that dies in between leaves a lease that runs out, and the
notice is sent again under the same id. Two senders share the channels: the oldest pending delivery of a channel is with one
of them, and the next one waits for it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from keepwell.errors import KeepwellError
from keepwell.notifying import budget, tables
from keepwell.notifying.channels import Channel, channels_of, ping
from keepwell.notifying.planning import plan
from keepwell.notifying.records import GIVEN_UP, PENDING, SENT, STALE, TEST, Delivery, Kept, Notice, Outcome
from keepwell.settings import NotifySection, Settings
from keepwell.storage import Database

LOOK_S = 5.0  # how often the outbox is looked at: one query
LEASE_GRACE_S = 20.0  # a lease outlasts the time-out by this much

log = logging.getLogger("keepwell.notify")


@dataclass(frozen=True)
class Turn:
    """What a sender did: notices taken by channels, and what went wrong at which channel."""

    sent: int = 0
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """What went wrong, in words; empty when nothing did."""
        return "; ".join(f"{channel}: {problem}" for channel, problem in dict(self.failed).items())


def pause_s(tries: int, settings: NotifySection, draw: float) -> float:
    """How long to wait after so many failed tries: doubling, at most the longest, up to half of it taken off by chance.

    Examples
    --------
    >>> [pause_s(tries, NotifySection(), 0.0) for tries in (1, 2, 3, 99)]
    [30.0, 60.0, 120.0, 3600.0]
    """
    whole = min(settings.longest_pause_s, settings.first_pause_s * 2.0 ** min(tries - 1, 30))
    return whole * (1 - draw / 2)


def after_try(one: Delivery, outcome: Outcome, settings: NotifySection, now: datetime, planned: datetime, draw: float) -> Delivery:
    """A delivery after a try: sent, to be tried again, or given up. Pure."""
    tries = one.tries + 1
    if outcome.problem is None:
        return replace(one, state=SENT, tries=tries, next_try=None, problem=None)
    after = replace(one, tries=tries, problem=outcome.problem)
    if outcome.refused and tries >= settings.refused_tries:
        return replace(after, state=GIVEN_UP, next_try=None, problem=f"{outcome.problem} (given up after {_times(tries)})")
    if now - planned > timedelta(hours=settings.give_up_hours):
        said = f"{outcome.problem} (given up after {_times(tries)} in {settings.give_up_hours:g} hours)"
        return replace(after, state=GIVEN_UP, next_try=None, problem=said)
    wait_s = max(pause_s(tries, settings, draw), min(outcome.wait_s, settings.longest_pause_s))
    return replace(after, next_try=now + timedelta(seconds=wait_s))


def _times(tries: int) -> str:
    return "one try" if tries == 1 else f"{tries} tries"


class Sender:
    """Sends what is due for one model.

    Parameters
    ----------
    clock : the present moment, aware: notices, unlike cycles, live by the wall clock.
    draw : a number from 0 to 1 for the jitter.
    """

    def __init__(
        self,
        database: Database,
        model: str,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._database, self._model, self._settings = database, model, settings
        self._clock, self._draw = clock, draw
        self._channels = {channel.name: channel for channel in channels_of(settings)}
        self._holder = uuid.uuid4().hex
        self._tested: str | None = None
        self._cycle_done = False
        self._said: str | None = None
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, name="keepwell-notify", daemon=True)

    # --- one turn -----------------------------------------------------------------------------------------------------

    def turn(self, for_s: float | None = None) -> Turn:
        """Send what is due until nothing is, begin nothing more after `for_s` seconds.

        Raises
        ------
        StorageUnavailable
        """
        until = None if for_s is None else time.monotonic() + for_s
        sent, failed = 0, []
        self._test_daily()
        while not self._stopping.is_set() and (until is None or time.monotonic() < until):
            claimed, has_more = self._claim()
            if not claimed and not has_more:
                break
            for after, _ in self._send(claimed):
                if after.state == SENT:
                    sent += 1
                else:
                    failed.append((after.channel, after.problem or ""))
        return Turn(sent, tuple(failed))

    def send_now(self, kept: Kept, chosen: Sequence[str]) -> list[Delivery]:
        """Send one notice to some channels at once and only once, whatever waits there."""
        now = self._clock()
        rows = [Delivery(kept.number, name, self._channels[name].person, PENDING, next_try=now) for name in chosen]
        with self._database.begin() as connection:
            tables.add_deliveries(connection, self._model, rows, now)
            for one in rows:
                tables.hold(connection, self._model, one, self._holder, now + self._lease)
        return [after for after, _ in self._send([(one, replace(kept, planned=now)) for one in rows], once=True)]

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels of the settings."""
        return tuple(self._channels.values())

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self._settings.notify.timeout_s + LEASE_GRACE_S)

    def _claim(self) -> tuple[list[tuple[Delivery, Kept]], bool]:
        """Plan what came, and take the oldest delivery of each channel that is due and that nobody else is sending.

        Answers also whether there is more to plan.
        """
        now, settings = self._clock(), self._settings.notify
        # A clock that was set back leaves moments that lie too far ahead; nobody waits for them.
        latest = now + timedelta(seconds=settings.longest_pause_s)
        with self._database.read() as connection:
            if not tables.has_work(connection, self._model, now, latest, budget.week_of(now)):
                return [], False
        claimed = []
        with self._database.begin() as connection:
            has_more = plan(connection, self._model, self.channels, settings, now)
            while True:
                ended = 0
                for one, kept, holder, until in tables.list_heads(connection, self._model):
                    if self._end_early(connection, one, kept, now):
                        ended += 1
                    elif one.channel not in self._channels:
                        continue  # a process that has read the settings since may know it
                    elif self._is_free(holder, until, now) and (one.next_try is None or not now < one.next_try <= latest):
                        tables.hold(connection, self._model, one, self._holder, now + self._lease)
                        claimed.append((one, kept))
                if claimed or not ended:
                    return claimed, has_more

    def _is_free(self, holder: str | None, until: datetime | None, now: datetime) -> bool:
        if holder is None or until is None or holder == self._holder:
            return True
        return not now < until <= now + self._lease  # beyond that, the clock was set back since

    def _end_early(self, connection: sa.Connection, one: Delivery, kept: Kept, now: datetime) -> bool:
        """End what cannot or should not be sent any more."""
        age = now - kept.notice.at
        is_over = now - (kept.planned or kept.created) > timedelta(hours=self._settings.notify.give_up_hours)
        if one.channel not in self._channels and is_over:
            after = replace(one, state=GIVEN_UP, next_try=None, problem="the settings do not name this channel any more")
        elif age > timedelta(days=self._settings.notify.stale_days):
            after = replace(one, state=STALE, next_try=None, problem=f"it happened {age.days} days before it could be sent")
        else:
            return False
        tables.mark(connection, self._model, after, now)
        return True

    def _send(self, claimed: Sequence[tuple[Delivery, Kept]], *, once: bool = False) -> list[tuple[Delivery, Kept]]:
        """Send all at the same time, one at each channel, and keep what came of it."""
        outcomes: dict[str, Outcome] = {}

        def work(one: Delivery, kept: Kept) -> None:
            outcomes[one.channel] = self._channels[one.channel].send(kept, self._clock())

        threads = [threading.Thread(target=work, args=item, daemon=True) for item in claimed]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ended = []
        now = self._clock()
        for one, kept in claimed:
            outcome = outcomes.get(one.channel, Outcome("it could not be sent"))
            after = after_try(one, outcome, self._settings.notify, now, kept.planned or kept.created, self._draw())
            if once and after.state == PENDING:
                after = replace(after, state=GIVEN_UP, next_try=None)
            ended.append((after, kept))
        self._mark(ended, now)
        return ended

    def _mark(self, ended: Sequence[tuple[Delivery, Kept]], now: datetime) -> None:
        with self._database.begin() as connection:
            for after, _ in ended:
                tables.mark(connection, self._model, after, now, None if after.state == SENT else self._holder)

    def _test_daily(self) -> None:
        day = f"{self._clock():%Y-%m-%d}"
        if not self._settings.notify.daily_test or self._tested == day or not self._channels:
            return
        people = tuple(dict.fromkeys(channel.person for channel in self.channels if channel.person))
        with self._database.begin() as connection:
            tables.enqueue(connection, self._model, f"test/{day}", test_notice(self._clock(), people))
        self._tested = day

    # --- beside other work --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send in a thread."""
        self._thread.start()

    def wake(self, *, cycle_done: bool = False) -> None:
        """Look at once: something happened. After a cycle that was done the outside is told that Keepwell lives."""
        self._cycle_done = self._cycle_done or cycle_done
        self._woken.set()

    def stop(self, wait_s: float | None = None) -> bool:
        """Send nothing more. False when what is being sent has not ended within `wait_s` seconds."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _live(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                done = self.turn()
                self._said = None if done.sent else self._said
                self._say(done.sentence)
                if self._cycle_done:
                    self._cycle_done = False
                    self._say(self.ping() or "")
            except KeepwellError as error:
                self._say(error.message)
            except Exception:
                log.exception("Sending notices failed")
            self._woken.wait(LOOK_S)

    def ping(self) -> str | None:
        """Tell the outside that a cycle was done. Answers what went wrong, or None."""
        address = self._settings.notify.ping
        problem = ping(address) if address else None
        return f"The ping failed: {problem}" if problem else None

    def _say(self, problem: str) -> None:
        """The same problem is in the log once, not every few seconds."""
        if problem and problem != self._said:
            log.warning("Not delivered yet: %s", problem)
        self._said = problem or self._said


def test_notice(now: datetime, people: tuple[str, ...]) -> Notice:
    """A test that goes the whole way."""
    return Notice(TEST, "", "This is a test: what Keepwell has to tell reaches you here. Nothing happened.", "info", people, now)
