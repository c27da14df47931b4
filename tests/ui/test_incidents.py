"""Incidents on pages: the same words, the same acts, and of two people one is faster."""

from __future__ import annotations

import httpx
from pages import BROWSER, fields_of, send, words_of

from keepwell import Project

PAGE = "/models/tiny/incidents/1"


def fields(client: httpx.Client, act: str, **more: str) -> dict[str, object]:
    found = fields_of(client.get(PAGE, headers=BROWSER).text)
    return {"csrf": found["csrf"], "revision": found["revision"], "act": act, **more}


def test_an_incident_is_told_in_the_words_of_the_command_line(shared: tuple[Project, httpx.Client], read) -> None:
    project, client = shared
    found = project.incident(1)
    page = words_of(read(client, PAGE))
    assert " ".join(found.sentence.split()) in page
    assert all(" ".join(line.sentence.split()) in page for line in found.activity)
    assert "keepwell incidents ack 1" in page
    assert 'href="/models/tiny/incidents/1"' in read(client, "/models/tiny/incidents")
    assert "/models/tiny/incidents" in read(client, "/"), "the rounds lead to it"
    assert client.get(PAGE).json()["number"] == 1, "a program gets JSON"


def test_each_act_is_on_record(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    for act, more, state in (
        ("ack", {"by": "Mira"}, "acknowledged"),
        ("comment", {"text": "asked the <vendor>"}, "acknowledged"),
        ("assign", {"to": "Jo"}, "acknowledged"),
        ("snooze", {"until": "2999-01-01T06:00"}, "snoozed"),
        ("close", {"text": "the sensor was replaced"}, "closed"),
        ("reopen", {"text": "it came back"}, "open"),
    ):
        answer = send(client, PAGE, fields(client, act, **more))
        assert answer.status_code == 303, answer.text
        assert project.incident(1).incident.state == state, act
        assert f"Incident 1: {project.incident(1).activity[-1].sentence}." in words_of(client.get(PAGE, headers=BROWSER).text)
    assert project.incident(1).incident.owner == "Jo" and "Mira" in project.incident(1).participants


def test_of_two_people_the_faster_wins_and_the_other_is_told(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    seen = fields(client, "ack", by="Mira")
    late = {**seen, "act": "comment", "text": "I have it", "by": "Jo"}
    assert send(client, PAGE, seen).status_code == 303
    answer = send(client, PAGE, late)
    assert answer.status_code == 409 and "Somebody was faster" in words_of(answer.text)
    assert project.incident(1).participants == ("Mira",)


def test_an_act_without_a_word_or_of_no_kind_is_refused(mine: tuple[Project, httpx.Client]) -> None:
    _, client = mine
    assert send(client, PAGE, fields(client, "close", text=" ")).status_code == 422
    assert send(client, PAGE, fields(client, "explode")).status_code == 422
    assert client.post(PAGE, data=fields(client, "ack"), headers=BROWSER).status_code == 403, "no origin"
    assert client.get("/models/tiny/incidents/77", headers=BROWSER).status_code == 404


def test_a_model_is_paused_and_resumed(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    for word, is_paused in (("Pause?", True), ("End the pause?", False)):
        page = client.get("/models/tiny/pause", headers=BROWSER).text
        assert word in page
        assert send(client, "/models/tiny/pause", {**fields_of(page), "reason": "harvest"}).status_code == 303
        assert (project.paused() is not None) == is_paused


def test_the_plan_says_what_next_says(shared: tuple[Project, httpx.Client], read) -> None:
    project, client = shared
    page = words_of(read(client, "/models/tiny/plan"))
    coming = project.next()
    assert coming.sentence in page
    assert all(brake.name in page and brake.sentence in page for brake in coming.brakes)
