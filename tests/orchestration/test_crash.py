"""Kill -9 at every boundary: the next start goes on by itself, and the record ends as if nothing had happened."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from crashing import resume_and_go_on, run_and_die, run_and_die_past, run_clean, run_in_process, start
from projects import BUILT_AT, tiny_project

from keepwell import Project
from keepwell.keeping.tables import forget_workflows

NEXT = BUILT_AT + timedelta(days=1)
KEPT = ["gather", "train", "register", "predict"]  # where rows, files, the registry and answers are written
AS_AFTER = pytest.mark.thorough("a kill before a step is nearly the kill after the one before it")
BETWEEN = ["label", "check", "begin", "prepare", "evaluate", "gate", "deploy"]
SAME_WAY = pytest.mark.thorough("the steps between begin anew in the same way")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was never killed."""
    folder = tiny_project(tmp_path_factory.mktemp("undisturbed") / "tiny")
    assert run_in_process(run_clean, folder, BUILT_AT, NEXT) == 0
    return folder


@pytest.mark.parametrize("when", [pytest.param("before", marks=AS_AFTER), "after"])
@pytest.mark.parametrize("step_name", [*KEPT, *(pytest.param(name, marks=SAME_WAY) for name in BETWEEN)])
def test_a_kill_in_any_step_changes_nothing_in_the_end(undisturbed: Path, tmp_path: Path, step_name: str, when: str) -> None:
    folder = tiny_project(tmp_path / "tiny")
    assert run_in_process(run_and_die, folder, BUILT_AT, step_name, when) == -signal.SIGKILL
    assert run_in_process(resume_and_go_on, folder, NEXT) == 0
    assert record_of(folder) == record_of(undisturbed)


@pytest.mark.parametrize("name", ["fetch", "record_gather"])
def test_a_kill_between_the_sources_answer_and_the_commit_changes_nothing_in_the_end(undisturbed: Path, tmp_path: Path, name: str) -> None:
    """The second is inside the transaction that keeps the rows."""
    folder = tiny_project(tmp_path / "tiny")
    assert run_in_process(run_and_die_past, folder, BUILT_AT, name) == -signal.SIGKILL
    assert run_in_process(resume_and_go_on, folder, NEXT) == 0
    assert record_of(folder) == record_of(undisturbed)


@pytest.mark.parametrize("step_name", [*KEPT, *(pytest.param(name, marks=SAME_WAY) for name in BETWEEN)])
def test_a_cycle_whose_workflow_is_forgotten_begins_anew_and_decides_the_same(undisturbed: Path, tmp_path: Path, step_name: str) -> None:
    """As after a restore: only the record is left, not what the workflow library knew."""
    folder = tiny_project(tmp_path / "tiny")
    assert run_in_process(run_and_die, folder, BUILT_AT, step_name, "after") == -signal.SIGKILL
    with Project(folder) as project, project.context.database.begin() as connection:
        assert forget_workflows(connection, "tiny") > 0
    assert run_in_process(resume_and_go_on, folder, NEXT) == 0
    assert record_of(folder) == record_of(undisturbed)


def test_the_next_cycle_first_finishes_the_one_that_was_killed(undisturbed: Path, tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny")
    assert run_in_process(run_and_die, folder, BUILT_AT, "train", "past") == -signal.SIGKILL
    assert run_in_process(run_clean, folder, NEXT) == 0
    assert record_of(folder) == record_of(undisturbed)


def test_two_processes_never_run_one_cycle_twice(undisturbed: Path, tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny")
    processes = [start(run_clean, folder, BUILT_AT, NEXT) for _ in range(2)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert record_of(folder) == record_of(undisturbed)


def test_a_living_process_takes_over_from_a_dead_one(undisturbed: Path, tmp_path: Path) -> None:
    """The dead worker's name is not started again: the second worker, with a name of its own, notices."""
    folder = tiny_project(tmp_path / "tiny")
    run_in_process(run_clean, folder)  # makes the record, so that both start at once
    waiting = start(run_clean, folder, BUILT_AT, NEXT)
    dying = start(run_and_die, folder, BUILT_AT, "evaluate", "before")
    dying.join(120)
    waiting.join(120)
    assert waiting.exitcode == 0
    assert record_of(folder) == record_of(undisturbed)


def record_of(folder: Path) -> dict[str, Any]:
    """Everything a project has decided and kept, without the clock's readings and measured times."""
    with Project(folder) as project:
        context = project.context
        versions = [
            {
                "number": version.number,
                "run": version.run,
                "passed": version.passed,
                "digests": (version.code, version.contract, version.settings, version.training_set, version.facts["canonical"]),
                "golden": version.facts["golden"],
                "metrics": version.facts["metrics"],
                "parent": version.facts["parent"],
            }
            for version in project.versions()
        ]
        tables = {table.name: table.rows().to_dicts() for table in context.tables}
        commits = {table.name: table.last_commit() for table in context.tables}
        return {
            "cycles": [(cycle.cycle, cycle.status, cycle.facts) for cycle in project.cycles()],
            "runs": [(run.run, run.status, [step.name for step in project.run_steps(run.run)[1]]) for run in project.runs()],
            "versions": versions,
            "aliases": [(change.alias, change.number, change.since) for change in project.serving()[1]],
            "history": [(event.kind, event.as_of, event.facts) for event in project.history()],
            "tables": tables,
            "commits": commits,
        }
