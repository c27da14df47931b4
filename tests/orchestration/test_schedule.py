"""When cycles are due: missed ticks collapse, and the two days on which clocks change have as many ticks as others."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from keepwell.errors import SourceUnavailable
from keepwell.orchestration import CycleRecord, Scheduler, due, next_tick

BERLIN = "Europe/Berlin"  # 2026: 29 March 02:00 -> 03:00, 25 October 03:00 -> 02:00


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (None, "2026-03-04T05:00", "2026-03-03T06:00"),
        ("2026-03-03T06:00", "2026-03-04T05:59:59", None),
        ("2026-03-03T06:00", "2026-03-04T06:00", "2026-03-04T06:00"),
        ("2026-03-03T06:00", "2026-03-04T06:00:00.5", "2026-03-04T06:00"),
        ("2026-02-01T06:00", "2026-03-04T07:00", "2026-03-04T06:00"),
        ("2026-03-04T06:30", "2026-03-04T07:00", None),
        ("2026-03-09T06:00", "2026-03-04T07:00", None),
    ],
    ids=["first ever", "not yet", "on the second", "within the second", "missed ticks collapse", "done by hand since", "clock went back"],
)
def test_due_is_the_newest_tick_since_the_last_cycle(last: str | None, now: str, expected: str | None) -> None:
    assert due("0 6 * * *", "UTC", utc(last) if last else None, utc(now)) == (utc(expected) if expected else None)


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", "2026-03-29", ["01:00"]),
        ("30 2 * * *", "2026-10-25", ["00:30"]),
        ("0 6 * * *", "2026-03-29", ["04:00"]),
        ("0 6 * * *", "2026-10-25", ["05:00"]),
        ("0 1-4 * * *", "2026-03-29", ["00:00", "01:00", "02:00"]),
        ("0 1-4 * * *", "2026-10-25", ["00:00", "02:00", "03:00"]),
        ("0 */2 * * *", "2026-10-25", ["00:00", "01:00", "03:00", "05:00"]),
    ],
    ids=["left-out hour", "repeated hour", "spring morning", "autumn morning", "range, spring", "range, autumn", "starred hours run on"],
)
def test_days_on_which_clocks_change(cron: str, day: str, expected: list[str]) -> None:
    """Every minute is asked, as a scheduler would; ticks in UTC."""
    last, found = utc(f"{day}T00:00") - timedelta(minutes=1), []
    for minute in range(6 * 60):
        tick = due(cron, BERLIN, last, utc(f"{day}T00:00") + timedelta(minutes=minute))
        if tick is not None:
            found.append(f"{tick:%H:%M}")
            last = tick
    assert found == expected


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_hourly_ticks_every_real_hour_through_both_changes(day: str) -> None:
    tick, found = utc(f"{day}T12:00"), []
    for _ in range(24):
        following = next_tick("0 * * * *", BERLIN, tick)
        assert following is not None
        found.append(following - tick)
        tick = following
    assert set(found) == {timedelta(hours=1)}


@pytest.mark.parametrize("cron", ["0 6 * * *", "30 2 * * *", "15 3 * * 0", "*/20 2 * * *", "@daily"])
def test_due_and_next_tick_agree(cron: str) -> None:
    tick = utc("2026-01-01T00:00")
    for _ in range(400):
        following = next_tick(cron, BERLIN, tick)
        assert following is not None and following > tick
        assert due(cron, BERLIN, tick, following - timedelta(seconds=1)) is None
        assert due(cron, BERLIN, tick, following) == following
        tick = following


def test_a_line_that_never_ticks_has_no_next() -> None:
    assert next_tick("0 0 30 2 *", "UTC", utc("2026-01-01")) is None
    assert due("0 0 30 2 *", "UTC", None, utc("2026-01-01")) is None


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: str) -> None:
        self.now = utc(now)

    def __call__(self) -> datetime:
        return self.now


def done(tick: datetime, status: str = "done") -> CycleRecord:
    return CycleRecord(f"{tick:%Y%m%d}", tick, 1, status, "what it did", tick, tick, {})


def test_a_turn_runs_the_due_cycle_once() -> None:
    clock, ran = Clock("2026-03-04T06:00:01"), []

    def run(tick: datetime) -> CycleRecord:
        ran.append(tick)
        return done(tick)

    scheduler = Scheduler("0 6 * * *", "UTC", run=run, last=lambda: ran[-1] if ran else None, clock=clock)
    for _ in range(3):
        scheduler.turn()
    assert ran == [utc("2026-03-04T06:00")]
    assert scheduler.next() == utc("2026-03-05T06:00")


@pytest.mark.parametrize("way", ["refused", "fault", "recorded"])
def test_a_failed_cycle_is_tried_again_later_and_later(way: str) -> None:
    clock, tried = Clock("2026-03-04T06:00"), []

    def run(tick: datetime) -> CycleRecord:
        tried.append(clock.now)
        if way == "refused":
            raise SourceUnavailable("weather", "no answer", 4)
        if way == "fault":
            raise RuntimeError("a bug")
        return done(tick, "failed")

    scheduler = Scheduler("0 6 * * *", "UTC", run=run, last=lambda: None, clock=clock)
    for _ in range(10):
        scheduler.turn()
        clock.now += timedelta(seconds=60)
    assert [f"{moment:%H:%M}" for moment in tried] == ["06:00", "06:01", "06:03", "06:07"]


def test_stop_waits_for_the_cycle_that_runs() -> None:
    begun, go = threading.Event(), threading.Event()

    def run(tick: datetime) -> CycleRecord:
        begun.set()
        go.wait(10)
        return done(tick)

    scheduler = Scheduler("* * * * *", "UTC", run=run, last=lambda: None)
    scheduler.start()
    assert begun.wait(5)
    assert scheduler.stop(0.05) is False
    go.set()
    assert scheduler.stop(5) is True


@pytest.mark.parametrize("way", ["well", "refused", "fault"])
def test_silence_is_looked_for_at_each_turn_whatever_happens(way: str, caplog: pytest.LogCaptureFixture) -> None:
    clock, looked = Clock("2026-03-04T06:00"), []

    def look(now: datetime) -> None:
        looked.append(now)
        if way == "refused":
            raise SourceUnavailable("weather", "no answer", 4)
        if way == "fault":
            raise RuntimeError("a bug")

    scheduler = Scheduler(None, "UTC", run=done, last=lambda: None, look=look, clock=clock)
    scheduler.start()
    assert scheduler.stop(5) is True
    assert looked and set(looked) == {clock.now}
    assert ("Silence could not be looked for" in caplog.text) == (way != "well")


def test_without_a_cron_line_nothing_is_scheduled() -> None:
    scheduler = Scheduler(None, "UTC", run=done, last=lambda: None)
    scheduler.start()
    assert scheduler.next() is None
    assert scheduler.stop(5) is True
