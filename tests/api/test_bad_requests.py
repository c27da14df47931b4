"""Every bad request is refused in one shape with the right status, and leaves the record as it was."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from pathlib import Path

import httpx
import pytest

from keepwell import Project

Served = tuple[Project, httpx.Client]
ROW = {"warmth": 12.5, "cloud": 0.9}
PREDICT = "/models/tiny/predict"
LABELS = "/models/tiny/labels"
JSON = {"content-type": "application/json"}


def rows(*given: object, **more: object) -> str:
    return json.dumps({"rows": list(given), **more})


BAD = {
    "text for a number": (PREDICT, rows({"warmth": "warm", "cloud": 0.9}), 422, "'warmth' in row 0 is 'warm'"),
    "true for a number": (PREDICT, rows({"warmth": True, "cloud": 0.9}), 422, "'warmth' in row 0 is True"),
    "list for a number": (PREDICT, rows(ROW, {"warmth": [1], "cloud": 0.9}), 422, r"'warmth' in row 1 is \[1\]"),
    "NaN": (PREDICT, '{"rows": [{"warmth": NaN, "cloud": 0.9}]}', 422, "'warmth' in row 0 is nan"),
    "Infinity": (PREDICT, '{"rows": [{"warmth": 1, "cloud": -Infinity}]}', 422, "'cloud' in row 0 is -inf"),
    "integer beyond floats": (PREDICT, rows({"warmth": 10**400, "cloud": 0.9}), 422, "A finite number is needed"),
    "null where the model needs a value": (PREDICT, rows({"warmth": None, "cloud": 0.9}), 422, "cannot answer without warmth"),
    "unknown feature": (PREDICT, rows({**ROW, "wind": 1}), 422, "Row 0 has unknown wind"),
    "missing feature": (PREDICT, rows(ROW, {"warmth": 1}), 422, "Row 1 lacks cloud"),
    "half a character": (PREDICT, '{"rows": [{"warmth": 1, "cloud": 1, "\\ud800": 1}]}', 422, "."),
    "half a character as value": (PREDICT, '{"rows": [{"warmth": 1, "cloud": "\\ud800"}]}', 422, "."),
    "half a character as entity": (PREDICT, rows(ROW)[:-1] + ', "entity": "\\ud800"}', 422, "entity"),
    "half a character in a long row": (PREDICT, '{"rows": [{"features": {}, "entity": "\\ud800"}]}', 422, "'entity' of row 0"),
    "row is no object": (PREDICT, rows(1), 422, "body.rows.0"),
    "unknown beside features": (PREDICT, rows({"features": ROW, "when": "now"}), 422, "unknown when"),
    "no rows": (PREDICT, rows(), 422, "There is no row"),
    "neither rows nor entities": (PREDICT, "{}", 422, "either 'rows' or 'entities'"),
    "both rows and entities": (PREDICT, rows(ROW, entities=["north"]), 422, "either 'rows' or 'entities'"),
    "too many rows": (PREDICT, rows(*[ROW] * 1001), 422, "1001 rows are more than 1000"),
    "unknown entity": (PREDICT, '{"entities": ["north", "nowhere"]}', 422, "No observation is stored of nowhere"),
    "unknown name": (PREDICT, rows(ROW, row=1), 422, "body.row"),
    "time that is none": (PREDICT, rows(ROW, time="yesterday"), 422, "The time of row 0 is 'yesterday'"),
    "time before all times": (PREDICT, rows(ROW, time="0001-01-01T00:00:00+10:00"), 422, "The time of row 0"),
    "empty body": (PREDICT, "", 422, "body: Field required"),
    "not JSON": (PREDICT, "warmth=1", 422, "The body is not JSON"),
    "JSON list": (PREDICT, "[]", 422, "body"),
    "not UTF-8": (PREDICT, b'{"rows": [{"warmth": "\xff"}]}', 422, "cannot be read as JSON"),
    "nested too deeply": (PREDICT, '{"rows":' + "[" * 100_000 + "]" * 100_000 + "}", 422, "cannot be read as JSON"),
    "nested deeply in a value": (PREDICT, rows(0)[:-2] + '{"warmth":' + "[" * 900 + "]" * 900 + ',"cloud":1}]}', 422, "."),
    "2 MB": (PREDICT, rows(ROW, entity="x" * (2 << 20)), 413, "larger than 1024 KiB"),
    "unknown model": ("/models/rain/predict", rows(ROW), 404, "Model 'rain' is not known here"),
    "label of an unknown prediction": (LABELS, '{"labels": [{"prediction_id": "lost", "label": 1}]}', 404, "No prediction 'lost'"),
    "label that is no class": (LABELS, '{"labels": [{"time": "2026-01-01", "label": 2}]}', 422, "A binary label is 0 or 1"),
    "label NaN": (LABELS, '{"labels": [{"time": "2026-01-01", "label": NaN}]}', 422, "A number is needed"),
    "label beyond floats": (LABELS, '{"labels": [{"time": "2026-01-01", "label": 1' + "0" * 400 + "}]}", 422, "A number is needed"),
    "label of no row": (LABELS, '{"labels": [{"label": 1}]}', 422, "names no row"),
    "label at no time": (LABELS, '{"labels": [{"time": "soon", "label": 1}]}', 422, "The time of label 0"),
    "too many labels": (LABELS, json.dumps({"labels": [{"time": "2026-01-01", "label": 1}] * 1001}), 422, "1001 labels"),
    "unknown route": ("/models/tiny/forget", "{}", 404, "There is no POST /models/tiny/forget"),
    "wrong method": ("/models/tiny/history", "{}", 405, "Method Not Allowed"),
}


def record(project: Project) -> tuple[object, ...]:
    """What a request could have changed."""
    project.ship()
    waiting = sorted((path.name, path.stat().st_size) for path in project.journal_folder.iterdir() if path.suffix != ".lock")
    return project.context.predictions.last_commit(), project.context.labels.last_commit(), project.history(), waiting


@pytest.mark.parametrize(("path", "body", "status", "said"), BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_refused_and_changes_nothing(shared: Served, path: str, body: str | bytes, status: int, said: str) -> None:
    project, client = shared
    before = record(project)
    answer = client.post(path, content=body, headers=JSON)
    assert set(answer.json()) == {"error", "headline", "message", "facts"}, answer.text
    assert answer.status_code == status, answer.text
    assert re.search(said, answer.json()["message"])
    assert "Traceback" not in answer.text and len(answer.text) < 5000
    assert record(project) == before


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/models/rain", 404, "ModelNotFound"),
        ("/models/rain/versions", 404, "ModelNotFound"),
        ("/models/tiny/predictions/lost", 404, "PredictionNotFound"),
        ("/models/tiny/history?limit=0", 422, "InputInvalid"),
        ("/models/tiny/history?since=soon", 422, "InputInvalid"),
        ("/docs", 404, "RouteNotFound"),
        ("/nothing/here", 404, "RouteNotFound"),
    ],
)
def test_bad_addresses_are_refused(shared: Served, path: str, status: int, error: str) -> None:
    answer = shared[1].get(path)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_large_body_without_a_length_is_not_held(shared: Served) -> None:
    """Chunked, so that only counting can find it."""
    answer = shared[1].post(PREDICT, content=(b" " * 65536 for _ in range(32)), headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (413, "BodyTooLarge")


def test_a_body_that_is_not_called_json_is_refused(shared: Served) -> None:
    """A web page of elsewhere can post text/plain to this machine without asking."""
    answer = shared[1].post(PREDICT, content=rows(ROW), headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]) == (422, "InputInvalid")
    assert "came as text/plain and was not read: it needs the header `content-type: application/json`" in answer.json()["message"]


def test_every_route_but_health_needs_the_token(tiny: Path, listening) -> None:
    with listening(tiny, {"token": "s3cret-t0ken"}) as (project, client):
        before = record(project)
        model = "/models/tiny"
        paths = ["/", "/openapi.json", "/none", model, f"{model}/versions", f"{model}/history", f"{model}/predictions/x"]
        for wrong in ({}, {"authorization": "Bearer other"}, {"authorization": "s3cret-t0ken"}, {"authorization": "Basic czNjcmV0"}):
            answers = [client.get(path, headers=wrong) for path in paths]
            answers += [client.post(path, content=rows(ROW), headers={**JSON, **wrong}) for path in (PREDICT, LABELS)]
            assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(401, "TokenRefused")}
            assert answers[0].headers["www-authenticate"] == "Bearer"
            assert "s3cret" not in "".join(answer.text for answer in answers)
        assert client.get("/health/live").status_code == client.get("/health/ready").status_code == 200
        *same, events, waiting = record(project)
        told = [event for event in events if event.kind == "access_refused"]
        assert [*same, [event for event in events if event not in told], waiting] == [*before]
        assert sorted(event.facts["act"] for event in told) == ["ask", "describe", "label", "look"], "one line for each kind of act"
        right = {**JSON, "authorization": "Bearer s3cret-t0ken"}
        assert client.post(PREDICT, content=rows(ROW), headers=right).status_code == 200


def test_an_unexpected_fault_tells_nothing_but_its_number(shared: Served, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    project, client = shared

    def broken(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(project, "versions", broken)
    answer = client.get("/models/tiny/versions")
    assert (answer.status_code, answer.json()["error"]) == (500, "Fault")
    assert "hunter2" not in answer.text
    assert answer.json()["facts"]["fault"] in caplog.text


def test_a_journal_that_cannot_write_acknowledges_nothing(tiny: Path, listening, caplog) -> None:
    with listening(tiny) as (project, client):
        before = project.context.predictions.last_commit()
        project.journal_folder.rename(tiny / "gone")
        answer = client.post(PREDICT, content=rows(ROW), headers=JSON)
        assert (answer.status_code, answer.json()["error"]) == (503, "StorageUnavailable")
        assert "predictions" not in answer.json()
        assert str(tiny) not in answer.text, "where it is on this disk is for the log"
        assert str(project.journal_folder) in caplog.text
        (tiny / "gone").rename(project.journal_folder)
        assert client.post(PREDICT, content=rows(ROW), headers=JSON).status_code == 200
        client.get("/models/tiny/predictions/lost")
        assert project.context.predictions.last_commit() == before + 1
        assert project.context.predictions.rows().filter(origin="api").height == 1


def test_a_body_whose_sender_left_halfway_is_not_answered(shared: Served) -> None:
    """Half a CSV is a CSV too: its rows would stand in the ledger although nobody asked them."""
    project, client = shared
    project.ship()
    before = len(project.context.predictions.rows())
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: text/csv\r\ncontent-length: 100\r\n\r\n"
        connection.sendall(head + b"warmth,cloud\n12.5,0.9\n")
        time.sleep(0.2)
    time.sleep(0.5)
    assert client.post(PREDICT, json={"rows": [ROW]}).status_code == 200
    journal = project.journal_folder
    records = b"".join(path.read_bytes() for path in journal.glob("*.open"))
    assert len(project.context.predictions.rows()) == before
    assert records.count(b"prediction_id") == 1


def test_a_packed_body_of_several_parts_is_not_taken_for_its_first(shared: Served) -> None:
    _, client = shared
    packed = gzip.compress(b"warmth,cloud\n12.5,0.9\n") + gzip.compress(b"13.5,0.9\n")
    answer = client.post("/invocations", content=packed, headers={"content-type": "text/csv", "content-encoding": "gzip"})
    assert answer.status_code == 415, answer.text
