"""Every page answers, in the words of the command line, with nothing from outside."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest
import stores
from asking import said, told
from everything import addresses
from listening import listening_at
from pages import BROWSER, quiet, words_of
from projects import BUILT_AT, tiny_project, tiny_rows

from keepwell import Project
from keepwell.rehearsal import Outcome, Rehearsal, keep, read_policies
from keepwell.serving import LEDGER

OUTSIDE = re.compile(r"(?:https?:)?//(?!www\.w3\.org/)[\w.-]+\.\w|url\(", re.IGNORECASE)
LARGEST = 200_000
SCRIPT = '<script>alert("x")</script>'
LONG = "n" * 5000
RIGHT_TO_LEFT = "\u202eשלום"


def test_every_page_is_there_small_and_without_anything_from_outside(shared: tuple[Project, httpx.Client]) -> None:
    project, client = shared
    for path in addresses(project):
        answer = client.get(path, headers=BROWSER)
        assert answer.status_code == 200, (path, answer.text)
        assert len(answer.content) < LARGEST, path
        assert OUTSIDE.findall(answer.text) == [], path
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        assert "style=" not in answer.text and "onclick" not in answer.text, path


def test_assets_hold_nothing_from_outside_and_may_be_kept(shared: tuple[Project, httpx.Client]) -> None:
    _, client = shared
    page = client.get("/", headers=BROWSER).text
    files = set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', page))
    assert {file.rpartition("/")[2] for file in files} == {"pages.css", "pages.mjs", "mark.svg"}
    for file in files:
        answer = client.get(file)
        assert "immutable" in answer.headers["cache-control"]
        assert OUTSIDE.findall(answer.text.replace('xmlns="http://www.w3.org/2000/svg"', "")) == [], file


def test_a_program_gets_json_where_a_browser_gets_a_page(shared: tuple[Project, httpx.Client]) -> None:
    _, client = shared
    for path in ("/", "/models/tiny", "/models/tiny/why", "/models/tiny/versions", "/models/tiny/history"):
        for accept in ({}, {"accept": "*/*"}, {"accept": "application/json"}):
            answer = client.get(path, headers=accept)
            assert answer.headers["content-type"] == "application/json", path
            assert "Accept" in answer.headers["vary"]
        page = client.get(path, headers=BROWSER)
        assert page.headers["content-type"].startswith("text/html")
        assert "Accept" in page.headers["vary"]


def test_pages_say_what_the_command_line_says(shared: tuple[Project, httpx.Client], read) -> None:
    project, client = shared
    status, why = said(project.folder, "status"), said(project.folder, "why")
    headline = project.status().headline
    assert headline in status["sentence"]
    for path in ("/", "/models/tiny"):
        page = words_of(read(client, path))
        assert headline.replace("`", "") in page
        for about, clause in project.status().lines:
            assert f"{about} {clause}" in page
    assert why["sentence"] in words_of(read(client, "/models/tiny/why"))
    serving = told(project.folder, "serving").splitlines()[0]
    assert serving in words_of(read(client, "/models/tiny/versions"))
    difference = said(project.folder, "promote", "2", "--dry-run")["difference"]
    confirm = words_of(read(client, "/models/tiny/promote?version=2"))
    for line in difference["lines"]:
        assert " ".join(f"{line['what']} {line['before']} {line['after']} {line['remark']}".split()) in confirm
    assert project.diff(1, 2).sentence in words_of(read(client, "/models/tiny/versions/compare?before=1&after=2"))
    for event in project.history(limit=3):
        assert event.kind.replace("_", " ") in words_of(read(client, "/models/tiny/history"))


def test_what_served_at_a_moment_is_told(shared: tuple[Project, httpx.Client], read) -> None:
    _, client = shared
    page = words_of(read(client, "/models/tiny/versions?at=2026-01-20T14:00"))
    assert "At 20 January 2026 14:00 tiny was served by version 1, since 15 January 2026 06:00." in page
    assert "At 20 January 2020 tiny had no version that serves." in words_of(read(client, "/models/tiny/versions?at=2020-01-20"))


def test_one_range_rules_what_a_page_shows_and_what_it_links_to(shared: tuple[Project, httpx.Client], read) -> None:
    _, client = shared
    early = "?since=2026-01-01&until=2026-01-31"
    page = read(client, f"/models/tiny{early}")
    assert f'href="/models/tiny/why{early.replace("&", "&amp;")}"' in page
    history = words_of(read(client, f"/models/tiny/history{early}"))
    assert "2026-01-15" in history and "2026-02-20" not in history
    assert "Version 2" not in words_of(read(client, "/models/tiny/history?since=2025-01-01&until=2025-02-01"))


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/models/other", 404, "Model 'other' is not known here"),
        ("/models/tiny/versions/9", 404, "no version or alias '9'"),
        ("/runs/build-never", 404, "No run 'build-never'"),
        ("/nothing", 404, "There is no GET /nothing"),
        ("/models/tiny?since=tomorrow", 422, "'since' is 'tomorrow'"),
        ("/models/tiny?since=2026-02-01&until=2026-01-01", 422, "ends before it begins"),
        ("/models/tiny/charts/none.svg", 404, "There is no GET /models/tiny/charts/none.svg"),
        ("/sources/other", 404, "There is no GET /sources/other"),
        ("/checkups/tiny/never", 422, "'never' is no period"),
        ("/models/tiny/promote?version=1", 409, "it is the champion already"),
        ("/models/tiny/rollback", 409, "was not rolled back"),
        ("/sources/files/decide?act=release&row=none", 404, "No row 'none' waits"),
        ("/models/tiny/predictions/none", 404, "No prediction 'none' is kept"),
    ],
)
def test_a_refusal_is_a_page_in_the_words_of_every_door(shared: tuple[Project, httpx.Client], path: str, status: int, words: str) -> None:
    answer = shared[1].get(path, headers=BROWSER)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert words in words_of(answer.text)


def test_a_program_at_a_pages_address_is_refused_in_json(shared: tuple[Project, httpx.Client]) -> None:
    for path, error in (("/models/tiny/versions/9", "VersionNotFound"), ("/runs/build-never", "RunNotFound")):
        answer = shared[1].get(path)
        assert answer.status_code == 404 and answer.json()["error"] == error


def test_charts_are_pictures_that_follow_light_and_dark(shared: tuple[Project, httpx.Client], read) -> None:
    _, client = shared
    page = read(client, "/models/tiny?since=all")
    sources = [source.replace("&amp;", "&") for source in re.findall(r'(?:src|srcset)="(/models/tiny/charts/[^"]+)"', page)]
    assert len(sources) == 2, "a wide and a narrow one"
    for source in sources:
        answer = client.get(source)
        assert answer.headers["content-type"] == "image/svg+xml"
        assert "prefers-color-scheme:dark" in answer.text and "immutable" in answer.headers["cache-control"]
    assert "<summary>The numbers</summary>" in page


def test_before_anything_has_happened_pages_say_what_to_type(tmp_path: Path, read) -> None:
    with listening_at(quiet(tiny_project(tmp_path / "tiny"))) as (project, client):
        for path in addresses(project):
            if not path.startswith("/checkups/tiny/"):
                assert client.get(path, headers=BROWSER).status_code == 200, path
        first = words_of(read(client, "/"))
        assert "it has not been checked yet; keepwell run does" in first
        for line in ("keepwell check", "keepwell run --build", "keepwell backfill --from", "keepwell up"):
            assert line in first, "what to type next"
        assert "keepwell rehearse" in words_of(read(client, "/models/tiny/policy"))
        assert said(project.folder, "inbox")["sentence"] in words_of(read(client, "/inbox"))
        assert "unknown" in words_of(read(client, "/models/tiny"))
        assert "No cycle has run yet. keepwell run begins." in words_of(read(client, "/system"))
        assert "No version serves yet" in words_of(read(client, "/models/tiny/ledger"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose sites have hostile names, and whose owner is one."""
    owner = f'\n[owner]\nowner = "{SCRIPT.replace(chr(34), "")}"\ndeputy = "{LONG}"\n'
    folder = quiet(tiny_project(tmp_path_factory.mktemp("hostile") / "tiny", settings=owner))
    rows = pl.concat([tiny_rows(seed=seed).with_columns(site=pl.lit(name)) for seed, name in enumerate((SCRIPT, LONG, RIGHT_TO_LEFT), 5)])
    rows.write_csv(folder / "rows.csv")
    with Project(folder) as project:
        assert project.run(BUILT_AT).status == "done"
        moment = datetime(2026, 1, 14, tzinfo=UTC)
        odd = {"prediction_id": SCRIPT, "entity": SCRIPT, "time": moment, "version": 1, "answer": float("nan"), "made_at": moment}
        odd |= {"origin": SCRIPT, "inputs": json.dumps({SCRIPT: LONG, RIGHT_TO_LEFT: None})}
        lives = {"what": LONG, "score": float("nan"), "by_year": (), "rolling": (("2026-01-01", float("nan")), ("2026-01-02", 0.2))}
        counted = dict.fromkeys(
            ("days", "days_below", "builds", "promotions", "refused", "alarms", "false_alarms", "cycles", "failed", "rows"), 0
        )
        outcomes = tuple(Outcome(policy=name, **lives, **counted, seconds=1.0) for name in (SCRIPT, LONG, RIGHT_TO_LEFT))
        keep(project.context, Rehearsal("tiny", SCRIPT, moment, moment, 1.0, 365.0, None, outcomes, 1.0), moment)
        with project.context.database.begin() as connection:
            project.context.predictions.append(connection, "odd", pl.DataFrame([odd], schema=LEDGER), moment)
    return folder


