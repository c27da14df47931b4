"""Who is alive: a process is known by the kernel's own count of time, which nobody can set; another machine's by its lease."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from keepwell.orchestration import slots
from keepwell.orchestration.tables import workers
from keepwell.storage import Database

HOUR_S = 3600
HERE = f"{os.uname().nodename} {slots.boot_id()}"
SLEEPS = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until it is killed."""
    with subprocess.Popen(SLEEPS, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield process
        process.kill()


def kept(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        row = dict(connection.execute(sa.select(workers)).mappings().one())
    return {name: row[name] for name in ("slot", "host", "pid", "process_started")}


def hold(database: Database, process: subprocess.Popen[bytes], **other: Any) -> None:
    """Keep that a process holds the slot, with its lease long over."""
    started = slots.started_at(process.pid)
    with database.begin() as connection:
        connection.execute(sa.delete(workers))
        over = slots.moment_of(connection) - timedelta(days=400)
        row = {"slot": "rain-1", "holder": "it", "host": HERE, "pid": process.pid, "process_started": started, "lease_until": over}
        connection.execute(sa.insert(workers).values(**{**row, **other}))


def test_a_clock_that_is_set_makes_no_living_worker_look_dead(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock goes ahead by an hour, and with it the moment at which the machine says it was started."""
    slot = slots.acquire(database, "rain")
    before, started = kept(database), psutil.Process().create_time()
    clock, booted = time.time, psutil.boot_time()
    monkeypatch.setattr(time, "time", lambda: clock() + HOUR_S)
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: booted + HOUR_S)
    assert psutil.Process().create_time() == pytest.approx(started + HOUR_S, abs=1), "this is what such a clock does to what hangs on it"
    assert slots.living(database) == {"rain-1"}
    assert slots.claim(database, "rain-1", "other") is None
    slots.release(database, slot)
    slots.acquire(database, "rain")
    assert kept(database) == before


def test_a_process_counts_as_the_one_that_started_at_that_tick(database: Database, sleeper: subprocess.Popen[bytes]) -> None:
    hold(database, sleeper)
    assert slots.living(database) == {"rain-1"}
    hold(database, sleeper, process_started=slots.started_at(sleeper.pid) - 1)
    assert slots.dead_slots(database) == ["rain-1"], "the number was given to another process since"


def test_a_process_of_an_earlier_run_of_the_machine_is_dead(database: Database, sleeper: subprocess.Popen[bytes]) -> None:
    hold(database, sleeper, host=f"{os.uname().nodename} 00000000-0000-4000-8000-000000000000")
    assert slots.dead_slots(database) == ["rain-1"]
    assert slots.claim(database, "rain-1", "other") is not None


@pytest.mark.parametrize(("left", "lives"), [(timedelta(seconds=30), True), (timedelta(seconds=-30), False)], ids=["runs", "is over"])
@pytest.mark.parametrize("host", ["another-machine 1f0c", os.uname().nodename], ids=["another machine", "a boot that was not kept"])
def test_where_no_process_can_be_asked_the_lease_decides(
    database: Database, sleeper: subprocess.Popen[bytes], host: str, left: timedelta, lives: bool
) -> None:
    with database.begin() as connection:
        until = slots.moment_of(connection) + left
    hold(database, sleeper, host=host, lease_until=until)
    assert slots.living(database) == ({"rain-1"} if lives else set())


def test_a_paused_process_lives_and_one_that_its_parent_has_not_noticed_to_end_does_not(sleeper: subprocess.Popen[bytes]) -> None:
    started = slots.started_at(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    assert slots.started_at(sleeper.pid) == started
    os.kill(sleeper.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while slots.started_at(sleeper.pid) is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert slots.started_at(sleeper.pid) is None
    assert psutil.Process(sleeper.pid).status() == psutil.STATUS_ZOMBIE


def test_a_command_may_have_any_name(tmp_path: Path) -> None:
    program = Path(shutil.copy(shutil.which("sleep") or "", tmp_path / ") Z 1 (2"))
    with subprocess.Popen([program, "60"]) as process:
        ticks = psutil.Process(process.pid).create_time() - psutil.boot_time()
        assert slots.started_at(process.pid) == pytest.approx(ticks * os.sysconf("SC_CLK_TCK"), abs=1)
        process.kill()
    assert slots.started_at(process.pid) is None
