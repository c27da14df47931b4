"""A challenger on trial answers a share of the live requests; who got it once gets it again, and figures never mix the two."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import stores
from projects import BUILT_AT, OPEN_GATE, dull_project

from keepwell import Project
from keepwell.api.champion import Champion
from keepwell.deployment import takes
from keepwell.errors import StorageUnavailable
from keepwell.serving import Predictor, Ready, made_ready, representative
from keepwell.storage import person

Listening = Callable[..., AbstractContextManager[tuple[Project, httpx.Client]]]
FLAGS: dict[str, Any] = {"train": {"c": 1.0}, "gate": OPEN_GATE, "watch": {"on": False}}
PREDICT = "/models/tiny/predict"
SITES = [f"site {number}" for number in range(40)]


@pytest.fixture(scope="module")
def on_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2 is on trial beside version 1."""
    folder = dull_project(tmp_path_factory.mktemp("canary") / "tiny")
    with Project(folder, {**FLAGS, "train": {"c": 1e-7}}) as project:
        project.run(BUILT_AT)
    # Its code makes the same features in another way.
    (folder / "model.py").write_text(
        (folder / "model.py").read_text().replace('"day", "warmth", "cloud")', '"day", "warmth", pl.col("cloud") * 0.5)')
    )
    with Project(folder, {**FLAGS, "promotion": {"trial_days": 60}}) as project:
        project.run(BUILT_AT + timedelta(days=1), build=True)
        assert project.aliases() == {"champion": 1, "challenger": 2}
    return folder


@pytest.fixture
def folder(on_trial: Path, tmp_path: Path) -> Path:
    return stores.copy_project(on_trial, tmp_path / "tiny")


def body(sites: list[str], cloud: float = 0.9) -> dict[str, Any]:
    moment = datetime(2026, 1, 18, tzinfo=UTC).isoformat()
    return {"rows": [{"entity": site, "time": moment, "features": {"warmth": 12.5, "cloud": cloud}} for site in sites]}


def wait_for_challenger(client: httpx.Client) -> None:
    for _ in range(200):
        if {row["version"] for row in client.post(PREDICT, json=body(SITES)).json()["predictions"]} == {1, 2}:
            return
    raise AssertionError("the challenger never answered")


def test_a_share_goes_to_the_challenger_and_stays_with_it(folder: Path, listening: Listening) -> None:
    with (folder / "keepwell.toml").open("a") as settings:
        settings.write("\n[promotion]\ncanary_share = 0.3\n")
    with listening(folder) as (project, client):
        wait_for_challenger(client)
        answers = [client.post(PREDICT, json=body(SITES)).json()["predictions"] for _ in range(3)]
        expected = [2 if takes("tiny", 2, site, 0.3) else 1 for site in SITES]
        assert [[row["version"] for row in answer] for answer in answers] == [expected] * 3
        assert 'alias="challenger"' in client.get("/metrics").text
        assert {row["probability"] for row in answers[0] if row["version"] == 1} != {
            row["probability"] for row in answers[0] if row["version"] == 2
        }
    with Project(folder, FLAGS) as project:
        project.ship()
        kept = project.context.predictions.rows()
        assert set(kept.filter(version=2)["origin"]) == {"canary"}
        assert set(representative(kept)["version"]) == {1}
        project.run(BUILT_AT + timedelta(days=8))
        unseen = project.context.shadows.rows()
        live = kept.filter(pl.col("origin").is_in(["api", "canary"]))
        both = pl.concat([live.select("prediction_id", "version"), unseen.select("prediction_id", "version")])
        told = both.filter(pl.col("prediction_id").is_in(live["prediction_id"].implode()))
        assert told.group_by("prediction_id").agg(pl.col("version").sort())["version"].to_list() == [[1, 2]] * live.height


