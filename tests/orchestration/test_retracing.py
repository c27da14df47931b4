"""What was served is computed again from the tables: the same where callers do as training did, and told by feature where they do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import stores
from projects import BUILT_AT, DAYS, tiny_rows

from keepwell import Project
from keepwell.incidents import STATES
from keepwell.serving import LEDGER

DAY = timedelta(days=1)
OWNERS = '\n[owner]\nowner = "Mira"\n\n[owner.serving]\nowner = "Sam"\n\n[retrain]\nmax_age_days = 3650\n'


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Iterator[Project]:
    folder = stores.copy_project(built, tmp_path / "tiny")
    file = folder / "keepwell.toml"
    file.write_text(file.read_text() + OWNERS)
    with Project(folder) as opened:
        yield opened


def world(day: datetime) -> dict[str, float]:
    """The features of a day as the data has them."""
    row = tiny_rows(DAYS).filter(pl.col("day") == day.date()).row(0, named=True)
    return {"warmth": row["warmth"], "cloud": row["cloud"]}


def serve(project: Project, moment: datetime, *rows: dict[str, Any], origin: str = "api", wrong: float = 0.0) -> list[str]:
    """Put answers to rows about the day of a moment into the ledger, as a server does; `wrong` is added to the answers."""
    predictor = project.context.predictor(1)
    about = moment.replace(hour=0)
    ids = [f"{origin}-{moment:%d%H}-{place}" for place in range(len(rows))]
    kept = [
        {"prediction_id": name, "entity": "north", "time": about, "version": 1, "answer": float(answer) + wrong, "made_at": moment}
        | {"origin": origin, "inputs": json.dumps(row)}
        for name, row, answer in zip(ids, rows, predictor.answer(predictor.read(rows)), strict=True)
    ]
    with project.context.database.begin() as connection:
        project.context.predictions.append(connection, f"journal/{ids[0]}", pl.DataFrame(kept, schema=LEDGER), moment)
    return ids


def told(project: Project) -> list[str]:
    return [event.sentence for event in project.history(kinds=["replayed"])]


def test_a_caller_who_computes_as_training_did_is_no_news(project: Project) -> None:
    served = BUILT_AT + timedelta(hours=2)
    serve(project, served, world(served))
    project.run(BUILT_AT + DAY)
    assert project.incidents(STATES) == [] and told(project) == []


def test_a_feature_that_is_served_otherwise_is_an_incident_that_names_it_and_ends(project: Project) -> None:
    moment = BUILT_AT + timedelta(hours=2)
    right = world(moment)
    ids = serve(project, moment, right, {**right, "cloud": 100 * right["cloud"]})
    project.run(BUILT_AT + DAY)
    (incident,) = project.incidents()
    assert (incident.column, incident.kind, incident.owner) == ("cloud", "other features", "Sam")
    sentence = project.incident(incident.number).sentence
    assert "gets other features than it was trained on" in sentence and ids[1] in sentence and "in 1 of 2 made again" in sentence
    assert told(project) == ["2 served answers were made again from the data: cloud differs in 1"]
    project.run(BUILT_AT + 2 * DAY)  # nothing was served since: it rings on, and is not told again
    assert project.incidents()[0].ringing == ("skew/cloud",) and len(told(project)) == 1
    later = BUILT_AT + 2 * DAY + timedelta(hours=1)
    serve(project, later, world(later))
    project.run(BUILT_AT + 3 * DAY)
    assert [one.state for one in project.incidents(STATES)] == ["closed"]
    assert told(project)[-1] == "1 served answers were made again from the data, 1 of them with their features: all are the same"


def test_answers_that_the_version_does_not_give_are_an_incident(project: Project) -> None:
    moment = BUILT_AT + timedelta(hours=2)
    serve(project, moment, world(moment), wrong=0.01)
    project.run(BUILT_AT + DAY)
    (incident,) = project.incidents()
    assert (incident.kind, incident.column, incident.owner) == ("other answers", "", "Sam")


def test_what_if_questions_and_restated_data_are_left_out(project: Project) -> None:
    moment = BUILT_AT + timedelta(hours=2)
    serve(project, moment, {"warmth": 0.0, "cloud": 0.0}, origin="by hand")
    yesterday = BUILT_AT - DAY + timedelta(hours=2)
    serve(project, yesterday, world(yesterday))
    cloud = pl.when(pl.col("day") == yesterday.date()).then(pl.lit(0.123)).otherwise("cloud")
    tiny_rows(DAYS).with_columns(cloud=cloud).write_csv(project.folder / "rows.csv")
    project.run(BUILT_AT + DAY)
    assert project.incidents(STATES) == []


def test_the_sample_is_bounded_and_can_be_switched_off(project: Project) -> None:
    from keepwell.orchestration.retracing import fresh, skew

    moment = BUILT_AT + timedelta(hours=2)
    serve(project, moment, *[world(moment)] * 30)
    rows = project.context.predictions.rows()
    assert fresh(rows, 0) is None
    sizes = [found.height for most in (7, 30, 100) if (found := fresh(rows, most)) is not None]
    assert sizes == [6, 30, 30]
    quiet = rows.filter(pl.col("origin") == "batch")
    assert fresh(quiet, 50) is None
    assert skew(project.context, quiet, None) is None  # type: ignore[arg-type] # nothing served: the record is not asked
