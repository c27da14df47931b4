"""The rounds of many models, and records as cards in a notebook."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from asking import said
from crowd import crowd
from pages import BROWSER, words_of
from starlette.requests import Request

from keepwell import Project
from keepwell.difference import between
from keepwell.storage import Event, record_event
from keepwell.ui.desk import Desk
from keepwell.ui.looking import row_of, show_rounds
from keepwell.ui.sessions import Sessions

pytestmark = pytest.mark.sqlite("looks at what the other tests of pages have asked of every store")

LATER = datetime(2026, 2, 21, tzinfo=UTC)
WORDS = ("well", "watch", "unwell", "unknown", "paused")


def request(query: str = "") -> Request:
    headers = [(b"accept", BROWSER["accept"].encode()), (b"host", b"127.0.0.1")]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": headers, "scheme": "http"})


@pytest.mark.parametrize(("n", "shown"), [(50, 50), (1000, 100)])
def test_of_many_models_the_worst_come_first_on_a_page_that_stays_small(shared: tuple[Project, httpx.Client], n: int, shown: int) -> None:
    desk = Desk(shared[0], Sessions(None), lambda: 0)
    row = row_of(desk, desk.mark())
    rows = [{**row, "status": replace(row["status"], model=f"model-{place:04}", word=WORDS[place % 5])} for place in range(n)]
    page = show_rounds(desk, request(), "", rows, []).body.decode()
    assert len(page) < 200_000 and page.count("<tr>") == shown + 1
    words = words_of(page)
    assert "unwell model-0002" in words and words.find("unwell model-0002") < words.rfind("model-00")
    if shown == n:
        assert words.index("unwell model-0047") < words.index("unknown model-0003") < words.index("watch model-0001")
    else:
        assert "well model-0000" not in words.replace("unwell", "")
        last = words_of(show_rounds(desk, request(f"skip={n - 100}"), "", rows, []).body.decode())
        assert "model-0995" in last and "well" in last


def test_records_are_cards_in_a_notebook(shared: tuple[Project, httpx.Client]) -> None:
    project = shared[0]
    cards = {
        "is unknown": project.status(),
        "the scale changed in warmth": project.why(),
        "Vital sign": project.checkup("30d"),
        "Version 1, passed at the gate": project.version(1),
        project.runs(1)[0].run: project.runs(1)[0],
        "tiny is unknown": project,
        "Incident 1 of tiny": project.incidents()[0],
        "What happened": project.incident(1),
        project.diff(1, 2).sentence: project.diff(1, 2),
        "From version 1 to version 2": between(project, 1, 2),
        "Version 1 became champion": project.changes(around="onset"),
        "rows in quarantine": project.inbox(),
    }
    for words, record in cards.items():
        card = record._repr_html_()
        assert words in card, card
        assert "<script" not in card and "http" not in card and len(card) < 20_000
        assert "background" not in card and ";color" not in card, "it keeps the notebook's own light or dark"


def test_a_card_holds_hostile_names_as_text(shared: tuple[Project, httpx.Client]) -> None:
    hostile = replace(shared[0].status(), model="<script>alert(1)</script>", owner="<img src=x onerror=alert(1)>" * 200)
    assert "<script" not in hostile._repr_html_() and "<img" not in hostile._repr_html_()


def test_the_other_models_of_a_record_stand_in_the_rounds_and_in_the_inbox(mine: tuple[Project, httpx.Client], read) -> None:
    project, client = mine
    crowd(project, 60)
    page = words_of(read(client, "/"))
    rounds = said(project.folder, "status", "--all")["models"]
    assert len(rounds) == 61 and rounds[0]["word"] == "unwell" and [one["word"] for one in rounds][-1] == "well"
    assert [one.model for one in project.rounds()] == [one["model"] for one in rounds]
    for one in rounds[:5]:
        assert f"{one['word']} {one['model']}" in page
    assert 'href="/models/model-' not in read(client, "/"), "their pages are elsewhere"
    assert "is paused by Mira" not in page and page.count("paused") >= 3
    found = said(project.folder, "inbox")
    kinds = [one["kind"] for one in found["items"]]
    lines = {one["command"] for one in found["items"] if one["model"] != "tiny"}
    assert lines == {""}, "typed in this project it would act on another model"
    assert kinds.count("incident") == 1 + 6 and kinds.count("approval") == 2 and kinds.count("quarantine") == 1
    assert found["sentence"] in words_of(read(client, "/inbox"))
    with project.context.database.begin() as connection:
        record_event(connection, "model-0000", "a", Event("approved", LATER, "Jo approved", {"version": 2, "by": "Jo"}))
    assert [one.model for one in project.inbox("Jo").items if one.kind == "approval"] == ["model-0050"]


def test_a_model_whose_cycles_stopped_is_unknown_in_the_rounds(mine: tuple[Project, httpx.Client]) -> None:
    """What its schedule is, is not in the record: twice the time between its last two cycles is too long."""
    project, _ = mine
    crowd(project, 4)
    words = {one.model: one.word for one in project.rounds()}
    later = {one.model: one.word for one in project.rounds(datetime.now(UTC) + timedelta(days=3))}
    assert words["model-0001"] == "watch" and later["model-0001"] == "unknown" and later["model-0000"] == "paused"
