"""`keepwell changes`: what was changed is found again by kind, with its day; nothing is made up where nothing was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import stores
from projects import BUILT_AT, DAYS, FIRST_DAY, tiny_rows
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli.app import app
from keepwell.errors import InputInvalid

NEXT = BUILT_AT + timedelta(days=3)


@pytest.fixture(scope="module")
def changed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose code, settings and past rows were changed between two builds; only looked at."""
    tiny = stores.copy_project(built, tmp_path_factory.mktemp("changed") / "tiny")
    model = (tiny / "model.py").read_text()
    (tiny / "model.py").write_text(model.replace("LogisticRegression(random_state=seed)", "LogisticRegression(C=0.5, random_state=seed)"))
    settings = (tiny / "keepwell.toml").read_text()
    (tiny / "keepwell.toml").write_text(settings.replace("[gate]", "[gate]\nconfidence = 0.8"))
    rows = tiny_rows(DAYS)
    late = (BUILT_AT - timedelta(days=3)).date()
    rows.with_columns(cloud=pl.when(pl.col("day") == late).then(pl.lit(0.5)).otherwise("cloud")).write_csv(tiny / "rows.csv")
    with Project(tiny) as project:
        project.run(NEXT, build=True)
        yield project


def test_each_kind_of_change_is_in_the_list_with_its_day(changed: Project) -> None:
    found = changed.changes(NEXT - timedelta(days=1), NEXT)
    said = {row.kind: row.sentence for row in found.rows}
    assert "model.py" in said["code"] and "confidence" in said["settings"] and "delivered otherwise" in said["data"]
    assert {row.at for row in found.rows} == {NEXT}
    assert "code" in found.sentence and "settings" in found.sentence


def test_nothing_is_made_up_where_nothing_changed(changed: Project) -> None:
    found = changed.changes(BUILT_AT + timedelta(hours=1), NEXT - timedelta(hours=1))
    assert found.rows == () and found.sentence.startswith("Nothing changed")


def test_around_a_moment_says_how_many_days_away_each_was(changed: Project) -> None:
    found = changed.changes(around=BUILT_AT)
    assert {row.days for row in found.rows} == {0.0, 3.0}
    assert {row.kind for row in found.rows if row.days == 0} >= {"model"}


def test_around_an_onset_needs_a_decline(changed: Project) -> None:
    with pytest.raises(InputInvalid, match="has not declined"):
        changed.changes(around="onset")


def test_a_span_that_ends_before_it_begins_is_refused(changed: Project) -> None:
    with pytest.raises(InputInvalid, match="no span"):
        changed.changes(NEXT, BUILT_AT)


def test_a_stretch_of_more_traffic_is_one_change(tiny: Path) -> None:
    first = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(days=500)
    with Project(tiny) as project:
        rows = []
        for day in range(60):
            for place in range(200 if 40 <= day < 45 else 50):
                moment = first + timedelta(days=day, seconds=place)
                one = {"prediction_id": f"{day}-{place}", "entity": f"{place}", "time": moment, "version": 1, "answer": 0.5}
                rows.append({**one, "made_at": moment, "origin": "api", "inputs": "{}"})
        with project.context.database.begin() as connection:
            project.context.predictions.append(connection, "many", pl.DataFrame(rows), first + timedelta(days=60))
        found = project.changes(first + timedelta(days=30), first + timedelta(days=59))
    assert [(row.kind, row.at) for row in found.rows] == [("traffic", first + timedelta(days=40))]
    assert "more answers: 200 a day over 5 days, about 50 are usual" in found.rows[0].sentence


def test_the_command_prints_a_table_and_a_document(changed: Project) -> None:
    asked = ["changes", "-C", str(changed.folder), "--around", BUILT_AT.isoformat()]
    assert "model.py" in CliRunner().invoke(app, asked).stdout
    document = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert document["around"] == [BUILT_AT.isoformat()] * 2 and document["changes"]
