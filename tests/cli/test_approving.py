"""Trials and people's word at the command line."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from projects import BUILT_AT

from keepwell import Project


@pytest.fixture
def two(tiny: Path) -> Path:
    """Version 2 is champion in place of version 1, which is on probation."""
    with Project(tiny, {"build": {"holdout_days": 60}}) as project:
        project.run(BUILT_AT + timedelta(days=1), build=True)
        project.promote(2, reason="a test", override=True)
    return tiny


def test_trials_are_listed(two, on, document):
    trial = document("trials")["trials"][-1]
    assert (trial["kind"], trial["version"], trial["beside"], trial["status"]) == ("probation", 1, 2, "open")
    assert "probation" in on("trials").stdout


def test_without_a_trial_it_is_said(on):
    assert "No version has been on trial yet" in on("trials").stdout


@pytest.mark.parametrize("act", ["approve", "reject"])
def test_what_does_not_wait_takes_no_word(on, act):
    shown = on(act, "1", "--comment", "why not")
    assert shown.exit_code == 1
    assert "Version 1 of 'tiny' was not approved or rejected" in shown.stderr


def test_the_way_back_is_rehearsed_on_demand(two, on, document):
    found = document("rollback", "--rehearse")
    assert (found["version"], found["passed"], found["rows"]) == (1, True, 32)
    shown = on("rollback", "--rehearse").stdout
    assert "answered its 32 golden rows bit by bit as it did. It took" in shown
    assert "rehearsed" in on("rollback", "--dry-run").stdout
    assert "version 1, rehearsed today" in on("status").stdout


def test_without_a_way_back_nothing_is_rehearsed(on):
    shown = on("rollback", "--rehearse")
    assert shown.exit_code == 1
    assert "there is no former champion to go back to" in shown.stderr


def test_a_rehearsal_that_fails_says_so_and_is_no_success(two, on):
    with Project(two) as project:
        project.context.artifacts.remove(project.version(1).model_file)
    shown = on("rollback", "--rehearse")
    assert shown.exit_code == 1
    assert "nobody can go back to it" in shown.stdout
    refused = on("rollback", "--yes")
    assert refused.exit_code == 1
    assert "is no way back" in refused.stderr
