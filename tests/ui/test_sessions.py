"""Signing in: only where a token is set, by a cookie that no script reads and no other site sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import stores
from listening import listening_at
from pages import BROWSER, fields_of, send, words_of

from keepwell import Project

TOKEN = "a long enough token"
FLAGS = {"token": TOKEN}


@pytest.fixture
def guarded(twice: Path, tmp_path: Path) -> Iterator[tuple[Project, httpx.Client]]:
    with listening_at(stores.copy_project(twice, tmp_path / "tiny"), FLAGS) as both:
        yield both


def sign_in(client: httpx.Client, **more: str) -> httpx.Response:
    return send(client, "/sign-in", {"token": TOKEN, "next": "/models/tiny?since=all", **more})


def test_a_browser_is_sent_to_sign_in_and_comes_back(guarded: tuple[Project, httpx.Client]) -> None:
    client = guarded[1]
    turned = client.get("/models/tiny?since=all", headers=BROWSER)
    assert turned.status_code == 303 and turned.headers["location"] == "/sign-in?next=%2Fmodels%2Ftiny%3Fsince%3Dall"
    page = client.get(turned.headers["location"], headers=BROWSER)
    assert page.status_code == 200 and fields_of(page.text)["next"] == "/models/tiny?since=all"
    assert "tiny" not in words_of(page.text), "it tells nothing before"
    answer = sign_in(client)
    assert answer.status_code == 303 and answer.headers["location"] == "/models/tiny?since=all"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    assert client.get("/models/tiny", headers=BROWSER).status_code == 200
    assert client.get("/models/tiny").json()["model"] == "tiny", "the session is good for programs of the page as well"


def test_programs_are_refused_in_json_and_pass_with_the_token(guarded: tuple[Project, httpx.Client]) -> None:
    client = guarded[1]
    refused = client.get("/models/tiny")
    assert refused.status_code == 401 and refused.json()["error"] == "TokenRefused"
    assert client.get("/models/tiny", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/events/live").status_code == 401


def test_a_wrong_token_is_told_and_opens_nothing(guarded: tuple[Project, httpx.Client]) -> None:
    client = guarded[1]
    answer = sign_in(client, token="guessed")
    assert answer.status_code == 401 and "That is not a token" in answer.text and "set-cookie" not in answer.headers
    client.cookies.set("keepwell_session", "made-up")
    assert client.get("/models/tiny", headers=BROWSER).status_code == 303


def test_signing_in_leads_nowhere_else_and_not_from_elsewhere(guarded: tuple[Project, httpx.Client]) -> None:
    client = guarded[1]
    for elsewhere in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)"):
        assert sign_in(client, next=elsewhere).headers["location"] == "/"
    foreign = send(client, "/sign-in", {"token": TOKEN}, origin="http://elsewhere.example")
    assert foreign.status_code == 401


def test_signing_out_ends_the_session(guarded: tuple[Project, httpx.Client]) -> None:
    client = guarded[1]
    sign_in(client)
    name = client.cookies["keepwell_session"]
    fields = fields_of(client.get("/", headers=BROWSER).text)
    assert send(client, "/sign-out", {"csrf": fields["csrf"]}).headers["location"] == "/sign-in"
    client.cookies.set("keepwell_session", name)
    assert client.get("/", headers=BROWSER).status_code == 303, "the old cookie is worth nothing"


def test_a_signed_in_browser_acts_only_from_this_servers_page(guarded: tuple[Project, httpx.Client]) -> None:
    project, client = guarded
    sign_in(client)
    labels = {"labels": [{"entity": "north", "time": "2026-01-10", "label": 1.0}]}
    assert client.post("/models/tiny/labels", json=labels).status_code == 401, "no origin"
    assert client.post("/models/tiny/labels", json=labels, headers={"origin": "http://elsewhere.example"}).status_code == 401
    own = {"origin": str(client.base_url).rstrip("/")}
    assert client.post("/models/tiny/labels", json=labels, headers=own).status_code == 200
    page = client.get("/models/tiny/promote?version=2", headers=BROWSER).text
    assert send(client, "/models/tiny/promote", {**fields_of(page), "override": "yes"}).status_code == 303
    assert project.aliases()["champion"] == 2


def test_the_cookie_is_secure_over_https(guarded: tuple[Project, httpx.Client]) -> None:
    answer = sign_in(guarded[1])
    assert "Secure" not in answer.headers["set-cookie"]
    behind = send(guarded[1], "/sign-in", {"token": TOKEN}, **{"x-forwarded-proto": "https"})
    assert "Secure" in behind.headers["set-cookie"]


def test_without_a_token_nobody_signs_in(shared: tuple[Project, httpx.Client]) -> None:
    assert shared[1].get("/sign-in?next=/system", headers=BROWSER).headers["location"] == "/system"
