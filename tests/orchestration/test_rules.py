"""What each build leaves as evidence, and what it refuses by the rules above the model."""

from __future__ import annotations

from pathlib import Path

from projects import BUILT_AT, MODEL, tiny_project

from keepwell import Project


def test_a_banned_feature_stops_the_build_and_the_cycle_says_so(tmp_path: Path) -> None:
    with Project(tiny_project(tmp_path / "tiny", settings='\n[rules]\nbanned = ["Cloud"]\n')) as project:
        project.run(BUILT_AT)
        assert project.versions() == []
        told = project.history(kinds=["build_failed"])
    assert len(told) == 1 and "Feature cloud is banned" in told[0].sentence


def test_a_model_that_differs_each_time_is_told_by_training_twice_on_few_rows(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny")
    restless = MODEL.replace("LogisticRegression(random_state=seed)", "LogisticRegression(C=1 + time.perf_counter() % 1)")
    (folder / "model.py").write_text("import time\n" + restless)
    with Project(folder) as project:
        project.run(BUILT_AT)
        tried = project.versions()[-1].facts["smoke"]
        points = {point.id: point for point in project.score().points}
    assert not tried["identical"] and tried["kept"]
    assert points["I1"].points == 0 and points["I2"].points == 1


def test_a_search_is_on_record_and_what_it_chose_can_be_built_again(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny", settings="\n[train]\nC = 1.0\n\n[search]\nC = [1e-6, 0.5]\n")
    (folder / "model.py").write_text(MODEL.replace("LogisticRegression(", "LogisticRegression(C=settings['C'], "))
    with Project(folder) as project:
        project.run(BUILT_AT)
        version = project.versions()[-1]
        found = version.facts["searched"]
        assert found["values"] == {"C": 0.5} and len(found["tried"]) == 2, "the other one says the same of every day"
        assert '"C": 0.5' in project.card(version.number)
        assert next(point for point in project.score().points if point.id == "M3").points == 1
        assert project.reproduce(version.number).verdict == "identical"
