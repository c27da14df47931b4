"""Pages by role: what may not be done is shut and says which role opens it, and sending its form all the same changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import stores
from everything import addresses
from listening import listening_at
from pages import BROWSER, fields_of, send, words_of

import keepwell
from keepwell import Project
from keepwell.access import ACTS

STEPS = re.compile(r"/(run|retrain|reject|pause|promote|rollback|approve|decide)(\?|$)")  # pages that show what an act would change
SHUT = "disabled"
Served = tuple[Project, httpx.Client, dict[str, str]]


@pytest.fixture(scope="module")
def guarded(twice: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = stores.copy_project(twice, tmp_path_factory.mktemp("roles") / "tiny")
    with Project(folder) as project:
        secrets = {role: project.create_token(f"a {role}", role=role)[0] for role in ("viewer", "operator", "maintainer", "admin")}
    with listening_at(folder) as (project, client):
        yield project, client, secrets


def signed_in(guarded: Served, role: str) -> httpx.Client:
    _, client, secrets = guarded
    client.cookies.clear()
    assert send(client, "/sign-in", {"token": secrets[role], "next": "/"}).status_code == 303
    return client


def test_every_button_of_a_template_asks_for_an_act_that_there_is() -> None:
    """Also of those that no page of the other tests shows, such as the ones of a version on trial."""
    templates = (Path(keepwell.__file__).parent / "ui/templates").glob("*.j2")
    asked = {act for file in templates for act in re.findall(r', "(\w+)"\) }}', "".join(re.findall(r"{{ lead\(.*?}}", file.read_text())))}
    assert {"approve", "promote"} <= asked <= set(ACTS)


def test_a_viewer_sees_every_page_and_finds_every_act_shut(guarded: Served) -> None:
    client, project = signed_in(guarded, "viewer"), guarded[0]
    for address in addresses(project):
        page = client.get(address, headers=BROWSER)
        assert page.status_code == (403 if STEPS.search(address) else 200), address
        assert "a viewer, viewer" in words_of(page.text).replace(" ,", ","), "who looks is said"
        assert not [one for one in re.findall(r'<a class="button" href="([^"]*)"', page.text) if STEPS.search(one)], address
        acting = [form for form in re.findall(r'<form method="post"(.*?)</form>', page.text, re.DOTALL) if "/sign-out" not in form]
        assert all(SHUT in form for form in acting), address
    assert "needs operator" in words_of(client.get("/models/tiny/incidents/1", headers=BROWSER).text)
    assert "needs operator" in words_of(client.get("/models/tiny/ledger", headers=BROWSER).text)
    csrf = fields_of(client.get("/", headers=BROWSER).text)["csrf"]
    for path in ("/models/tiny/incidents/1", "/models/tiny/pause", "/models/tiny/ledger", "/models/tiny/run"):
        assert send(client, path, {"csrf": csrf, "act": "ack"}).status_code == 403, path


def test_an_operator_acts_by_their_own_name(guarded: Served) -> None:
    client, project = signed_in(guarded, "operator"), guarded[0]
    page = client.get("/models/tiny/incidents/1", headers=BROWSER).text
    assert 'name="by"' not in page, "it is known who acts"
    fields = fields_of(page)
    assert send(client, "/models/tiny/incidents/1", {**fields, "act": "comment", "text": "seen", "by": "Jo"}).status_code == 303
    assert project.incident(1).activity[-1].by == "a operator"
    paused = client.get("/models/tiny/pause", headers=BROWSER).text
    assert send(client, "/models/tiny/pause", fields_of(paused)).status_code == 303
    assert project.history(kinds=("paused",))[-1].by == "a operator"
    assert client.get("/models/tiny/promote?version=2", headers=BROWSER).status_code == 403


def test_only_an_admin_lets_a_version_live_that_the_gate_refused(guarded: Served) -> None:
    project = guarded[0]
    client = signed_in(guarded, "maintainer")
    page = client.get("/models/tiny/promote?version=2", headers=BROWSER).text
    assert 'name="override"' not in page and "needs admin" in words_of(page)
    refused = send(client, "/models/tiny/promote", {**fields_of(page), "override": "yes"})
    assert refused.status_code == 403 and "needs the role admin, and a maintainer has maintainer" in words_of(refused.text)
    assert project.history(kinds=("access_refused",))[-1].facts["act"] == "override"
    assert project.aliases()["champion"] == 1
    client = signed_in(guarded, "admin")
    page = client.get("/models/tiny/promote?version=2", headers=BROWSER).text
    assert send(client, "/models/tiny/promote", {**fields_of(page), "override": "yes"}).status_code == 303
    assert project.aliases()["champion"] == 2 and project.history(kinds=("promoted",))[-1].by == "a admin"
