"""Kill a server at random moments while it answers, and compare what it acknowledged with its ledger."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import sqlalchemy as sa
from disks import Disk
from loading import Load, loading
from processes import kill_one, running

from keepwell import Project

PATH = "/models/tiny/predict"
BODIES = [[{"warmth": place / 3, "cloud": place % 7 / 7}] * (1 + place % 3) for place in range(9)]
ANSWERS_BETWEEN = 150  # at least so many between two kills
KEEPER, WORKER, WRITER = "all", "one that answers", "the log writer"
SHIPPER = "all, in shipping"

# The first segment that this process has kept, or has read, is its last.
SHIPPER_DIES = """
import os, signal
from keepwell.serving import shipping
def dying(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def wrapped(act):
    def last(*given):
        found = act(*given)
        found = list(found) if found is not None else None
        dying()
    return last
shipping.discard, shipping.read = {discard}, {read}
"""
STEPS = {
    "before keeping": {"discard": "shipping.discard", "read": "wrapped(shipping.read)"},
    "between keeping and removing": {"discard": "dying", "read": "shipping.read"},
    "after removing": {"discard": "wrapped(shipping.discard)", "read": "shipping.read"},
}


@dataclass(frozen=True)
class Ending:
    """What was acknowledged, and what the ledger holds of it."""

    kills: Counter[str]
    answers: int
    acknowledged: int
    lost: int
    doubled: int
    unasked: int  # kept, and its answer did not arrive
    refusals: Counter[int]
    broken: int

    @property
    def is_right(self) -> bool:
        """Nothing lost, nothing doubled, and no refusal without its reason."""
        return not self.lost and not self.doubled and set(self.refusals) <= {503}


def killed(folder: Path, victims: Sequence[str], *, workers: int, seed: int = 1, tell: Callable[[str], None] = lambda _: None) -> Ending:
    """Serve under load while `victims` are killed with -9, one after the other; what was killed is started again when more is to come.

    `SHIPPER` followed by a step of `STEPS` kills the whole server at that step of a shipment.
    """
    draw, left = random.Random(seed), [*victims]
    with loading("http://127.0.0.1:9", PATH, BODIES) as load:
        while left:
            step = left[0].removeprefix(SHIPPER).strip() if left[0].startswith(SHIPPER) else None
            prelude = SHIPPER_DIES.format(**STEPS[step]) if step else ""
            with suppress(Died), _serving(folder, prelude, workers) as (process, line):
                load.url = line
                if step:
                    process.wait(60)
                    raise Died
                while left and not left[0].startswith(SHIPPER):
                    victim = left.pop(0)
                    tell(f"{len(victims) - len(left)}: {victim}; {len(load.answered)} answers until now")
                    load.wait(ANSWERS_BETWEEN)
                    time.sleep(draw.uniform(0.0, 0.5))
                    _kill(victim, process.pid, draw)
                if not left:
                    load.wait(ANSWERS_BETWEEN)
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            if step:
                tell(f"{len(victims) - len(left) + 1}: {left.pop(0)}; {len(load.answered)} answers until now")
        load.is_over.set()
    return _ending(folder, [load], victims)


def starved(folder: Path, disk: Disk, *, workers: int) -> tuple[Ending, set[tuple[int, str | None]]]:
    """Serve under load, with the journal on a disk that gets full, then read-only, each time until it is well again.

    Returns
    -------
    What was acknowledged and kept, and how requests were refused meanwhile.
    """
    with (folder / "keepwell.toml").open("a") as settings:
        settings.write(f"\n[store]\njournal = '{disk.folder / 'journal'}'\n")
    with running(folder, "serve", workers=workers) as (process, line):
        with loading(line, PATH, BODIES) as full:
            full.wait(ANSWERS_BETWEEN)
            _until(lambda: disk.fill() or len(full.refused) > 20, "a full disk is not told")  # what is shipped makes room
            disk.empty()
            full.wait(ANSWERS_BETWEEN)
        _until(lambda: disk.try_remount("ro"), "the journal is still being written")  # it is sealed and shipped when nothing comes
        with loading(line, PATH, BODIES) as read_only:
            _until(lambda: len(read_only.refused) > 20, "a read-only disk is not told")
            assert not read_only.answered
            disk.remount("rw")
            read_only.wait(ANSWERS_BETWEEN)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    return _ending(folder, [full, read_only], []), {*full.refused, *read_only.refused}


def _until(is_so: Callable[[], bool], otherwise: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, otherwise
        time.sleep(0.02)


class Died(Exception):
    """The server is gone, as it should."""


@contextmanager
def _serving(folder: Path, prelude: str, workers: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """As `running`; with a prelude it dies, and may do so before it has said its line."""
    try:
        with running(folder, "serve", prelude=prelude, workers=workers) as found:
            yield found
    except AssertionError:
        if not prelude:
            raise
        raise Died from None


def _kill(victim: str, pid: int, draw: random.Random) -> None:
    """Kill it. Raises Died when the server is gone by it."""
    if victim != KEEPER:
        kill_one(pid, writes=victim == WRITER, draw=draw)
        return
    server = psutil.Process(pid)
    others = server.children()
    server.send_signal(signal.SIGKILL)
    assert not psutil.wait_procs(others, timeout=60)[1], "they end when the one that started them has gone"
    raise Died


def added_rows(project: Project) -> int:
    """How many rows were ever added from the journal."""
    with project.context.database.read() as connection:
        return int(connection.execute(sa.text("SELECT sum(rows) FROM commits WHERE key LIKE 'journal/%'")).scalar() or 0)


def _ending(folder: Path, loads: Sequence[Load], victims: Sequence[str]) -> Ending:
    with Project(folder) as project:
        project.ship()
        kept = project.context.predictions.rows().filter(origin="api")["prediction_id"]
        added = added_rows(project)
    ids = [name for load in loads for name in load.ids]
    return Ending(
        kills=Counter(victim.split(",")[0] if not victim.startswith(SHIPPER) else victim for victim in victims),
        answers=sum(len(load.answered) for load in loads),
        acknowledged=len(ids),
        lost=len(set(ids) - set(kept)),
        doubled=added - len(kept) + len(ids) - len(set(ids)),
        unasked=len(set(kept) - set(ids)),
        refusals=Counter(status for load in loads for status, _ in load.refused),
        broken=sum(len(load.broken) for load in loads),
    )
