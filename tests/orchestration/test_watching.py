"""The champion is watched cycle by cycle: a decline is told once, with its beginning, and its state survives a kill."""

from __future__ import annotations

import json
import signal
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import stores
from crashing import run_and_die, run_clean, run_in_process
from projects import MODEL, SETTINGS
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli import app
from keepwell.diagnosis import Began, Cause, Explanation
from keepwell.incidents import end_of
from keepwell.monitoring import Signal, Watch, get_watch, get_watch_state
from keepwell.orchestration.watching import _ended, _plainly, _said, ended_at, faults_of

pytestmark = pytest.mark.once("what is found is arithmetic on rows that other tests read from every store")

SITES = ("north", "south", "east", "west", "middle")
FIRST = date(2025, 1, 1)
BUILT = datetime(2026, 3, 1, 6, tzinfo=UTC)
FAULT = date(2026, 4, 10)
WEEK = timedelta(days=7)
UNTIL = BUILT + 14 * WEEK
WATCHED = SETTINGS.replace("holdout_days = 100", "holdout_days = 240") + "\n[retrain]\non_decline = false\n"


def sites(folder: Path, *, fault: bool) -> Path:
    """Five sites; with a fault, rain begins to follow cloud the other way round on one day."""
    draw = np.random.default_rng(11)
    days = [FIRST + timedelta(days=place) for place in range(530)]
    rows = pl.DataFrame({"site": [site for _ in days for site in SITES], "day": [day for day in days for _ in SITES]})
    cloud = draw.uniform(0, 1, rows.height)
    chance = 1 / (1 + np.exp(-6 * (cloud - 0.5)))
    rain = (draw.uniform(size=rows.height) < chance).astype(int)
    if fault:
        rain = np.where((rows["day"] >= FAULT).to_numpy(), 1 - rain, rain)
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder / "keepwell.toml").write_text(stores.with_stores(WATCHED))
    warmth = pl.Series(draw.normal(10, 5, rows.height)).round(2)
    rows.with_columns(warmth=warmth, cloud=pl.Series(cloud).round(3), rain=pl.Series(rain)).write_csv(folder / "rows.csv")
    return folder


def lived(folder: Path, until: datetime = UNTIL) -> Path:
    with Project(folder) as project:
        for record in project.backfill(BUILT, until, WEEK):
            assert record.status == "done", record
    return folder


