"""Acts from a page: shown first, done by a form of this server's own, on record; and what happens when two act at once."""

from __future__ import annotations

import httpx
import pytest
from pages import BROWSER, fields_of, send, words_of

from keepwell import Project


def agreed(client: httpx.Client, path: str, **more: object) -> httpx.Response:
    """Open a confirm page, and send its form."""
    page = client.get(path, headers=BROWSER)
    assert page.status_code == 200, page.text
    return send(client, path.partition("?")[0], {**fields_of(page.text), **more})


def test_a_promotion_is_shown_first_then_done_told_and_on_record(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    page = client.get("/models/tiny/promote?version=2", headers=BROWSER)
    assert "keepwell promote 2" in page.text and project.aliases()["champion"] == 1
    override = {} if project.version(2).passed else {"override": "yes"}
    answer = send(client, "/models/tiny/promote", {**fields_of(page.text), "reason": "agreed with Mira", **override})
    assert answer.status_code == 303 and project.aliases()["champion"] == 2
    event = project.history(["promoted"])[-1]
    assert event.sentence == "Version 2 became champion in place of 1: agreed with Mira"
    assert f"{event.sentence}." in words_of(client.get(answer.headers["location"], headers=BROWSER).text)
    assert f"{event.sentence}." not in words_of(client.get("/models/tiny/plan", headers=BROWSER).text), "it is told once"


def test_a_rollback_goes_back(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    project.promote(2, reason="by hand", override=True)
    answer = agreed(client, "/models/tiny/rollback", reason="answers look wrong")
    assert answer.status_code == 303 and project.aliases()["champion"] == 1
    assert project.history(["rolled_back"])[-1].sentence == "Rolled back from version 2 to version 1: answers look wrong"


def test_a_version_that_the_gate_refused_needs_a_tick(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    if project.version(2).passed:
        pytest.skip("the second version passed the gate")
    assert "let it live all the same" in client.get("/models/tiny/promote?version=2", headers=BROWSER).text
    answer = agreed(client, "/models/tiny/promote?version=2")
    assert answer.status_code == 409 and "the gate refused it" in words_of(answer.text)
    assert project.aliases()["champion"] == 1


def test_of_two_who_act_at_once_one_wins_and_the_other_is_told(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    project.promote(2, reason="by hand", override=True)
    with httpx.Client(base_url=client.base_url) as other:
        pages = [one.get("/models/tiny/rollback", headers=BROWSER).text for one in (client, other)]
        answers = [send(one, "/models/tiny/rollback", fields_of(page)) for one, page in zip((client, other), pages, strict=True)]
    assert [answer.status_code for answer in answers] == [303, 409]
    assert "the champion of 'tiny' is version 1 now, and was version 2 on the page that you agreed to" in words_of(answers[1].text)
    assert len(project.history(["rolled_back"])) == 1


def test_rows_are_released_and_dropped_after_they_were_shown(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    row = project.quarantine()[0]
    page = client.get(f"/sources/files/decide?act=drop&row={row['row_id']}", headers=BROWSER).text
    assert f"keepwell quarantine drop {row['row_id']}" in page and row["reason"] in words_of(page)
    assert send(client, "/sources/files/decide", fields_of(page)).status_code == 303
    assert project.quarantine() == [] and project.quarantine("dropped")[0]["row_id"] == row["row_id"]
    again = send(client, "/sources/files/decide", fields_of(page))
    assert again.status_code == 404 and f"No row '{row['row_id']}' waits" in words_of(again.text)


def test_a_prediction_can_be_tried_and_is_followed(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    page = client.get("/models/tiny/ledger", headers=BROWSER).text
    values = {"feature.warmth": "12.5", "feature.cloud": "0.9"}
    answer = send(client, "/models/tiny/ledger", {**fields_of(page), **values})
    assert answer.status_code == 303, answer.text
    followed = words_of(client.get(answer.headers["location"], headers=BROWSER).text)
    assert "warmth 12.5" in followed and "Version 1" in followed
    kept = project.prediction(answer.headers["location"].rpartition("/")[2])
    assert kept["inputs"] == {"warmth": 12.5, "cloud": 0.9} and kept["origin"] == "by hand"


def test_a_value_that_is_no_number_is_refused_beside_what_was_given(mine: tuple[Project, httpx.Client]) -> None:
    client = mine[1]
    page = client.get("/models/tiny/ledger", headers=BROWSER).text
    answer = send(client, "/models/tiny/ledger", {**fields_of(page), "feature.warmth": "warm", "feature.cloud": "0.9"})
    assert answer.status_code == 422 and "'warmth' is 'warm'" in words_of(answer.text) and 'value="0.9"' in answer.text


def test_a_cycle_runs_when_asked(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    before = len(project.cycles())
    answer = agreed(client, "/models/tiny/run")
    assert answer.status_code == 303 and len(project.cycles()) == before + 1
    assert "The cycle of" in words_of(client.get(answer.headers["location"], headers=BROWSER).text)


def test_a_form_of_another_page_changes_nothing(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    project.promote(2, reason="by hand", override=True)
    fields = fields_of(client.get("/models/tiny/rollback", headers=BROWSER).text)
    elsewhere = send(client, "/models/tiny/rollback", fields, origin="http://elsewhere.example")
    nowhere = client.post("/models/tiny/rollback", data=fields, headers=BROWSER)
    unmarked = send(client, "/models/tiny/rollback", {**fields, "csrf": "guessed"})
    rebound = send(client, "/models/tiny/rollback", fields, host="evil.example", origin="http://evil.example")
    with httpx.Client(base_url=client.base_url) as other:
        stolen = send(other, "/models/tiny/rollback", fields)
    for answer in (elsewhere, nowhere, unmarked, rebound, stolen):
        assert answer.status_code == 403, answer.text
        assert "Nothing was changed" in words_of(answer.text)
    assert project.aliases()["champion"] == 2


def test_an_act_is_never_done_by_a_link(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    project.promote(2, reason="by hand", override=True)
    for path in ("/models/tiny/rollback", "/models/tiny/promote?version=1", "/models/tiny/run", "/sign-out"):
        client.get(path, headers=BROWSER)
    assert project.aliases()["champion"] == 2