def test_every_protocol_gives_the_challenger_its_share(folder: Path, listening: Listening) -> None:
    """Where an answer names one version, the whole request is answered by one, drawn by its entity."""
    with (folder / "keepwell.toml").open("a") as settings:
        settings.write("\n[promotion]\ncanary_share = 0.5\n")
    tensors = [{"name": name, "datatype": "FP64", "shape": [2], "data": [12.5, 11.0]} for name in ("warmth", "cloud")]
    frame = {"dataframe_split": {"columns": ["warmth", "cloud"], "data": [[12.5, 0.9]]}}
    moment = datetime(2026, 1, 18, tzinfo=UTC).isoformat()
    with listening(folder) as (_, client):
        wait_for_challenger(client)
        for site in SITES[:12]:
            request = {"inputs": tensors, "parameters": {"entity": site, "time": moment}}
            answer = client.post("/v2/models/tiny/infer", json=request).json()
            assert answer["model_version"] == ("2" if takes("tiny", 2, site, 0.5) else "1")
            named = client.post("/v2/models/tiny/versions/1/infer", json=request).json()
            assert named["model_version"] == "1", "who names a version gets that one"
        answers = [client.post("/invocations", json=frame).json() for _ in range(40)]
        assert {answer["version"] for answer in answers} == {1, 2}
        assert len({(answer["version"], answer["predictions"][0]) for answer in answers}) == 2
        theirs = [line for line in client.get("/metrics").text.splitlines() if 'alias="challenger"' in line]
        assert {protocol for protocol in ("json", "v2", "invocations") if any(f'"{protocol}"' in line for line in theirs)} == {
            "json",
            "v2",
            "invocations",
        }


def test_whom_the_challenger_answers_is_looked_up_by_its_own_code(folder: Path, listening: Listening) -> None:
    with (folder / "keepwell.toml").open("a") as settings:
        settings.write("\n[promotion]\ncanary_share = 1.0\n")
    with listening(folder) as (project, client):
        predictor = project.context.predictor(2)
        newest = predictor.features(project.context.observations.rows()).sort("day").tail(1)
        until = time.monotonic() + 20
        while (made := client.post(PREDICT, json={"entities": ["north"]}).json()["predictions"][0])["version"] != 2:
            assert time.monotonic() < until
        assert made["probability"] == pytest.approx(predictor.answer(newest)[0], abs=1e-9)
        tensor = {"name": "site", "shape": [1], "datatype": "BYTES", "data": ["north"]}
        answer = client.post("/v2/models/tiny/infer", json={"inputs": [tensor]}).json()
        assert (answer["model_version"], answer["outputs"][0]["data"]) == ("2", [made["probability"]])


def test_a_version_that_could_not_be_loaded_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away for a moment must not keep a challenger, or the way back, out for months."""
    real, failing = made_ready, {2}

    def loaded(predictor: Predictor) -> Ready:
        if predictor.version.number in failing:
            raise StorageUnavailable("artifacts", "away for a moment")
        return real(predictor)

    monkeypatch.setattr("keepwell.api.champion.made_ready", loaded)
    monkeypatch.setattr("keepwell.api.champion.PATIENCE_S", 0.0)
    with Project(folder, {"promotion": {"canary_share": 0.5}}) as project:
        champion = Champion(project.context)
        champion.look()
        assert (champion.ready().number, champion.challenger) == (1, None)
        failing.clear()
        champion.look()
        assert champion.challenger is not None
        without = project.settings.promotion.model_copy(update={"canary_share": 0.0})
        project.context.settings = project.settings.model_copy(update={"promotion": without})
        champion.look()
        assert champion.challenger is None, "without a share none is held"


def test_without_a_share_the_champion_answers_everyone(folder: Path, listening: Listening) -> None:
    with listening(folder) as (_, client):
        assert {row["version"] for row in client.post(PREDICT, json=body(SITES)).json()["predictions"]} == {1}


def test_people_speak_over_http(folder: Path, listening: Listening) -> None:
    with listening(folder) as (_, client):
        trials = client.get("/models/tiny/trials").json()["trials"]
        assert [(trial["version"], trial["kind"], trial["status"]) for trial in trials] == [(2, "shadow", "open")]
        said = client.post("/models/tiny/versions/2/approve", json={"comment": "fine"}).json()
        assert (said["version"], said["sentence"]) == (2, f"{person()} approved version 2: fine"), (
            "the user of the server, where nobody is asked"
        )
        again = client.post("/models/tiny/versions/2/approve", json={})
        assert (again.status_code, again.json()["error"]) == (409, "ApprovalRefused")
        assert client.post("/models/tiny/versions/challenger/reject", json={"comment": "no"}).json() == {
            "sentence": f"{person()} rejected version 2: no"
        }
        assert client.post("/models/tiny/versions/9/approve", json={}).status_code == 404
