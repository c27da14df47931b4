"""Incidents over HTTP: seen, acted on, refused in words."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from projects import BUILT_AT

from keepwell import Project

Served = tuple[Project, httpx.Client]
WHERE = "/models/tiny/incidents"


def test_an_incident_is_seen_and_acted_on(served: Served) -> None:
    project, client = served
    assert client.get(WHERE).json() == {"model": "tiny", "incidents": []}
    project.look(BUILT_AT + timedelta(days=2, hours=1))
    (listed,) = client.get(WHERE).json()["incidents"]
    number, revision = listed["number"], listed["revision"]
    assert listed["kind"] == "missed cycle"
    has = client.post(f"{WHERE}/{number}/ack", json={"by": "Mira", "revision": revision}).json()
    assert has["state"] == "acknowledged" and "Mira has it" in has["sentence"]
    late = client.post(f"{WHERE}/{number}/assign", json={"to": "Jo", "revision": revision})
    assert (late.status_code, late.json()["error"]) == (409, "IncidentChanged")
    assert client.post(f"{WHERE}/{number}/assign", json={"to": "Jo"}).json()["owner"] == "Jo"
    assert client.post(f"{WHERE}/{number}/comment", json={"text": "the machine was off"}).json()["activity"][-1]["kind"] == "comment"
    assert client.post(f"{WHERE}/{number}/snooze", json={"until": "2099-01-01"}).json()["state"] == "snoozed"
    assert client.post(f"{WHERE}/{number}/close", json={"cause": "a holiday"}).json()["closed"]["cause"] == "a holiday"
    assert client.get(WHERE).json()["incidents"] == []
    assert len(client.get(WHERE, params={"state": "closed"}).json()["incidents"]) == 1
    assert client.post(f"{WHERE}/{number}/reopen", json={"reason": "it was none"}).json()["state"] == "open"
    seen = client.get(f"{WHERE}/{number}").json()
    assert seen["runbook"] and seen["party"] == "keepwell" and seen["durations"]["repair_h"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/99", None, 404),
        ("POST", "/99/ack", {}, 404),
        ("POST", "/99999999999999999999/ack", {}, 404),
        ("POST", "/1/close", {}, 422),
        ("POST", "/1/close", {"cause": "x" * 5000}, 422),
        ("POST", "/1/snooze", {"until": "tomorrow"}, 422),
        ("POST", "/1/ack", {"who": "Mira"}, 422),
        ("GET", "?state=nothing", None, 422),
    ],
)
def test_bad_requests_are_refused_in_words(shared: Served, method: str, path: str, body: dict | None, status: int) -> None:
    answer = shared[1].request(method, WHERE + path, json=body)
    assert (answer.status_code, set(answer.json())) == (status, {"error", "headline", "message", "facts"})