def test_hostile_names_and_values_are_only_text(hostile: Path, tmp_path: Path) -> None:
    with listening_at(stores.copy_project(hostile, tmp_path / "tiny")) as (project, client):
        paths = [*addresses(project), "/models/tiny/predictions/%3Cscript%3Ealert(%22x%22)%3C%2Fscript%3E"]
        paths += ["/models/tiny/charts/rehearsal", "/models/tiny/charts/rehearsal.svg", "/inbox?who=%3Cscript%3Ealert(1)%3C%2Fscript%3E"]
        paths.append("/models/tiny/history?words=%3Cscript%3Ealert(1)&kind=%22%3E%3Cscript%3E")
        for path in paths:
            answer = client.get(path, headers=BROWSER)
            assert answer.status_code in (200, 404), path
            assert len(answer.content) < LARGEST, path
            assert "<script>alert" not in answer.text and "alert(1)</script" not in answer.text, path
        ledger = client.get("/models/tiny/ledger", headers=BROWSER).text
        assert "&lt;script&gt;" in ledger and "<bdi>" in ledger


def test_the_newest_rehearsal_is_on_the_policy_page_with_the_line_that_makes_it(hostile: Path, tmp_path: Path) -> None:
    with listening_at(stores.copy_project(hostile, tmp_path / "tiny")) as (project, client):
        page = words_of(client.get("/models/tiny/policy", headers=BROWSER).text)
        assert "Rehearsed on 14 January 2026" in page and "keepwell rehearse" in page and "No policy answered a row" in page
        kept = project.rehearsed()
        again = project.rehearse(read_policies(["never"]), since=BUILT_AT - timedelta(days=9), every=timedelta(days=3), workers=1)
        assert kept is not None and project.rehearsed()[0] > kept[0] and project.rehearsed()[1] == again, "the newest takes its place"


def test_a_number_that_is_none_is_a_dash(hostile: Path, tmp_path: Path) -> None:
    with listening_at(stores.copy_project(hostile, tmp_path / "tiny")) as (_, client):
        page = words_of(client.get("/models/tiny/predictions/%3Cscript%3Ealert(%22x%22)%3C%2Fscript%3E", headers=BROWSER).text)
        assert "nan" not in page.lower().split()
