"""A challenger beside the champion, end to end: unseen answers, a verdict, promotion, probation, the way back by itself, people's word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stores
from projects import BUILT_AT, OPEN_GATE, dull_project

from keepwell import Project
from keepwell.errors import ApprovalRefused, PromotionRefused, RollbackRefused

DAY = timedelta(days=1)


def opened(folder: Path, *, c: float = 1e-7, **promotion: Any) -> Project:
    return Project(folder, {"train": {"c": c}, "gate": OPEN_GATE, "promotion": promotion, "watch": {"on": False}})


LONG = pytest.mark.once("months of cycles; the tables of trials are written by the shorter tests too")


@pytest.fixture(scope="module")
def dull(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dull version 1 is champion, and it is BUILT_AT."""
    folder = dull_project(tmp_path_factory.mktemp("dull") / "tiny")
    with opened(folder) as project:
        assert project.run(BUILT_AT).facts["promoted"]
    return folder


@pytest.fixture(scope="module")
def on_trial(dull: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A better version 2 has passed the gate and is on trial."""
    folder = stores.copy_project(dull, tmp_path_factory.mktemp("on_trial") / "tiny")
    with opened(folder, c=1.0, trial_days=40) as project:
        project.run(BUILT_AT + DAY, build=True)
    return folder


@pytest.fixture(scope="module")
def after_trial(on_trial: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It has lived on until day 37."""
    folder = stores.copy_project(on_trial, tmp_path_factory.mktemp("after_trial") / "tiny")
    with opened(folder, c=1.0, trial_days=40) as project:
        live(project, 5, 37)
    return folder


@pytest.fixture
def folder(dull: Path, tmp_path: Path) -> Path:
    return stores.copy_project(dull, tmp_path / "tiny")


@pytest.fixture
def project(on_trial: Path, tmp_path: Path) -> Iterator[Project]:
    with opened(stores.copy_project(on_trial, tmp_path / "tiny"), c=1.0, trial_days=40) as project:
        yield project


@pytest.fixture
def promoted(after_trial: Path, tmp_path: Path) -> Iterator[Project]:
    with opened(stores.copy_project(after_trial, tmp_path / "tiny"), c=1.0, trial_days=40) as project:
        yield project


def live(project: Project, first: int, last: int, every: int = 4) -> None:
    for day in range(first, last + 1, every):
        project.run(BUILT_AT + day * DAY)


def kinds(project: Project) -> list[str]:
    return [event.kind for event in project.history()]


def test_a_version_that_passed_the_gate_answers_unseen_first(project: Project) -> None:
    assert project.aliases() == {"champion": 1, "challenger": 2}
    live(project, 3, 11)
    told, unseen = project.context.predictions.rows(), project.context.shadows.rows()
    assert set(told["version"]) == {1}
    assert set(unseen["version"]) == {2}
    assert set(unseen["role"]) == {"shadow"}
    assert set(unseen["prediction_id"]) == set(told.filter(pl.col("time") >= BUILT_AT + DAY)["prediction_id"])
    (trial,) = project.trials()
    assert (trial["kind"], trial["status"]) == ("shadow", "open")
    assert "lower on" in trial["shows"]
    assert project.status().trial is not None
    (coming,) = [act for act in project.next(BUILT_AT + 11 * DAY).acts if act.name in ("trial", "promote")]
    assert (coming.name, coming.held_by) == ("trial", ()), "nobody is asked while the trial goes on"
    assert coming.when is not None and coming.when > BUILT_AT + 11 * DAY


def test_unseen_answers_are_what_the_version_would_have_told(project: Project) -> None:
    live(project, 3, 11)
    unseen = project.context.shadows.rows()
    predictor = project.context.predictor(2)
    made = predictor.features(project.context.observations.rows())
    told = dict(zip(made["day"], predictor.answer(made), strict=True))
    assert [told[time] for time in unseen["time"]] == unseen["answer"].to_list()


@LONG
def test_a_version_with_other_features_makes_them_with_its_own_code(folder: Path) -> None:
    model = folder / "model.py"
    more = 'return observations.select("site", "day", "warmth", "cloud", twice=pl.col("cloud") * 2)'
    model.write_text(model.read_text().replace('return observations.select("site", "day", "warmth", "cloud")', more))
    with opened(folder, c=1.0, trial_days=40) as project:
        project.run(BUILT_AT + DAY, build=True)
        assert set(project.version(2).facts["signature"]) == {"warmth", "cloud", "twice"}
        project.answer([{"warmth": 1.0, "cloud": 0.5}], time=BUILT_AT + 2 * DAY)  # by hand: nothing to make `twice` from
        live(project, 3, 11)
        unseen, predictor = project.context.shadows.rows(), project.context.predictor(2)
        made = predictor.features(project.context.observations.rows())
        told = dict(zip(made["day"], predictor.answer(made), strict=True))
        assert unseen.height == 10  # the cycles' own rows, and not the one by hand
        assert [told[time] for time in unseen["time"]] == unseen["answer"].to_list()


def test_it_is_promoted_without_a_person_when_it_proves_better(promoted: Project) -> None:
    assert promoted.aliases()["champion"] == 2
    assert "proven better" in promoted.history(["promoted"])[-1].sentence
    assert [trial["status"] for trial in promoted.trials()] == ["promoted", "open"]
    assert promoted.trials()[1]["kind"] == "probation"


@LONG
def test_when_nothing_is_proven_in_time_all_days_decide_together(folder: Path) -> None:
    with opened(folder, c=1.0, trial_days=6) as project:
        project.run(BUILT_AT + DAY, build=True)
        live(project, 4, 8)
        assert project.aliases()["champion"] == 2
        assert "nothing proven in time" in project.history(["promoted"])[-1].sentence


def test_a_challenger_that_cannot_answer_is_let_go(project: Project) -> None:
    version = project.version(2)
    project.context.artifacts.remove(version.model_file)
    live(project, 9, 45, every=12)
    assert project.aliases() == {"champion": 1}
    assert "could not answer" in project.history(["dismissed"])[-1].sentence


def test_a_newer_challenger_takes_its_place_and_the_deadline_stays(project: Project) -> None:
    project.run(BUILT_AT + 5 * DAY, build=True)
    first, second = project.trials()
    assert (first["status"], second["status"]) == ("superseded", "open")
    assert first["until"] == second["until"]
    assert project.aliases()["challenger"] == 3


@LONG
def test_keepwell_returns_by_itself_to_the_better_one_and_does_not_take_the_other_again(promoted: Project) -> None:
    promoted.run(BUILT_AT + 41 * DAY)
    with opened(promoted.folder) as dull:
        dull.run(BUILT_AT + 42 * DAY, build=True)
        assert dull.history(["refused"])[-1].facts["version"] == 3
        dull.promote(3, reason="a mistake", override=True, as_of=BUILT_AT + 42 * DAY)
        live(dull, 46, 98)
        assert dull.aliases()["champion"] == 2
        (returned,) = dull.history(["returned"])
        assert "proved better" in returned.sentence
        assert returned.facts == {"version": 2, "before": 3, "by": "keepwell"}
        assert dull.history(["rehearsed"])[-1].facts["passed"]


@LONG
def test_a_probation_that_shows_nothing_ends_and_the_champion_stays(promoted: Project) -> None:
    with opened(promoted.folder, c=1.0, probation_days=10) as same:
        same.run(BUILT_AT + 41 * DAY, build=True)
        same.promote(3, reason="as good", override=True, as_of=BUILT_AT + 41 * DAY)
        live(same, 45, 53)
        assert same.aliases()["champion"] == 3
        assert same.history(["stayed"])[-1].facts["version"] == 3
        assert same.history(["returned"]) == []


@LONG
def test_the_same_model_again_is_not_promoted_by_itself_after_it_was_gone_back_from(folder: Path) -> None:
    with opened(folder, c=1.0, mode="auto") as project:
        project.run(BUILT_AT + DAY, build=True)
        assert project.aliases()["champion"] == 2
        project.rollback(reason="no", as_of=BUILT_AT + 2 * DAY)
        found = project.version(2)
        project.run(BUILT_AT + 3 * DAY, build=True)
        again = project.version(3)
        if again.facts["canonical"] == found.facts["canonical"]:
            assert project.aliases()["champion"] == 1
            assert "gone back from" in project.history(["dismissed"])[-1].sentence


# --- people -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(folder: Path) -> Iterator[Project]:
    """Two people must approve version 2, which waits."""
    with opened(folder, c=1.0, mode="approve", approvals=2) as project:
        project.run(BUILT_AT + DAY, build=True)
        yield project


def test_two_people_are_two_people(waiting: Project) -> None:
    asker = waiting.history(["asked"])[-1].facts["by"]
    first = waiting.approve("challenger", comment="looks right", by=asker)
    assert (first.has, first.needed) == (1, 2)
    assert "cannot do it alone" in first.sentence
    with pytest.raises(ApprovalRefused, match="has approved it already, and one person more must"):
        waiting.approve(2, by=asker)
    with pytest.raises(PromotionRefused, match="2 people must approve it and 1 has"):
        waiting.promote(2, reason="around them")
    assert waiting.aliases()["champion"] == 1
    assert waiting.approve(2, by="mira").has == 2
    assert waiting.aliases() == {"champion": 2, "previous": 1}
    assert waiting.history(["promoted"])[-1].facts["by"] == f"{asker} and mira"
    assert waiting.history(["approved"])[0].facts["comment"] == "looks right"


def test_of_two_words_at_once_one_counts(waiting: Project) -> None:
    waiting.approve(2, by="mira")
    assert waiting.reject(2, by="jon", comment="too soon") == "jon rejected version 2: too soon"
    with pytest.raises(ApprovalRefused, match="jon rejected version 2: too soon"):
        waiting.approve(2, by="ada")
    assert waiting.aliases() == {"champion": 1}
    assert [trial["status"] for trial in waiting.trials()] == ["rejected"]


def test_what_is_no_challenger_cannot_be_approved(waiting: Project) -> None:
    with pytest.raises(ApprovalRefused, match=r"Version 1 of 'tiny'.*became champion"):
        waiting.approve(1)


@LONG
def test_in_shadow_mode_people_are_asked_once_the_trial_is_over(folder: Path) -> None:
    with opened(folder, c=1.0, trial_days=6, approvals=1) as project:
        project.run(BUILT_AT + DAY, build=True)
        live(project, 4, 8)
        assert project.aliases()["champion"] == 1
        assert "is ready" in project.history(["waiting"])[-1].sentence
        project.approve(2, by="mira")
        assert project.aliases()["champion"] == 2


# --- the way back -----------------------------------------------------------------------------------------------------


def test_the_way_back_is_rehearsed_after_a_promotion(promoted: Project) -> None:
    (rehearsed,) = promoted.history(["rehearsed"])
    assert (rehearsed.facts["version"], rehearsed.facts["passed"], rehearsed.facts["rows"]) == (1, True, 32)
    assert promoted.status(rehearsed.as_of).way_back.startswith("version 1, rehearsed today, ")  # type: ignore[union-attr]


def test_a_version_whose_rehearsal_fails_is_no_way_back(promoted: Project) -> None:
    promoted.context.artifacts.remove(promoted.version(1).model_file)
    assert not promoted.rehearse_rollback().passed
    with pytest.raises(RollbackRefused, match=r"version 1 is no way back: its rehearsal of .* failed"):
        promoted.rollback(reason="a test")
    assert promoted.aliases()["champion"] == 2
    assert "failed today" in (promoted.status().way_back or "")
    promoted.rollback(reason="a test", override=True)
    assert promoted.aliases()["champion"] == 1


def test_a_rollback_rehearses_first(promoted: Project) -> None:
    promoted.rollback(reason="a test")
    assert [event.facts["version"] for event in promoted.history(["rehearsed"])] == [1, 1]
    assert [trial["status"] for trial in promoted.trials()] == ["promoted", "stopped"]
    assert [told.kept.notice.kind for told in promoted.notify.list()].count("model.rolled_back") == 1
