"""The weather example as a whole: on its own readings, and on any place through Open-Meteo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from weather_server import WeatherServer, serving

from keepwell import Project
from keepwell.demo import live
from keepwell.scaffold import Place, init_weather, scaffold

FIRST = datetime(1949, 1, 31, tzinfo=UTC)


def test_the_kept_model_beats_the_first_one_and_both_baselines(tmp_path: Path) -> None:
    """Ten years in quarters of a year; the whole stream is `keepwell demo`."""
    init_weather(tmp_path / "rain")
    with Project(tmp_path / "rain") as project:
        outcome = live(project, timedelta(days=91), lambda *_: None, until=datetime(1961, 1, 1, tzinfo=UTC))
        broken = project.quarantine()
    assert outcome.brier_champion < min(outcome.brier_never_retrained, outcome.brier_persistence, outcome.brier_climatology)
    assert outcome.promotions + outcome.refusals >= outcome.versions >= 5
    assert [row["time"].date().isoformat() for row in broken] == ["1958-11-05", "1958-11-06"]
    assert all("sea_level_pressure" in row["reason"] for row in broken)


def test_the_same_model_keeps_any_place_through_open_meteo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaffold(tmp_path / "rain", "weather", place=Place(41.12, -95.91, "KOFF", "UTC"))
    settings = tmp_path / "rain" / "keepwell.toml"
    text = settings.read_text().replace('start = "', 'start = "1949-01-01" # was "')
    settings.write_text(text)
    with serving(WeatherServer()) as server:
        monkeypatch.setenv("KEEPWELL_SOURCE__ARCHIVE_URL", server.settings["archive_url"])
        monkeypatch.setenv("KEEPWELL_SOURCE__FORECAST_URL", server.settings["forecast_url"])
        with Project(tmp_path / "rain") as project:
            cycles = list(project.backfill(FIRST, FIRST + timedelta(days=1100), timedelta(days=110)))
            assert [cycle.status for cycle in cycles] == ["done"] * 11
            assert not project.history(kinds=["source_failed"])
            assert project.aliases()["champion"] == 1
            assert "visibility" not in project.version(1).facts["signature"]
