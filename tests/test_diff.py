"""Two versions side by side: what was changed is named, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import stores
from projects import BUILT_AT
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli import app
from keepwell.errors import VersionNotFound

pytestmark = pytest.mark.once("compares what other tests read from every store")

LATER = datetime(2026, 1, 20, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def two(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose second version has one line of `features` more to say; only looked at."""
    tiny = stores.copy_project(built, tmp_path_factory.mktemp("two") / "tiny")
    path = tiny / "model.py"
    path.write_text(path.read_text().replace('"warmth", "cloud")', '"warmth", cloud=pl.col("cloud") ** 2)'))
    with Project(tiny) as project:
        project.run(LATER, build=True)
        assert len(project.versions()) == 2
    return tiny


def test_a_version_differs_from_itself_in_nothing(tiny: Path) -> None:
    with Project(tiny) as project:
        found = project.diff(1, "champion")
    assert found.differences == () and found.sentence.startswith("Versions 1 and 1: nothing differs; all ")
    assert found.distributions == () and found.distributed == "" and "in distribution" not in found.as_markdown()


def test_what_was_changed_is_named(two: Path) -> None:
    with Project(two) as project:
        found = project.diff(1, 2)
        by_run = project.diff(project.version(1).run, project.version(2).run)
    assert {one.kind for one in found.differences} == {"code", "contract", "data"}  # the first had none yet
    assert [one.what for one in found.differences if one.kind == "code"] == ["model.py"]
    assert found.answers is not None and found.answers.changed
    assert by_run.as_dict() == found.as_dict()


def test_each_version_is_asked_through_its_own_features(tiny: Path) -> None:
    path = tiny / "model.py"
    path.write_text(path.read_text().replace('"warmth", "cloud")', '"warmth", sky=pl.col("cloud") * 2)'))
    with Project(tiny) as project:
        project.run(LATER, build=True)
        found = project.diff(1, 2)
    assert found.silent is None
    assert found.answers is not None and found.answers.rows > 50 and found.answers.changed


def test_a_feature_whose_values_lie_otherwise_is_told_with_how_far(two: Path) -> None:
    with Project(two) as project:
        found = project.diff(1, 2)
    assert [one.name for one in found.distributions] == ["cloud"]  # squared; neither warmth nor entity, time and label
    assert found.distributions[0].measures["ks"] == pytest.approx(0.25, abs=0.06)  # the most that sqrt(x) - x can be
    assert found.distributed.startswith("1 feature differs in distribution between the training sets. The evidence is ")
    told = found.as_dict()["distributions"][0]
    assert told["name"] == "cloud" and told["sentence"].startswith("down by") and told["measures"]["psi"] > 0.2
    json.dumps(told, allow_nan=False)


def test_a_feature_that_comes_or_goes_is_told_too(tiny: Path) -> None:
    path = tiny / "model.py"
    path.write_text(path.read_text().replace('"warmth", "cloud")', '"warmth", sky=pl.col("cloud"))'))
    with Project(tiny) as project:
        project.run(LATER, build=True)
        found = project.diff(1, 2)
    assert {one.name: one.sentence for one in found.distributions} == {"cloud": "is gone", "sky": "is new"}


def test_days_more_of_the_same_are_no_other_distribution(tiny: Path) -> None:
    with Project(tiny) as project:
        project.run(LATER, build=True)
        found = project.diff(1, 2)
    assert [one.kind for one in found.differences if one.what == "rows"] == ["data"]
    assert found.distributions == () and found.distributed.startswith("No feature differs in distribution")
    assert "No feature differs in distribution" in found.as_markdown()


def test_moments_name_the_versions_that_served(tiny: Path) -> None:
    with Project(tiny) as project:
        assert project.diff(BUILT_AT, LATER).before == 1
        with pytest.raises(VersionNotFound, match="served at 2020"):
            project.diff(datetime(2020, 1, 1, tzinfo=UTC), BUILT_AT)


def test_at_the_command_line_in_three_forms(two: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["-C", str(two), *words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "code: model.py line" in run("diff", "1", "2")
    markdown = run("diff", "1", "2", "--markdown")
    assert markdown.startswith("### Versions 1 and 2: differ in code, contract, data") and "```diff" in markdown
    assert "| Column | What changed | PSI |" in markdown and "| cloud | down by " in markdown
    shown = run("diff", "1", "2")
    assert "1 feature differs in distribution" in shown and "What changed" in shown and "down by" in shown
    assert json.loads(run("diff", "1", "2", "--json"))["distributions"][0]["name"] == "cloud"
    assert "Version 1 is identical" in run("reproduce", "1")
    assert json.loads(run("reproduce", "all", "--json"))["reproductions"][0]["verdict"] == "identical"
