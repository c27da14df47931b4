"""What the routes answer when all is well."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from projects import tiny_project

from keepwell import Project
from keepwell.registry import register

Served = tuple[Project, httpx.Client]
ROW = {"warmth": 12.5, "cloud": 0.9}
OTHERS = ("/v2", "/invocations", "/endpoints", "/ping", "/version")  # protocols with refusals of their own form


def test_health_is_ready_with_a_champion(shared: Served) -> None:
    _, client = shared
    assert client.get("/health/live").json() == {"live": True}
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "model": "tiny", "version": 1, "note": None})


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/ping"])
def test_health_is_told_to_head_as_to_get_without_a_body(shared: Served, path: str) -> None:
    head, get = shared[1].head(path), shared[1].get(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", get.headers["content-length"])


def test_without_a_champion_it_lives_but_is_not_ready(tmp_path: Path, listening) -> None:
    with listening(tiny_project(tmp_path / "new")) as (_, client):
        assert client.get("/health/live").status_code == 200
        ready, predict = client.get("/health/ready"), client.post("/models/tiny/predict", json={"rows": [ROW]})
        for answer in (ready, predict):
            assert (answer.status_code, answer.json()["error"]) == (503, "NotReady")
            assert "it has no champion yet" in answer.json()["message"]
        assert client.head("/health/ready").status_code == 503


def test_the_index_lists_every_route(shared: Served) -> None:
    _, client = shared
    listed = {f"{route['method']} {route['path']}" for route in client.get("/").json()["routes"]}
    described = {f"{method.upper()} {path}" for path, methods in client.get("/openapi.json").json()["paths"].items() for method in methods}
    assert listed == described
    assert "POST /models/{name}/predict" in listed


def test_openapi_describes_bodies_answers_and_refusals(shared: Served) -> None:
    _, client = shared
    schema = client.get("/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    predict = schema["paths"]["/models/{name}/predict"]["post"]
    assert predict["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/PredictBody"}
    assert predict["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/PredictAnswer"}
    for path, methods in schema["paths"].items():
        if path.startswith(OTHERS):
            continue
        for method, operation in methods.items():
            refused = operation["responses"]["422"]["content"]["application/json"]["schema"]
            assert refused == {"$ref": "#/components/schemas/ErrorBody"}, f"{method} {path}"
    missing = [ref for ref in _references(schema) if ref.removeprefix("#/components/schemas/") not in schema["components"]["schemas"]]
    assert missing == []


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for value in part.values() for ref in _references(value)]
    return [ref for value in part for ref in _references(value)] if isinstance(part, list) else []


def test_status_versions_and_history_tell_what_the_project_tells(shared: Served) -> None:
    project, client = shared
    assert client.get("/models/tiny").json()["model"] == "tiny"
    (version,) = client.get("/models/tiny/versions").json()["versions"]
    assert (version["number"], version["passed"], version["aliases"]) == (1, True, ["champion"])
    events = client.get("/models/tiny/history").json()["events"]
    assert [event["sentence"] for event in events] == [event.sentence for event in project.history()]
    promoted = client.get("/models/tiny/history", params={"kind": "promoted", "limit": 1, "since": "2026-01-01"}).json()["events"]
    assert [event["kind"] for event in promoted] == ["promoted"]


def test_a_prediction_can_be_read_back_by_its_id(served: Served) -> None:
    project, client = served
    answer = client.post("/models/tiny/predict", json={"rows": [ROW], "entity": "north", "time": "2026-01-20"}).json()
    (made,) = answer["predictions"]
    assert answer["version"] == made["version"] == 1
    found = client.get(f"/models/tiny/predictions/{made['prediction_id']}").json()
    assert found["probability"] == made["probability"] == project.context.predictor(1).answer(project.context.predictor(1).read([ROW]))[0]
    assert (found["inputs"], found["entity"], found["time"], found["origin"]) == (ROW, "north", "2026-01-20T00:00:00Z", "api")
    assert found["label"] is None


def test_rows_may_name_themselves(served: Served) -> None:
    project, client = served
    rows = [{"entity": "south", "time": "2026-01-21T06:00:00+02:00", "features": ROW}, ROW, {"features": ROW}]
    made = client.post("/models/tiny/predict", json={"rows": rows}).json()["predictions"]
    assert [row.get("entity") for row in made] == ["south", None, None]
    assert [row.get("time") for row in made] == ["2026-01-21T04:00:00.000000+00:00", None, None]
    client.get(f"/models/tiny/predictions/{made[0]['prediction_id']}")
    kept = {row["prediction_id"]: row for row in project.context.predictions.rows().to_dicts()}
    named, nameless = kept[made[0]["prediction_id"]], kept[made[1]["prediction_id"]]
    assert (named["entity"], named["time"]) == ("south", datetime(2026, 1, 21, 4, tzinfo=UTC))
    assert (nameless["entity"], nameless["time"]) == ("", nameless["made_at"])


def test_entities_are_answered_from_their_newest_stored_observation(served: Served) -> None:
    project, client = served
    (made,) = client.post("/models/tiny/predict", json={"entities": ["north"]}).json()["predictions"]
    newest = project.context.observations.rows().tail(1).to_dicts()[0]
    row = {"warmth": newest["warmth"], "cloud": newest["cloud"]}
    assert made["time"] == newest["day"].isoformat(timespec="microseconds")
    (same,) = client.post("/models/tiny/predict", json={"rows": [row]}).json()["predictions"]
    assert same["probability"] == made["probability"]


def test_a_label_posted_by_id_joins_its_prediction(served: Served) -> None:
    _, client = served
    made = client.post("/models/tiny/predict", json={"rows": [ROW, ROW]}).json()["predictions"]
    named = [{"prediction_id": row["prediction_id"], "label": 1} for row in made]
    assert client.post("/models/tiny/labels", json={"labels": named}).json() == {"new": 2, "changed": 0, "same": 0}
    assert client.post("/models/tiny/labels", json={"labels": named}).json() == {"new": 0, "changed": 0, "same": 2}
    found = client.get(f"/models/tiny/predictions/{made[1]['prediction_id']}").json()
    assert found["label"] == 1.0


def test_a_damaged_segment_stops_no_labels_and_no_reading(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    project, client = served
    made = client.post("/models/tiny/predict", json={"rows": [ROW]}).json()["predictions"][0]["prediction_id"]
    (project.journal_folder / "20200101T000000000000_0-00000001.sealed").write_bytes(b"no journal")
    assert client.post("/models/tiny/labels", json={"labels": [{"prediction_id": made, "label": 1}]}).json()["new"] == 1
    assert client.get(f"/models/tiny/predictions/{made}/steps").status_code == 200
    assert client.get("/models/tiny/predictions/unknown").status_code == 404
    assert "has been changed on disk" in caplog.text


def test_the_server_follows_the_champion(served: Served) -> None:
    project, client = served
    version = project.version(1)
    with project.context.database.begin() as connection:
        register(connection, "tiny", replace(version, run="build-again"))
    project.promote(2, reason="a test")
    assert _eventually(lambda: client.get("/health/ready").json()["version"] == 2)
    made = client.post("/models/tiny/predict", json={"rows": [ROW]}).json()
    assert made["version"] == 2
    project.rollback(reason="a test")
    assert _eventually(lambda: client.get("/health/ready").json()["version"] == 1)


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one_answering(served: Served) -> None:
    project, client = served
    with project.context.database.begin() as connection:
        register(connection, "tiny", replace(project.version(1), run="lost", model_file="0" * 64))
    project.promote(2, reason="a test")
    assert _eventually(lambda: client.get("/health/ready").json()["note"] is not None)
    ready = client.get("/health/ready").json()
    assert ready["version"] == 1 and "version 2 is champion but cannot be loaded" in ready["note"]
    assert client.post("/models/tiny/predict", json={"rows": [ROW]}).json()["version"] == 1


def _eventually(holds, seconds: float = 8.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_next_says_the_same_as_the_project(shared: Served) -> None:
    project, client = shared
    found, own = client.get("/models/tiny/next").json(), project.next()
    assert [act["name"] for act in found["acts"]] == [act.name for act in own.acts]
    assert {brake["name"] for brake in found["brakes"]} == {brake.name for brake in own.brakes}
