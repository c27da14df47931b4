"""When the next cycle is due, and the thread that runs it then.

A tick is a moment that the cron line names. Ticks that were missed collapse into the newest one: a cycle gathers all that
came since the last, so running each of them would only repeat work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from keepwell.errors import KeepwellError
from keepwell.orchestration.tables import CycleRecord

LOOK_S = 30.0  # the clock is looked at least this often: it may jump, or the machine may have slept
FIRST_PAUSE_S = 60.0  # after a failed cycle; doubles each time
LONGEST_PAUSE_S = 3600.0

log = logging.getLogger("keepwell.schedule")


def due(cron: str, zone: str, last: datetime | None, now: datetime) -> datetime | None:
    """The newest tick that is not after `now` and later than the last cycle; None when there is none.

    Parameters
    ----------
    cron : minute, hour, day, month, weekday; read in `zone`.
    last : moment of the last cycle, aware; None when there was none yet.

    Notes
    -----
    Clock changes are handled as Vixie cron does. A tick inside the hour that is left out comes right after it. In the hour
    that comes twice, a line with fixed hours ticks in the first pass only; one with ``*`` hours ticks through both.

    Examples
    --------
    >>> due("0 6 * * *", "UTC", datetime(2026, 3, 1, 6, tzinfo=UTC), datetime(2026, 3, 4, 5, tzinfo=UTC))
    datetime.datetime(2026, 3, 3, 6, 0, tzinfo=datetime.timezone.utc)
    """
    tick = _walk(cron, zone, now.replace(microsecond=0) + timedelta(seconds=1), forward=False)
    return tick if tick is not None and (last is None or tick > last) else None


def next_tick(cron: str, zone: str, now: datetime) -> datetime | None:
    """The first tick after `now`; None for a line that never ticks (30 February)."""
    return _walk(cron, zone, now, forward=True)


def _walk(cron: str, zone: str, start: datetime, *, forward: bool) -> datetime | None:
    place, moment = ZoneInfo(zone), start
    while True:
        walk = croniter(cron, moment.astimezone(place))
        try:
            found: datetime = walk.get_next(datetime) if forward else walk.get_prev(datetime)
        except CroniterBadDateError:
            return None
        moment = found.astimezone(UTC)
        if not (_has_fixed_hours(cron) and moment.astimezone(place).fold):
            return moment


def _has_fixed_hours(cron: str) -> bool:
    fields = cron.split()
    return not fields[1].startswith("*") if len(fields) > 1 else cron != "@hourly"


class Scheduler:
    """A thread that runs the cycle of each tick, outlives what goes wrong in it, and stops when asked.

    Parameters
    ----------
    cron : None means that no cycle runs by itself.
    run : runs the cycle of a tick.
    last : moment of the newest cycle that is done.
    first : called once in the thread before anything else; finishes what a crash left.
    look : called with the moment at each turn, also when no cycle is due or one has just failed: notices silence.
    clock : the present moment, aware.
    """

    def __init__(
        self,
        cron: str | None,
        zone: str,
        *,
        run: Callable[[datetime], CycleRecord],
        last: Callable[[], datetime | None],
        first: Callable[[], object] = lambda: None,
        look: Callable[[datetime], object] = lambda now: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cron, self._zone = cron, zone
        self._run, self._last, self._first, self._clock = run, last, first, clock
        self._look = look
        self._failures = 0
        self._not_before: datetime | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="keepwell-schedule", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, wait_s: float | None = None) -> bool:
        """Begin no further cycle and wait for the one that runs. False when it is still running after `wait_s` seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)
        return not self._thread.is_alive()

    def next(self) -> datetime | None:
        """The tick that runs next; one that is due already counts."""
        if self._cron is None:
            return None
        now = self._clock()
        return due(self._cron, self._zone, self._last(), now) or next_tick(self._cron, self._zone, now)

    def turn(self) -> CycleRecord | None:
        """Run the cycle that is due now, if any. What goes wrong is logged, and tried again after a pause."""
        now = self._clock()
        if self._cron is None or (self._not_before is not None and now < self._not_before):
            return None
        record: CycleRecord | None = None
        try:
            tick = due(self._cron, self._zone, self._last(), now)
            if tick is None:
                return None
            record = self._run(tick)
            problem = record.sentence if record.status == "failed" else None
        except KeepwellError as error:
            problem = error.message
        except Exception as error:
            log.exception("The cycle failed")
            problem = f"{type(error).__name__}: {error}"
        self._note(problem)
        return record

    def look(self) -> None:
        """Notice silence. What goes wrong is logged, and tried again at the next turn."""
        try:
            self._look(self._clock())
        except KeepwellError as error:
            log.error("Silence could not be looked for: %s", error.message)
        except Exception:
            log.exception("Silence could not be looked for")

    def _note(self, problem: str | None) -> None:
        if problem is None:
            self._failures, self._not_before = 0, None
            return
        pause_s = min(FIRST_PAUSE_S * 2**self._failures, LONGEST_PAUSE_S)
        self._failures += 1
        self._not_before = self._clock() + timedelta(seconds=pause_s)
        log.error("The cycle failed: %s Tried again in %.0f s.", problem, pause_s)

    def _live(self) -> None:
        try:
            self._first()
        except Exception as error:  # the cycle is recorded as failed; its tick is tried again below
            log.error("An unfinished cycle failed: %s", error)
        while not self._stopping.is_set():
            self.turn()
            self.look()
            self._stopping.wait(self._until_next_s())

    def _until_next_s(self) -> float:
        now = self._clock()
        tick = next_tick(self._cron, self._zone, now) if self._cron else None
        wakes = [moment for moment in (tick, self._not_before) if moment is not None]
        nearest_s = min(((moment - now).total_seconds() for moment in wakes if moment > now), default=LOOK_S)
        return min(LOOK_S, max(0.05, nearest_s))
