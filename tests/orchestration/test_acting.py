"""What the policy decides becomes a version that can be repeated, and is on the timeline."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from projects import BUILT_AT
from test_year import OURS, history, lived

from keepwell import Project
from keepwell.orchestration.deciding import act_on
from keepwell.registry import Version
from keepwell.retraining import ROLL_BACK, RetrainDecision

pytestmark = pytest.mark.once("what is decided is arithmetic on rows that other tests read from every store")


def last_version(folder: Path) -> tuple[Version, str, str]:
    """The newest version, how repeating it came out, and what was decided, in words."""
    with Project(folder) as project:
        version = project.versions()[-1]
        decided = " ".join(event.sentence for event in project.history(["decided"]))
        return version, project.reproduce(version.number).verdict, decided


@pytest.fixture(scope="module")
def more_rain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, _, _ = history(tmp_path_factory.mktemp("more") / "tiny", "more rain", 2, OURS)
    lived(folder, until=datetime.fromisoformat("2025-06-02T00:00Z"))
    return folder


def test_a_recalibrated_version_serves_and_comes_out_identical_again(more_rain: Path) -> None:
    version, verdict, decided = last_version(more_rain)
    assert (version.format, version.passed, verdict) == ("recalibrated", True, "identical")
    assert "recalibrate, because" in decided and "it would gain about" in decided
    assert version.facts["recalibrates"] == 1


def test_it_is_no_younger_than_the_version_inside(more_rain: Path) -> None:
    with Project(more_rain) as project:
        first, *_, second = project.versions()
    assert second.facts["aged_from"] == first.facts["trained_until"] < second.facts["trained_until"]


def test_a_changed_relation_is_learned_from_its_own_rows_and_comes_out_identical_again(tmp_path: Path) -> None:
    folder, begins, _ = history(tmp_path / "tiny", "turned round", 2, OURS)
    lived(folder, until=datetime.fromisoformat("2025-06-09T00:00Z"))
    version, verdict, decided = last_version(folder)
    assert (version.passed, verdict) == (True, "identical")
    assert abs((date.fromisoformat(version.facts["trained_from"][:10]) - begins).days) <= 7
    assert version.facts["window_from"][:10] == version.facts["trained_from"][:10]
    assert "the relation has changed in cloud; on the" in decided


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