@pytest.fixture(scope="module")
def declined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen weeks, in the sixth of which the relation turns round."""
    return lived(sites(tmp_path_factory.mktemp("declined") / "tiny", fault=True))


def test_a_decline_is_told_once_with_its_beginning_and_cause(declined: Path) -> None:
    with Project(declined) as project:
        found = project.why()
        told = [event for event in project.history() if event.kind == "declined"]
        status = project.status(UNTIL)
    assert len(found.declines) == 1 and len(told) == 1
    decline = found.declines[0]
    began = decline.explanation.began
    assert began.low.date() <= FAULT <= began.high.date()
    assert abs((began.at.date() - FAULT).days) <= 3
    assert decline.explanation.cause is not None
    assert (decline.explanation.cause.kind, decline.explanation.cause.column) == ("concept_shift", "cloud")
    assert decline.told <= datetime(2026, 5, 3, tzinfo=UTC)
    assert sum(part.amount for part in decline.explanation.parts) == pytest.approx(decline.explanation.rise)
    assert status.word == "unwell" and "declining since" in status.sentence


def test_a_decline_is_one_incident_with_its_interval_and_its_impact(declined: Path) -> None:
    with Project(declined) as project:
        (incident,) = project.incidents()
        found = project.incident(incident.number, UNTIL)
        status = project.status(UNTIL)
    assert incident.first.date() <= FAULT <= incident.last.date()
    assert (incident.cls, incident.severity, incident.state) == ("concept_shift", "critical", "open")
    assert found.sentence.startswith("tiny is declining since ") and "Its log loss rose from 0.450 to 1.4" in found.sentence
    assert "Most likely: the relation to the label changed in cloud" in found.sentence
    assert found.impact["extra_loss"] > 50 and found.impact["labelled"] == found.impact["answers"]
    assert [line.kind for line in found.activity].count("opened") == 1
    assert ("Incident", status.incidents[0]["clause"]) in status.lines


def test_the_command_line_and_json_say_the_same(declined: Path) -> None:
    with Project(declined) as project:
        sentence = project.why().sentence
    said = CliRunner().invoke(app, ["-C", str(declined), "why"])
    assert said.exit_code == 0
    assert " ".join(sentence.split()) in " ".join(said.output.split())
    assert '"sentence"' in CliRunner().invoke(app, ["-C", str(declined), "why", "--json"]).output
    plan = CliRunner().invoke(app, ["-C", str(declined), "watch", "plan"])
    assert plan.exit_code == 0 and "50%" in plan.output
    as_json = json.loads(CliRunner().invoke(app, ["-C", str(declined), "watch", "plan", "--json"]).output)
    assert as_json["notes"] == ["the reference spans 239 days: season and drift cannot be told apart"]
    for shown in (said, plan):
        assert "the reference spans 239 days: season and drift cannot be told apart." in " ".join(shown.output.split())


def test_the_page_needs_nothing_from_outside(declined: Path, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["-C", str(declined), "why", "--html", str(tmp_path / "why.html")])
    assert said.exit_code == 0, said.output
    text = (tmp_path / "why.html").read_text()
    assert text.count("<svg") == 3
    assert "http" not in text.replace("http://www.w3.org", "")
    assert "<script" not in text


def test_a_calm_life_tells_nothing(tmp_path: Path) -> None:
    folder = sites(tmp_path / "tiny", fault=False)
    with (folder / "keepwell.toml").open("a") as settings:
        settings.write('\n[watch]\nslices = "entity"\n')
    with Project(lived(folder)) as project:
        found = project.why()
        assert found.declines == ()
        assert found.sentence == "tiny has not declined, as far as can be proven."
        assert project.plan()[-1]["batches"] < project.plan()[-2]["batches"]
        with project.context.database.read() as connection:
            state = get_watch_state(connection, "tiny", 1)
    assert state is not None
    slices = [channel.column for channel in Watch.load(state).reference.channels if channel.kind == "slice"]
    assert sorted(slices) == sorted(SITES)


def test_a_kill_in_the_check_counts_no_row_twice(declined: Path, tmp_path: Path) -> None:
    folder = lived(sites(tmp_path / "tiny", fault=True), BUILT + 4 * WEEK)
    killed = BUILT + 5 * WEEK
    assert run_in_process(run_and_die, folder, killed, "check", "after") == -signal.SIGKILL
    moments = [killed + place * WEEK for place in range(10)]
    assert run_in_process(run_clean, folder, *moments) == 0
    states = []
    for one in (folder, declined):
        with Project(one) as project, project.context.database.read() as connection:
            states.append((get_watch(connection, "tiny", 1), get_watch_state(connection, "tiny", 1)))
    assert states[0] == states[1]


def test_a_decline_ends_when_its_version_is_replaced_however_late_that_is_looked_at(declined: Path, tmp_path: Path) -> None:
    """Else the labels of a version that is not watched yet would count as those of the decline, for ever."""
    with Project(stores.copy_project(declined, tmp_path / "tiny")) as project:
        moment = UNTIL + WEEK
        project.run(moment, build=True)
        project.promote(2, reason="the relation changed", override=True, as_of=moment)
        with project.context.database.read() as connection:
            spells = [_ended(project.context, 2, moment + weeks * WEEK, connection) for weeks in (1, 30)]
        assert spells[0] == spells[1] and [until for _, until, _ in spells[0]] == [moment.isoformat()]


def test_a_holdout_too_short_to_watch_is_said(tiny: Path) -> None:
    with Project(tiny) as project:
        project.run(datetime(2026, 1, 20, 6, tzinfo=UTC))
        assert "200 are needed" in project.why().sentence
    planned = CliRunner().invoke(app, ["-C", str(tiny), "watch", "plan"])
    assert planned.exit_code == 0 and "200 are needed" in " ".join(planned.stdout.split())


def test_a_broken_column_that_explains_next_to_nothing_holds_no_build() -> None:
    """Else a little noise beside a decline that nobody can explain keeps every later version from being built."""
    began = Began(BUILT, BUILT - WEEK, BUILT + WEEK, 0.9, "step", "loss")
    for harm, cls in ((0.01, "unknown"), (0.08, "data_quality")):
        explained = Explanation(began, (Cause("noise", "cloud", harm=harm),), harm, 0.01, 0.1, 0.02, (), 0.1, 0.02, 0.5, has_labels=True)
        assert _plainly(SimpleNamespace(number=1, explanation=explained))["cls"] == cls


def test_a_decline_that_is_withdrawn_is_over_and_its_incident_says_why(declined: Path) -> None:
    moment = datetime(2026, 5, 14, tzinfo=UTC)
    cause = Cause("bias_ramp", "cloud", harm=0.08)
    explained = Explanation(
        Began(moment, moment, moment, 0.9, "step", "m:cloud"), (cause,), 0.08, 0.01, 0.0, 0.004, (), None, None, 0.5, True
    )
    with Project(declined) as project, project.context.database.read() as connection:
        said = [
            _said(project.context, 1, Signal(kind, moment + place * WEEK, 1, (cause,), explained), connection)
            for place, kind in enumerate(("decline", "withdrawn"))
        ]
    assert said[1].sentence.startswith("the decline told since 14 May 2026 is withdrawn: the labels show +0.000")
    assert ended_at(said, [], UNTIL) == moment + WEEK
    assert end_of(said[1]).because == "labels show that it cost nothing"


def test_a_broken_column_holds_builds_for_a_year_and_then_is_how_things_are() -> None:
    opened = [
        {"cls": cls, "kind": "noise", "column": "cloud", "onset": FAULT.isoformat() + "T00:00:00+00:00"}
        for cls in ("data_quality", "unknown")
    ]
    began = datetime(FAULT.year, FAULT.month, FAULT.day, tzinfo=UTC)
    assert faults_of(opened, began + timedelta(days=364)) == ["noise in cloud"]
    assert faults_of(opened, began + timedelta(days=366)) == []
