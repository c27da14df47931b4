"""A workflow whose end cannot be written, as on a full disk: whoever waits for it is told, and the next try stands alone."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from crashing import run_and_die, run_in_process
from projects import BUILT_AT, tiny_project

from keepwell import Project
from keepwell.orchestration import building
from keepwell.orchestration.tables import end_cycle

FULL = """
CREATE TRIGGER full BEFORE UPDATE ON workflow_status WHEN NEW.status IN ('SUCCESS', 'ERROR') AND NEW.name = '{name}'
BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END
"""


def ask_twice(folder: Path, name: str) -> None:
    """Take up the cycle of a worker that died while no end of a workflow of that name can be written, and again when it can."""
    from keepwell import Project
    from keepwell.errors import StorageUnavailable
    from keepwell.orchestration import durable

    durable.UNWRITTEN_S = 0.5
    with Project(folder) as project:
        with project.context.database.begin() as connection:
            connection.execute(sa.text(FULL.format(name=name)))
        with pytest.raises(StorageUnavailable, match="could not be written"):
            project.run(BUILT_AT)
        with project.context.database.begin() as connection:
            connection.execute(sa.text("DROP TRIGGER full"))
        assert project.run(BUILT_AT).status == "done"


@pytest.mark.sqlite("a trigger refuses as a full disk does")
@pytest.mark.parametrize("name", ["care", "build"])
def test_who_waits_for_an_end_that_cannot_be_written_is_told(tmp_path: Path, name: str) -> None:
    folder = tiny_project(tmp_path / "tiny")
    assert run_in_process(run_and_die, folder, BUILT_AT, "train", "before") == -signal.SIGKILL
    assert run_in_process(ask_twice, folder, name) == 0
    with Project(folder) as project:
        assert [(cycle.as_of, cycle.status) for cycle in project.cycles()] == [(BUILT_AT, "done")]
        assert [version.number for version in project.versions()] == [1]
        assert project.aliases()["champion"] == 1


def take_up_and_ask(folder: Path) -> None:
    """Start a worker, let it take up what the library holds for unfinished, and then ask for the cycle again."""
    from dbos import DBOS

    from keepwell import Project

    with Project(folder) as project:
        project.engine()
        until = time.monotonic() + 30
        while DBOS.list_workflows(status=["PENDING", "ENQUEUED"]) and time.monotonic() < until:
            time.sleep(0.05)
        assert project.versions() == [], "it went on with an attempt that nobody waits for"
        assert project.run(BUILT_AT).status == "done"


def test_an_attempt_that_was_given_up_makes_no_version_beside_the_next_one(tmp_path: Path) -> None:
    """The record says failed, the workflow library could not write it: it takes the attempt up again when a worker starts."""
    folder = tiny_project(tmp_path / "tiny")
    assert run_in_process(run_and_die, folder, BUILT_AT, "train", "before") == -signal.SIGKILL
    with Project(folder) as project, project.context.database.begin() as connection:
        end_cycle(connection, "tiny", building.cycle_of(BUILT_AT), "failed", "the disk is full", {"asked": False})
    assert run_in_process(take_up_and_ask, folder) == 0
    with Project(folder) as project:
        assert [(cycle.attempt, cycle.status) for cycle in project.cycles()] == [(2, "done")]
        assert [version.number for version in project.versions()] == [1]
        assert [run.status for run in project.runs()] == ["passed", "failed"]
