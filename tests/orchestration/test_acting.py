"""A decision to go back is carried out once, and by Keepwell only where no person must say so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from projects import BUILT_AT

from keepwell import Project
from keepwell.orchestration.deciding import act_on
from keepwell.retraining import ROLL_BACK, RetrainDecision

pytestmark = pytest.mark.once("what is decided is arithmetic on rows that other tests read from every store")


GO_BACK = RetrainDecision(False, "the model is unwell", None, "the model is unwell: roll back, because version 1 is better", ROLL_BACK)


def gone_back(project: Project) -> int:
    """The champion after a decision to go back, taken twice in one cycle as after a crash."""
    project.run(BUILT_AT + timedelta(days=5), build=True)
    project.promote(2, reason="test", override=True, as_of=BUILT_AT + timedelta(days=5))
    for _ in range(2):
        with project.context.database.begin() as connection:
            act_on(connection, project.context, "cycle", BUILT_AT + timedelta(days=6), GO_BACK)
    return project.aliases()["champion"]


def test_going_back_is_done_once_and_by_keepwell(tiny: Path) -> None:
    with Project(tiny) as project:
        assert gone_back(project) == 1
        back = project.history(["rolled_back"])
        assert [event.facts["by"] for event in back] == ["keepwell"]
        assert [event.facts["act"] for event in project.history(["decided"])] == ["roll back"]


def test_at_high_risk_a_person_goes_back(tiny: Path) -> None:
    with Project(tiny, {"model": {"risk": "high"}}) as project:
        assert gone_back(project) == 2
        assert project.history(["decided"]) and not project.history(["rolled_back"])
