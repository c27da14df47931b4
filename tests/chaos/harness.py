"""Lives through years of weather while somebody kills it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from record import Record, first_difference, record_of

from keepwell.storage.engines import absolute, open_engine

PRELOADED = ["keepwell.orchestration", "keepwell.project", "keepwell.demo", "sklearn.linear_model", "skops.io", "dbos", "alembic.command"]
EVERY = timedelta(days=28)
DELAY_S = 0.3
RECORD = ".keepwell/keepwell.db"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """What came of a life with kills: at which moment of the record each hit, and where it parts from the undisturbed one."""

    kills: tuple[str, ...]
    seconds: float
    difference: str | None


def weather(folder: Path, database: str | None = None) -> Path:
    """A new weather project, on the embedded stores or with its record in another database."""
    from keepwell.scaffold import init_weather

    init_weather(folder)
    if database is not None:
        file = folder / "keepwell.toml"
        file.write_text(f'{file.read_text()}\n[store]\ndatabase = "{database}"\n')
    return folder


def undisturbed(folder: Path, until: datetime) -> tuple[Record, float]:
    """The record of a life without kills, and how long it took, seconds."""
    begun = time.monotonic()
    process = _start(_live, folder, until)
    process.join()
    if process.exitcode:
        raise AssertionError(f"the undisturbed life ended with {process.exitcode}")
    return record_of(folder), time.monotonic() - begun


def disturbed(folder: Path, until: datetime, *, seed: int, kills: int, expected: Record, tell: Tell = print) -> Ending:
    """Kill -9 at `kills` random moments, spread evenly over the cycles to be lived; then live to the end and compare.

    Each moment is a cycle drawn by chance, and after it has begun a delay (exponential, 0.3 s on average) that may well lead into
    another one, or into a build.
    """
    draw, hits, begun = random.Random(seed), list[str](), time.monotonic()
    moments = sorted(draw.randrange(len(expected["cycles"])) for _ in range(kills))
    delays = [draw.expovariate(1 / DELAY_S) for _ in range(kills)]
    while True:
        process = _start(_live, folder, until)
        if len(hits) < kills:
            while process.exitcode is None and _cycles(folder) < moments[len(hits)]:
                process.join(0.02)
            process.join(delays[len(hits)])
        else:
            process.join()
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            hits.append(_place(folder))
            tell(f"kill {len(hits)} of {kills}: {hits[-1]}")
        elif process.exitcode:
            return Ending(tuple(hits), time.monotonic() - begun, f"a life ended by itself with {process.exitcode}")
        else:
            return Ending(tuple(hits), time.monotonic() - begun, first_difference(expected, record_of(folder)))


def _cycles(folder: Path) -> int:
    """How many cycles have begun; looked up without disturbing the one who works."""
    url = tomllib.loads((folder / "keepwell.toml").read_text()).get("store", {}).get("database")
    if url is None and not (folder / RECORD).is_file():
        return 0
    engine = open_engine(absolute(url or f"sqlite:///{RECORD}", folder))
    try:
        with engine.connect() as connection:
            return int(connection.execute(sa.text("SELECT count(*) FROM cycles")).scalar() or 0)
    except sa.exc.SQLAlchemyError:
        return 0  # it is being made
    finally:
        engine.dispose()


def _start(target: Any, *arguments: Any) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, __name__])
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def _live(folder: Path, until: datetime) -> None:
    from keepwell import Project
    from keepwell.demo import FIRST

    with Project(folder) as project:
        for record in project.backfill(FIRST, until, EVERY):
            if record.status != "done":
                raise AssertionError(record)


def _place(folder: Path) -> str:
    """Where a kill hit: the cycle that is not ended, and the newest step of its build, as a person would look it up."""
    from keepwell import Project

    if not (folder / ".keepwell").is_dir():
        return "before the record"
    with Project(folder) as project:
        cycles = project.cycles(1)
        runs = project.runs(1)
        if not cycles:
            return "before the first cycle"
        cycle = cycles[0]
        if cycle.status != "running":
            return f"{cycle.as_of:%Y-%m-%d}, between cycles"
        if runs and runs[0].cycle == cycle.cycle:
            steps = [step.name for step in project.run_steps(runs[0].run)[1]]
            return f"{cycle.as_of:%Y-%m-%d}, in its build after {steps[-1] if steps else 'nothing'}"
        return f"{cycle.as_of:%Y-%m-%d}, in the cycle"
