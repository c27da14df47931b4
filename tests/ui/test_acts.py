"""Acts from a page: shown first, done by a form of this server's own, on record; and what happens when two act at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pages import BROWSER, fields_of, send, words_of

from keepwell import Project
from keepwell.deployment import SHADOW, WAITING, Trial, begin_trial
from keepwell.errors import ActOvertaken, QuarantineNotFound
from keepwell.registry import CHALLENGER, AliasChange, set_alias


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


def test_the_champion_that_was_seen_is_asked_for_in_the_acts_own_transaction(mine: tuple[Project, httpx.Client]) -> None:
    """Eight at once, in processes or threads of their own for all the record knows: one wins, seven are told who was faster."""
    project, _ = mine

    def act(_: int) -> str:
        try:
            return project.promote(2, reason="at once", override=True, seen=1).act
        except ActOvertaken as error:
            return error.headline

    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(act, range(8)))
    assert told == ["Somebody else was faster"] * 7 + ["promote"]
    assert len(project.history(["promoted"])) == 2
    with pytest.raises(ActOvertaken, match="is version 2 now, and was version none on the page"):
        project.rollback(reason="late", seen=0)


def test_who_rehearsed_in_vain_must_tick_to_go_back(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    digest = project.version(1).model_file
    next(Path(project.folder / ".keepwell" / "artifacts").rglob(digest)).unlink()
    project.promote(2, reason="by hand", override=True)  # rehearses the way back, and keeps that it failed
    refused = agreed(client, "/models/tiny/rollback")
    assert refused.status_code == 409 and "is no way back: its rehearsal of" in words_of(refused.text)
    page = client.get("/models/tiny/rollback", headers=BROWSER)
    assert "Its rehearsal failed; go back all the same" in page.text and "keepwell rollback --override --dry-run" in page.text
    assert "The rehearsal of version 1 failed, so nobody can go back to it" in words_of(page.text)
    answer = send(client, "/models/tiny/rollback", {**fields_of(page.text), "override": "yes"})
    assert answer.status_code == 303 and project.aliases()["champion"] == 1


def test_a_challenger_is_rejected_from_the_plan(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    now = datetime.now(UTC)
    trial = Trial("trial/2", SHADOW, 2, 1, now, now + timedelta(days=28), WAITING, {"from": now.isoformat()})
    with project.context.database.begin() as connection:
        begin_trial(connection, project.name, trial)
        set_alias(connection, project.name, "trial/2/alias", AliasChange(CHALLENGER, 2, now, now, "passed", "keepwell"))
    page = client.get("/models/tiny/reject", headers=BROWSER)
    assert "keepwell reject 2" in page.text and "Reject version 2?" in page.text and "training set" in page.text
    answer = send(client, "/models/tiny/reject", {**fields_of(page.text), "reason": "too slow"})
    assert answer.status_code == 303 and project.aliases().get("challenger") is None
    assert project.history(["rejected"])[-1].sentence.endswith("rejected version 2: too slow")
    late = send(client, "/models/tiny/approve", fields_of(page.text))
    assert late.status_code == 409 and "rejected version 2: too slow" in words_of(late.text)


def test_a_version_is_built_when_asked_after_it_was_shown_what_of(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    page = client.get("/models/tiny/retrain", headers=BROWSER).text
    assert "keepwell run --build --dry-run" in page
    for what, _, then, _ in project.preview(build=True).lines:
        assert f"{what} " in words_of(page) and then in words_of(page)
    answer = send(client, "/models/tiny/retrain", fields_of(page))
    assert answer.status_code == 303, answer.text
    assert project.runs(1)[0].reason == "asked for by hand"
    again = send(client, "/models/tiny/retrain", fields_of(page))
    assert again.status_code == 409 and "ran after the page that you agreed to" in words_of(again.text)


def test_of_two_who_pause_the_second_is_told(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    page = client.get("/models/tiny/pause", headers=BROWSER).text
    for reason in ("a holiday", "another holiday"):
        assert send(client, "/models/tiny/pause", {**fields_of(page), "reason": reason}).status_code == 303
    told = words_of(client.get("/models/tiny", headers=BROWSER).text)
    assert "Somebody else was faster: tiny is paused" in told and "a holiday" in told
    assert [event.facts["reason"] for event in project.history(["paused"])] == ["a holiday"]


def test_rows_are_released_and_dropped_after_they_were_shown(mine: tuple[Project, httpx.Client]) -> None:
    project, client = mine
    row = project.quarantine()[0]
    page = client.get(f"/sources/files/decide?act=drop&row={row['row_id']}", headers=BROWSER).text
    assert f"keepwell quarantine drop {row['row_id']}" in page and row["reason"] in words_of(page)
    assert send(client, "/sources/files/decide", fields_of(page)).status_code == 303
    assert project.quarantine() == [] and project.quarantine("dropped")[0]["row_id"] == row["row_id"]
    again = send(client, "/sources/files/decide", fields_of(page))
    assert again.status_code == 404 and f"No row '{row['row_id']}' waits" in words_of(again.text)


def test_of_two_who_decide_about_a_row_at_once_one_wins(mine: tuple[Project, httpx.Client]) -> None:
    project, _ = mine
    row = project.quarantine()[0]["row_id"]

    def act(how: Callable[[list[str]], int]) -> str:
        try:
            return str(how([row]))
        except QuarantineNotFound as error:
            return error.headline

    with ThreadPoolExecutor(6) as pool:
        told = sorted(pool.map(act, [project.drop, project.release] * 3))
    assert told.count("1") == 1 and len(set(told)) == 2, told
    assert len(project.history(["quarantine_released", "quarantine_dropped"])) == 1


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
