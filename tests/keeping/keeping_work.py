"""What the tests of keeping do in processes of their own, and how they look at a record."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from projects import BUILT_AT, tiny_project

DAYS = 6
EVERY = timedelta(days=1)
OFTEN = "\n[store]\nflush_commits = 2\n"
ABOUT_COPIES = ("backed_up", "restored", "cleaned")


def work(folder: Path) -> None:
    """A week of cycles, as `keepwell backfill` runs them."""
    from keepwell import Project

    with Project(folder) as project:
        for _ in project.backfill(BUILT_AT, BUILT_AT + DAYS * EVERY, EVERY):
            pass


def answer_for_ever(folder: Path, acknowledged: Path) -> None:
    """A server's side: answers go to the journal, and are noted once they are acknowledged."""
    import json

    from keepwell.serving import Journal

    with open(acknowledged, "a") as noted, Journal(folder / ".keepwell/journal", segment_s=0.1) as journal:
        number = 0
        while True:
            number += 1
            record = {
                "prediction_id": f"asked-{number}",
                "entity": "",
                "time": "2026-01-15T00:00:00+00:00",
                "version": 1,
                "answer": 0.5,
                "made_at": "2026-01-15T07:00:00+00:00",
                "origin": "api",
                "inputs": "{}",
            }
            journal.append(json.dumps(record).encode()).result()
            noted.write(f"asked-{number}\n")
            noted.flush()
            time.sleep(0.005)


def back_up_and_die(folder: Path, target: Path, seed: int) -> None:
    """Begin a backup and be killed, with -9, at a random moment of it."""
    from keepwell import Project

    draw = random.Random(seed)
    with Project(folder) as project:
        places = draw.randrange(1, 24)

        def told(done: int, total: int) -> None:
            if done == places:
                # A thread, so that the kill falls somewhere in the writing and not always between two files.
                threading.Timer(draw.random() * 0.01, os.kill, (os.getpid(), signal.SIGKILL)).start()

        project.backup(target, told=told)
        time.sleep(1)


def restore_and_die(target: str, folder: Path, seed: int) -> None:
    """Begin a restore and be killed, with -9, at a random moment of it."""
    from keepwell.keeping import open_backup, restore

    draw = random.Random(seed)
    threading.Timer(draw.random() * 0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
    restore(open_backup(target), folder, check=True)
    time.sleep(1)


def summary(folder: Path) -> dict[str, Any]:
    """Everything a project has decided and kept, without the clock's readings and what is about copies."""
    from keepwell import Project

    with Project(folder) as project:
        return {
            "cycles": [(cycle.cycle, cycle.status, cycle.facts) for cycle in project.cycles()],
            "runs": [(run.run, run.status, [step.name for step in project.run_steps(run.run)[1]]) for run in project.runs()],
            "versions": [
                (version.number, version.passed, version.code, version.training_set, version.facts["golden"], version.facts["metrics"])
                for version in project.versions()
            ],
            "aliases": [(change.alias, change.number, change.since, change.reason) for change in project.serving()[1]],
            "history": [(event.kind, event.as_of, event.facts) for event in project.history() if event.kind not in ABOUT_COPIES],
            "tables": {table.name: table.rows().drop("_known", strict=False).to_dicts() for table in project.context.tables},
        }


def with_rows(folder: Path, origin: Path) -> Path:
    """The source's file is not Keepwell's, so a copy does not bring it."""
    shutil.copy(origin / "rows.csv", folder / "rows.csv")
    return folder


def often(folder: Path) -> Path:
    """A tiny project that moves commits into Delta every other cycle."""
    return tiny_project(folder, settings=OFTEN)
