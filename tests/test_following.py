"""One prediction, followed: each step says what it came to, and recomputation agrees or names what does not."""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from listening import listening_at
from projects import BUILT_AT
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli import app
from keepwell.errors import PredictionNotFound
from keepwell.serving import LEDGER, SHADOWS

STEPS = ["asked", "features", "version", "answer", "shadows", "label", "loss", "again"]


@pytest.fixture
def project(tiny: Path):
    with Project(tiny) as opened:
        yield opened


def newest(project: Project, origin: str = "batch") -> dict:
    return project.context.predictions.rows().filter(pl.col("origin") == origin).sort("time").to_dicts()[-1]


def test_an_answer_of_a_cycle_is_followed_to_its_label_and_its_loss(project: Project) -> None:
    project.run(BUILT_AT + timedelta(days=3))
    rows = project.predictions(limit=100)
    name = next(row["prediction_id"] for row in rows if row["label"] is not None)
    found = project.explain(name)
    assert [step.name for step in found.steps] == STEPS
    assert found.step("asked").facts["request"] == {"entity": "north"}
    features = found.step("features")
    assert features.facts["compared"] and all(one["same"] for one in features.facts["features"].values())
    assert "champion since" in found.step("version").sentence
    assert found.step("again").facts["same"] is True
    loss, label = found.step("loss").facts, found.step("label").facts["label"]
    assert loss["metric"] == "brier" and loss["loss"] == pytest.approx((found.row["answer"] - label) ** 2) and loss["expected"] > 0


def test_what_differs_is_named_and_what_was_asked_beside_it_is_told(project: Project) -> None:
    project.run(BUILT_AT + timedelta(days=1))
    row, moment = newest(project), datetime.now(UTC)
    inputs = json.loads(row["inputs"]) | {"cloud": 55.0}
    kept = {name: row[name] for name in LEDGER} | {"prediction_id": "odd", "origin": "api", "made_at": moment, "inputs": json.dumps(inputs)}
    shadow = {"prediction_id": "odd", "version": 7, "entity": row["entity"], "time": row["time"], "answer": 0.25, "role": "shadow"}
    with project.context.database.begin() as connection:
        project.context.predictions.append(connection, "odd", pl.DataFrame([kept], schema=LEDGER), moment)
        project.context.shadows.append(connection, "odd", pl.DataFrame([shadow], schema=SHADOWS), moment)
    found = project.explain("odd")
    assert found.step("features").facts["features"]["cloud"]["same"] is False
    assert found.step("features").sentence.startswith("cloud as served is not what")
    again = found.step("again")
    assert again.facts["same"] is False and again.facts["from_tables"] == pytest.approx(row["answer"])
    assert found.step("shadows").facts["answers"] == [{"version": 7, "role": "shadow", "answer": 0.25}]


def test_a_row_that_names_nobody_is_followed_as_far_as_it_goes(project: Project) -> None:
    (made,) = project.answer([{"warmth": 3.0, "cloud": 0.5}])
    found = project.explain(made["prediction_id"])
    assert found.step("features").sentence == "They were not computed again: it names no row"
    assert found.step("again").facts["same"] is True and found.step("loss").facts["loss"] is None
    with pytest.raises(PredictionNotFound):
        project.explain("nothing")


def test_every_door_says_the_same(tiny: Path) -> None:
    with listening_at(tiny) as (project, client):
        (made,) = client.post("/models/tiny/predict", json={"rows": [{"warmth": 3.0, "cloud": 0.5}]}).json()["predictions"]
        name = made["prediction_id"]
        told = client.get(f"/models/tiny/predictions/{name}/steps").json()
        assert [step["name"] for step in told["steps"]] == STEPS and told["steps"][3]["probability"] == made["probability"]
        page = client.get(f"/models/tiny/predictions/{name}", headers={"accept": "text/html"})
        words_there = html.unescape(page.text)
        shown = CliRunner().invoke(app, ["-C", str(tiny), "explain", name, "--json"])
        assert json.loads(shown.stdout) == told
        words = CliRunner().invoke(app, ["-C", str(tiny), "explain", name]).stdout
        for step in project.explain(name).steps:
            assert step.sentence in words_there and step.name.capitalize() in words
        assert client.get("/models/tiny/predictions/none/steps").status_code == 404
