"""Runs a project's cycle in a process of its own and kills it, with -9, at a named place.

The processes are forked from a server that has imported everything once: a test pays for the work, not for the imports.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

PRELOADED = ["keepwell.orchestration", "keepwell.project", "sklearn.linear_model", "skops.io", "dbos", "alembic.command"]


def start(target: Any, *arguments: Any) -> Any:
    """A process that runs `target(*arguments)`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, __name__])
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def run_in_process(target: Any, *arguments: Any) -> int | None:
    """Run to the end; the exit code, negative when a signal ended it."""
    process = start(target, *arguments)
    process.join(120)
    if process.is_alive():
        process.kill()
        raise AssertionError("the process did not end in two minutes")
    return process.exitcode


def run_and_die(folder: Path, as_of: datetime, step_name: str, when: str) -> None:
    """Run the cycle of a moment and die before, after (done, but not recorded as done) or past (recorded) one step."""
    from keepwell import Project
    from keepwell.orchestration import cycle

    original = cycle.step

    def deadly(name: str, function: Any, *arguments: Any) -> Any:
        def work(*inner: Any) -> Any:
            if name == step_name and when == "before":
                die()
            result = function(*inner)
            if name == step_name and when == "after":
                die()
            return result

        result = original(name, work, *arguments)
        if name == step_name and when == "past":
            die()
        return result

    cycle.step = deadly
    Project(folder).run(as_of)


def run_and_die_past(folder: Path, as_of: datetime, name: str) -> None:
    """Run the cycle of a moment and die when a function of gathering has answered, before its answer is used."""
    from keepwell import Project
    from keepwell.orchestration import gathering

    original = getattr(gathering, name)

    def deadly(*arguments: Any, **named: Any) -> Any:
        original(*arguments, **named)
        die()

    setattr(gathering, name, deadly)
    Project(folder).run(as_of)


def run_clean(folder: Path, *moments: datetime) -> None:
    """Run cycles to their end."""
    from keepwell import Project

    with Project(folder) as project:
        for moment in moments:
            project.run(moment)


def resume_and_go_on(folder: Path, moment: datetime) -> None:
    """Start a worker, as `keepwell up` does, let it finish what was begun, and then run the cycle of a moment."""
    from keepwell import Project

    with Project(folder) as project:
        project.resume()
        assert [cycle.status for cycle in project.cycles()] == ["done"], "what was begun is finished before anything is asked for"
        project.run(moment)


def die() -> None:
    """What kill -9 does: no clean-up, no last words."""
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
