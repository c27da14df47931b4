"""Policies live through the same kept history, and the record stays what it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from projects import tiny_project
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli import app
from keepwell.errors import EmptyWindow, SettingInvalid, SettingUnknown
from keepwell.rehearsal import BUILT_IN, Rehearsal, read_policies
from keepwell.rehearsal.outcomes import Alarm, false_alarms, rolling_loss

pytestmark = pytest.mark.sqlite("replays in a record of its own, which is SQLite")

DAY = datetime(2025, 6, 1, tzinfo=UTC)
FOUR_WEEKS = timedelta(days=28)


@pytest.fixture(scope="module")
def kept(built: Path) -> Path:
    return built


def rehearsed(folder: Path, *names: str, workers: int = 1) -> Rehearsal:
    with Project(folder) as project:
        return project.rehearse(read_policies(names), since=DAY + 5 * FOUR_WEEKS, every=FOUR_WEEKS, workers=workers)


def test_never_builds_once_and_monthly_each_time(kept: Path) -> None:
    found = rehearsed(kept, "never", "monthly")
    never, monthly = found.outcomes
    assert (never.builds, never.promotions) == (1, 1)
    assert monthly.builds == monthly.cycles == never.cycles == 4
    assert never.rows == monthly.rows > 50
    assert 0 < never.score < 0.25
    assert found.target is not None and found.sentence


def test_it_does_not_matter_in_how_many_processes(kept: Path) -> None:
    alone, beside = rehearsed(kept, "never", "yearly"), rehearsed(kept, "never", "yearly", workers=2)
    for one, other in zip(alone.outcomes, beside.outcomes, strict=True):
        assert (one.score, one.builds, one.rolling) == (other.score, other.builds, other.rolling)


def test_the_record_is_only_read(kept: Path) -> None:
    with Project(kept) as project:
        before = (project.history(), project.versions(), project.cycles())
    rehearsed(kept, "monthly")
    with Project(kept) as project:
        assert (project.history(), project.versions(), project.cycles()) == before


def test_settings_of_the_environment_do_not_reach_a_rehearsal(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rehearsed(kept, "never")
    monkeypatch.setenv("KEEPWELL_STORE__TABLES", "/nowhere/at/all")
    with Project(kept, {"store": {"tables": str(kept / ".keepwell/tables")}}) as project:
        again = project.rehearse(read_policies(["never"]), since=DAY + 5 * FOUR_WEEKS, every=FOUR_WEEKS, workers=1)
    assert again.outcomes[0].score == found.outcomes[0].score


def test_a_policy_of_ones_own(kept: Path, tmp_path: Path) -> None:
    file = tmp_path / "weekly.toml"
    file.write_text('what = "every eight weeks"\n[retrain]\nevery_days = 56\ncooldown_days = 0\n')
    outcome = rehearsed(kept, str(file)).outcomes[0]
    assert (outcome.policy, outcome.what, outcome.builds) == ("weekly", "every eight weeks", 2)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        pytest.param("[retrain]\nevery_day = 3\n", SettingUnknown, "retrain.every_days", id="unknown setting"),
        pytest.param('[store]\ndatabase = "x"\n', SettingInvalid, "a policy has only", id="a section of no policy"),
        pytest.param("[retrain\n", SettingInvalid, "not TOML", id="no TOML"),
        pytest.param("retrain = 3\n", SettingUnknown, "retrain", id="no table"),
    ],
)
def test_a_wrong_policy_is_refused_before_anything_is_run(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(error, match=words):
        read_policies([str(file)])


def test_an_impossible_value_is_refused(kept: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[retrain]\nevery_days = -3\n")
    with pytest.raises(SettingInvalid, match="every_days"):
        rehearsed(kept, str(file))


def test_no_such_policy_and_one_twice_are_refused() -> None:
    with pytest.raises(SettingInvalid, match="never, monthly"):
        read_policies(["sometimes"])
    with pytest.raises(SettingInvalid, match="two policies"):
        read_policies(["never", "never"])
    assert list(BUILT_IN) == ["never", "monthly", "yearly", "on-decline", "as-is"]


def test_nothing_kept_is_nothing_to_rehearse(tmp_path: Path) -> None:
    with Project(tiny_project(tmp_path / "tiny")) as project, pytest.raises(EmptyWindow, match="kept observations"):
        project.rehearse(read_policies(["never"]))


def test_the_command_shows_a_table_and_writes_a_page(kept: Path, tmp_path: Path) -> None:
    words = ["-C", str(kept), "rehearse", "--policy", "never", "--policy", "as-is", "--from", "2025-10-19", "--every", "28d"]
    words += ["--workers", "1"]
    shown = CliRunner().invoke(app, [*words, "--html", str(tmp_path / "page.html")])
    assert shown.exit_code == 0, shown.stderr
    assert "never" in shown.stdout and "as-is" in shown.stdout and "has the lowest brier" in shown.stdout
    page = (tmp_path / "page.html").read_text()
    assert "<svg" in page and "http" not in page.replace("http://www.w3.org", "")
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert [one["policy"] for one in found["outcomes"]] == ["never", "as-is"]


def test_the_rolling_loss_is_the_mean_of_its_window() -> None:
    days = pl.DataFrame({"day": [DAY + timedelta(days=n) for n in range(4)], "loss": [2.0, 4.0, 6.0, 2.0], "rows": [2, 2, 2, 2]})
    found = rolling_loss(days.with_columns(pl.col("day").cast(pl.Datetime("us", "UTC"))), 2, 4)
    assert found["loss"].to_list() == [1.5, 2.5, 2.0]


def test_an_alarm_is_false_when_the_loss_was_not_above_what_was_expected() -> None:
    times = [DAY + timedelta(days=n) for n in range(10)]
    kinds = {"time": pl.Datetime("us", "UTC")}
    rows = pl.DataFrame({"time": times, "version": [1] * 10, "loss": [0.2] * 5 + [0.4] * 5}, schema_overrides=kinds)
    alarms = [Alarm(1, times[0], times[2], times[4]), Alarm(1, times[5], times[6], None)]
    assert false_alarms(alarms, rows, {1: 0.25}) == 1
