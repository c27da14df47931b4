"""A build repeats bit by bit from what was pinned; what no longer does is named: exactly that, and nothing else."""

from __future__ import annotations

import importlib.metadata
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stores
from projects import BUILT_AT, MODEL, tiny_project

from keepwell import Project
from keepwell.errors import EnvironmentMismatch, RunNotFound, VersionNotFound
from keepwell.orchestration import Reproduction
from keepwell.training import environment

LATER = datetime(2026, 1, 20, 6, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh_environment() -> Any:
    """What is installed is looked up once a process; these tests pretend otherwise."""
    yield
    forget()


def forget() -> None:
    from keepwell.training import environment as module_function
    from keepwell.training.environment import _closure

    module_function.cache_clear()
    _closure.cache_clear()


def reproduce(folder: Path, ref: int | str = 1, *, here: bool = False) -> Reproduction:
    with Project(folder) as project:
        return project.reproduce(ref, here=here)


def replaced(path: Path, before: str, after: str) -> int:
    """Change one line of a file; its number."""
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    return text[: text.index(before)].count("\n") + 1


def sentences(found: Reproduction) -> list[str]:
    return [one.sentence for one in (*found.because, *found.moved)]


def test_a_version_repeats_bit_by_bit(tiny: Path) -> None:
    found = reproduce(tiny)
    assert (found.verdict, found.step, found.because, found.moved, found.aside) == ("identical", None, (), (), ())
    assert [step.name for step in found.steps] == ["prepare", "train", "evaluate", "gate"]
    assert all(step.recorded == step.found for step in found.steps)


def test_later_days_change_nothing_about_it(tiny: Path) -> None:
    with Project(tiny) as project:
        project.run(LATER)
    for here in (False, True):
        found = reproduce(tiny, here=here)
        assert (found.verdict, sentences(found)) == ("identical", [])


def test_by_alias_and_by_run_it_is_the_same(tiny: Path) -> None:
    with Project(tiny) as project:
        run = project.version(1).run
    assert [reproduce(tiny, ref).sentence for ref in ("champion", run)] == ["Version 1 is identical"] * 2


def test_a_copy_in_another_folder_repeats(tiny: Path, tmp_path: Path) -> None:
    stores.copy_project(tiny, tmp_path / "elsewhere")
    assert reproduce(tmp_path / "elsewhere").verdict == "identical"


def test_two_projects_that_live_the_same_have_the_same_identities(built: Path, tmp_path: Path) -> None:
    identities = []
    for folder in (built, tiny_project(tmp_path / "other")):
        with Project(folder) as project:
            project.run(BUILT_AT)  # the one that is built says what it did
            steps = project.run_steps(project.version(1).run)[1]
            identities.append({step.name: step.identity for step in steps if step.name != "gate"})  # the gate looks at latency
    assert identities[0] == identities[1]


def test_it_leaves_the_record_alone(tiny: Path) -> None:
    with Project(tiny) as project:
        before = (project.versions(), project.history(), project.runs(), sorted(one.name for one in project.context.artifacts.list()))
        project.reproduce(1)
        after = (project.versions(), project.history(), project.runs(), sorted(one.name for one in project.context.artifacts.list()))
        assert before == after
        assert [proof.verdict for proof in project.proofs()] == ["identical"]


def test_a_changed_line_of_features_is_named(tiny: Path) -> None:
    line = replaced(tiny / "model.py", '"warmth", "cloud")', '"warmth", cloud=pl.col("cloud") * 1.5)')
    pinned, here = reproduce(tiny), reproduce(tiny, here=True)
    assert pinned.verdict == "identical"
    assert sentences(pinned) == sentences(here) == [f"code: model.py line {line}"]
    assert (here.verdict, here.step) == ("differs", "prepare")
    assert here.change is not None and here.change["largest"] > 0


def test_a_comment_changes_nothing_but_is_told(tiny: Path) -> None:
    path = tiny / "model.py"
    path.write_text(path.read_text() + "# a word\n")
    here = reproduce(tiny, here=True)
    assert here.verdict == "identical"


def test_a_restated_reading_is_named(tiny: Path) -> None:
    rows = pl.read_csv(tiny / "rows.csv")
    day = rows["day"][378]
    warmer = pl.when(pl.col("day") == day).then(pl.col("warmth") + 3).otherwise(pl.col("warmth"))
    rows.with_columns(warmth=warmer).write_csv(tiny / "rows.csv")
    with Project(tiny) as project:
        project.run(LATER)
    pinned, here = reproduce(tiny), reproduce(tiny, here=True)
    assert pinned.verdict == "identical"
    assert len(sentences(pinned)) == 1 and sentences(pinned) == sentences(here)
    assert sentences(pinned)[0].startswith(f"data: 1 row differs in column warmth (north, {day}: ")
    assert (here.verdict, here.step) == ("differs", "prepare")


def test_a_changed_setting_and_a_changed_seed_are_named(tiny: Path) -> None:
    replaced(tiny / "keepwell.toml", "holdout_days = 100", "holdout_days = 90\nseed = 11")
    assert sorted(sentences(reproduce(tiny))) == ["seed: 7 -> 11", "setting: build.holdout_days 100.0 -> 90.0"]
    here = reproduce(tiny, here=True)
    assert (here.verdict, here.step) == ("differs", "train")


def test_a_changed_package_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    then = real("scikit-learn")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.1" if name == "scikit-learn" else real(name))
    forget()
    found = reproduce(tiny)
    assert found.verdict == "identical"
    assert [one.sentence for one in found.aside] == [f"package: scikit-learn {then} -> 99.1"]
    assert found.sentence == f"Version 1 is identical, although package: scikit-learn {then} -> 99.1"


def test_other_packages_are_refused_when_the_deployment_says_so(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    path = tiny / "keepwell.toml"
    path.write_text(path.read_text() + '\n[serve]\npackages = "refuse"\n')
    with Project(tiny) as project:
        project.context.predictor(1)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.1" if name == "scikit-learn" else real(name))
    forget()
    with Project(tiny) as project, pytest.raises(EnvironmentMismatch, match=r"scikit-learn .* -> 99\.1"):
        project.context.predictor(1)


def test_tools_beside_it_change_no_identity() -> None:
    from keepwell.training import needed_packages

    needed = needed_packages({"model.py": MODEL})
    assert "pytest" in environment() and "pytest" not in needed
    assert {"python", "keepwell", "polars", "scikit-learn", "numpy"} <= needed.keys()


def test_a_nondeterministic_training_is_found_and_measured(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "dice")
    replaced(folder / "model.py", "LogisticRegression(random_state=seed).fit(X, y)", "LogisticRegression(C=10 ** noise()).fit(X, y)")
    text = (folder / "model.py").read_text()
    noise = "def noise():\n    return os.urandom(1)[0] / 256\n\n\ndef train"
    (folder / "model.py").write_text("import os\n" + text.replace("def train", noise))
    with Project(folder) as project:
        project.run(BUILT_AT)
        found = project.reproduce(1)
        assert (found.verdict, found.step) == ("nondeterministic", "train")
        assert found.change is not None and 0 < found.change["mean"] <= found.change["largest"] < 0.5
        assert [(proof.verdict, proof.step) for proof in project.proofs()] == [("nondeterministic", "train")]


def test_a_build_that_failed_fails_again(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "bad")
    replaced(folder / "model.py", "    return LogisticRegression", '    raise ValueError("no rain")\n    return LogisticRegression')
    with Project(folder) as project:
        project.run(BUILT_AT)
        run = project.runs()[0]
        assert run.status == "failed"
        found = project.reproduce(run.run)
        assert (found.verdict, found.version) == ("identical", None)
        assert [(step.name, step.found) for step in found.steps][-1] == ("train", run.sentence)


def test_a_file_that_is_edited_while_it_trains_is_noticed(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "busy")
    here = f'    __import__("pathlib").Path({str(folder / "edited.py")!r}).write_text("# new")\n    return LogisticRegression'
    replaced(folder / "model.py", "    return LogisticRegression", here)
    with Project(folder) as project:
        project.run(BUILT_AT)
        told = [event.sentence for event in project.history(["edited"])]
        assert told == ["edited.py changed while version 1 was built; it is of the code as it was when the build began"]
        assert project.run_steps(project.version(1).run)[0].facts["code"] == project.version(1).code


def test_what_is_not_there_is_refused(tiny: Path) -> None:
    with Project(tiny) as project:
        with pytest.raises(VersionNotFound):
            project.reproduce(7)
        with pytest.raises(RunNotFound):
            project.reproduce("build-nothing")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a git command line like ours")
def test_the_commit_of_a_work_tree_is_kept(tmp_path: Path) -> None:
    import subprocess

    folder = tiny_project(tmp_path / "work")
    (folder / ".gitignore").write_text(".keepwell\nrows.csv\ncontract.toml\n")
    ask = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*ask, *arguments], check=True)
    with Project(folder) as project:
        project.run(BUILT_AT)
        git = project.runs()[0].facts["git"]
    assert len(git["commit"]) == 40 and git["changed"] is False
