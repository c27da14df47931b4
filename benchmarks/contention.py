"""Many writers on one embedded record: four processes of fifty threads each append, read and flush one table, for real.

    python benchmarks/contention.py [--processes 4] [--threads 50] [--rounds 5]

Predicted before measuring: not one lock error, since threads queue in memory and processes in SQLite for up to half a minute;
a few hundred commits a second while nobody flushes, each synced to the disk; the slowest write waits for a flush or two.
Every commit must be in the table once, with a number of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from keepwell.storage import ArtifactStore, Database, Table

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 5


def open_table(folder: Path) -> tuple[Database, Table]:
    database = Database("sqlite:///record.db", folder)
    artifacts = ArtifactStore("artifacts", folder)
    return database, Table(database, artifacts, str(folder / "tables"), "load/rows", ("writer", "day"), "day")


def work(folder: Path, process: int, threads: int, rounds: int, start: Any, answer: Any) -> None:
    """One process: its threads append in turns, now and then read everything, and one in a hundred flushes."""
    database, table = open_table(folder)
    waits, errors = [], []
    start.wait()

    def write(thread: int) -> None:
        writer = f"{process}-{thread}"
        try:
            for number in range(rounds):
                days = pl.Series([START + timedelta(days=number * ROWS + day) for day in range(ROWS)], dtype=pl.Datetime("us", "UTC"))
                frame = pl.DataFrame({"writer": [writer] * ROWS, "day": days, "value": np.arange(ROWS, dtype=float)})
                begun = time.perf_counter()
                with database.begin() as connection:
                    table.append(connection, f"{writer}/{number}", frame, START)
                waits.append(time.perf_counter() - begun)
                if (thread + number) % 5 == 0:
                    table.rows(since=START + timedelta(days=3))
                if (thread + number) % 100 == 0:
                    table.flush()
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")

    workers = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    database.close()
    answer.put((waits, errors))


def contend(folder: Path, processes: int, threads: int, rounds: int) -> dict[str, Any]:
    """Let them all loose on a new record in `folder`; what was seen."""
    database, table = open_table(folder)
    context = multiprocessing.get_context("spawn")
    start, answer = context.Barrier(processes + 1), context.Queue()
    workers = [context.Process(target=work, args=(folder, number, threads, rounds, start, answer)) for number in range(processes)]
    for worker in workers:
        worker.start()
    start.wait()
    begun = time.perf_counter()
    answers = [answer.get() for _ in workers]
    seconds = time.perf_counter() - begun
    for worker in workers:
        worker.join()
    table.flush()
    rows = table.rows()
    commits = processes * threads * rounds
    database.close()
    return {
        "errors": [error for _, errors in answers for error in errors],
        "waits": np.array([wait for waits, _ in answers for wait in waits]),
        "commits": commits,
        "seconds": seconds,
        "kept once": rows.height == commits * ROWS and rows["_commit"].n_unique() == commits == rows["_commit"].max(),
    }


def main() -> None:
    options = argparse.ArgumentParser()
    for name, default in (("--processes", 4), ("--threads", 50), ("--rounds", 5)):
        options.add_argument(name, type=int, default=default)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = contend(Path(folder), chosen.processes, chosen.threads, chosen.rounds)
    middle, slow = np.quantile(seen["waits"], [0.5, 0.99]) if seen["waits"].size else (np.nan, np.nan)
    print(f"{chosen.processes} processes of {chosen.threads} threads: {seen['commits']} commits in {seen['seconds']:.1f} s")
    slowest = seen["waits"].max(initial=0)
    print(f"a write waits {middle * 1e3:.0f} ms in the middle, {slow * 1e3:.0f} ms for one in a hundred, {slowest:.1f} s at most")
    print(f"errors: {len(seen['errors'])}; every commit kept once: {seen['kept once']}")
    raise SystemExit(bool(seen["errors"]) or not seen["kept once"])


if __name__ == "__main__":
    main()
