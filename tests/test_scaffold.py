"""`keepwell init`."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime

import pytest

from keepwell import Project
from keepwell.errors import NameInvalid, ProjectExists
from keepwell.preflight import preflight
from keepwell.scaffold import Place, init_weather, scaffold
from keepwell.settings import read

TODAY = date(2026, 3, 1)


def test_the_plain_project_is_ready_and_runs(tmp_path):
    made = scaffold(tmp_path / "visitors", today=TODAY)
    noted = {finding.about: finding.state for finding in preflight(made.folder) if finding.state != "ok"}
    assert noted == {"reference": "note"}, "half a year holds no summer"
    with Project(made.folder) as project:
        record = project.run(datetime(2026, 3, 1, 6, tzinfo=UTC))
        assert project.name == "visitors"
    assert (record.status, record.facts["promoted"]) == ("done", True)


def test_the_readme_is_short(tmp_path):
    scaffold(tmp_path / "visitors")
    assert len((tmp_path / "visitors/README.md").read_text().splitlines()) <= 10


def test_the_weather_project_is_named_after_its_folder(tmp_path):
    made = init_weather(tmp_path / "rain-berlin")
    assert 'name="rain-berlin"' in (made.folder / "rain.py").read_text()
    assert read(made.folder).source.kind == "offutt"


def test_live_weather_asks_open_meteo(tmp_path):
    made = scaffold(tmp_path / "rain", "weather", Place(52.5, 13.4, "Berlin", "Europe/Berlin"), today=TODAY)
    text = (made.folder / "keepwell.toml").read_text()
    settings = tomllib.loads(text)
    assert settings["source"]["kind"] == "open-meteo"
    assert (settings["source"]["latitude"], settings["source"]["station"]) == (52.5, "Berlin")
    assert settings["gather"]["start"] == "2014-01-01"
    assert settings["train"]["degree"] == 2
    assert text.count("[source]") == 1


def test_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.py").write_text("mine")
    with pytest.raises(ProjectExists, match=r"already holds model\.py"):
        scaffold(folder)
    assert [path.name for path in folder.iterdir()] == ["model.py"]
    assert (folder / "model.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["Rain", "2rain", "rain_berlin", "räin"])
def test_a_name_that_cannot_be_a_models_is_refused(tmp_path, name):
    with pytest.raises(NameInvalid, match="lower case letters"):
        scaffold(tmp_path / name)
    assert not (tmp_path / name).exists()
