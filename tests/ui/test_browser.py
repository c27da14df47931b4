"""In a real browser: each question within its clicks, live updates, no outside request, no error, and readable by all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stores
from asking import said, told
from crowd import HOSTILE, crowd
from everything import kinds
from listening import listening_at

from keepwell import Project

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is on the path; on Debian: apt-get install chromium"),
    pytest.mark.sqlite("looks at what the other tests of pages have asked of every store"),
]
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page of the browser that counts clicks and notes what goes wrong."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address, self.clicks = page, address, 0
        self.wrong: list[str] = []
        page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(address) else self.wrong.append(asked.url))

    def open(self, path: str = "/") -> Visit:
        self.page.goto(self.address + path)
        self.clicks = 0
        return self

    def click(self, name: str, role: str = "link") -> Visit:
        self.page.get_by_role(role, name=name, exact=True).first.click()
        self.clicks += 1
        return self

    def follow(self, about: str) -> Visit:
        """Click what is said about something on a card."""
        self.page.locator("dt", has_text=about).locator("xpath=following-sibling::dd").get_by_role("link").first.click()
        self.clicks += 1
        return self

    def text(self) -> str:
        return " ".join(self.page.locator("main").inner_text().split())

    def says(self, text: str) -> bool:
        return text in self.text()


@pytest.fixture
def visit(browser: Any, shared: tuple[Project, httpx.Client]) -> Iterator[Visit]:
    context = browser.new_context()
    visiting = Visit(context.new_page(), str(shared[1].base_url).rstrip("/"))
    yield visiting
    context.close()
    assert visiting.wrong == []


QUESTIONS = [  # field's questions; where one clicks from the rounds ("about:" follows a clause of the card); what the command line says
    ("is it well?", [], lambda folder: [told(folder, "status").splitlines()[0]]),
    ("since when not, and why first?", [], lambda folder: ["Since 21 January 2026", "First cause", "the scale changed in warmth"]),
    ("who is on it?", [], lambda folder: [f"Owner {dict(_lines(folder))['Owner']}"]),
    ("what comes next by itself?", [], lambda folder: [said(folder, "next")["sentence"]]),
    ("how sure are you?", ["tiny"], lambda folder: [said(folder, "why")["sentence"], "(18 January to 26 January 2026, 90 %)"]),
    ("why, the first three?", ["tiny"], lambda folder: [one["sentence"] for one in said(folder, "why")["declines"][0]["causes"][:3]]),
    ("why, all?", ["tiny", "Why"], lambda folder: [one["sentence"] for one in said(folder, "why")["declines"][0]["causes"]]),
    (
        "what changed just before?",
        ["tiny", "What changed just before"],
        lambda folder: [said(folder, "changes", "--around", "onset")["sentence"], "Asked about: 18 January 2026 to 26 January 2026"],
    ),
    ("have they answered?", ["about:Incident"], lambda folder: [said(folder, "incidents", "show", "1")["sentence"]]),
    ("what was tried?", ["about:Incident"], lambda folder: ["What was tried, and whether it helped"]),
    (
        "why has it not retrained?",
        ["tiny", "The plan"],
        lambda folder: [brake["sentence"] for brake in said(folder, "next", "--why-not")["brakes"]],
    ),
    ("what serves, since when?", ["tiny"], lambda folder: [f"Serving {dict(_lines(folder))['Serving']}"]),
    ("how much of the truth is in?", ["tiny"], lambda folder: [f"Labels {dict(_lines(folder))['Labels']}", "in this range have a label"]),
    ("is the new one better?", ["tiny", "Is it better?"], lambda folder: [said(folder, "diff", "1", "2")["sentence"]]),
    ("what waits for me?", ["Inbox"], lambda folder: [said(folder, "inbox")["sentence"]]),
    ("is Keepwell itself well?", [], lambda folder: ["Keepwell itself: ● done"]),
    ("what is wrong with Keepwell?", ["Look closer"], lambda folder: [one["message"] for one in said(folder, "doctor")["findings"][:2]]),
    ("what do I show the auditor?", ["tiny", "Check-ups"], lambda folder: ["keepwell record bundle"]),
]


def _lines(folder: Path) -> list[tuple[str, str]]:
    with Project(folder) as project:
        return list(project.status().lines)


@pytest.mark.parametrize(("question", "path", "words"), QUESTIONS, ids=[question for question, *_ in QUESTIONS])
def test_a_question_is_answered_within_its_clicks_in_the_words_of_the_command_line(
    visit: Visit, shared: tuple[Project, httpx.Client], question: str, path: list[str], words: Callable[[Path], list[str]]
) -> None:
    visit.open()
    for name in path:
        visit.follow(name.removeprefix("about:")) if name.startswith("about:") else visit.click(name)
    assert visit.clicks == len(path) <= 2
    page = visit.text()
    for one in words(shared[0].folder):
        assert " ".join(one.replace("`", "").split()).rstrip(".") in page, (question, one, page)


def test_what_served_at_a_moment_and_one_answer_are_two_clicks_and_a_word_away(visit: Visit, shared: tuple[Project, httpx.Client]) -> None:
    project = shared[0]
    visit.open().click("tiny").click("Versions")
    assert visit.clicks == 2
    visit.page.locator("input[name=at]").fill("2026-01-20T14:00")
    visit.page.get_by_role("button", name="Ask").click()
    assert visit.says(told(project.folder, "serving", "--at", "2026-01-20T14:00").splitlines()[0])
    kept = project.predictions(limit=1)[0]["prediction_id"]
    visit.open().click("tiny").click("Predictions")
    visit.page.locator("input[name=id]").fill(kept)
    visit.page.get_by_role("button", name="Follow").click()
    assert visit.says(said(project.folder, "explain", kept)["sentence"]) and visit.says(kept)


def test_a_rollback_is_two_clicks_and_shows_first_what_it_would_change(browser: Any, twice: Path, tmp_path: Path) -> None:
    folder = stores.copy_project(twice, tmp_path / "tiny")
    with Project(folder) as project:
        project.promote(2, reason="by hand", override=True)
    with listening_at(folder) as (project, client):
        context = browser.new_context()
        visiting = Visit(context.new_page(), str(client.base_url).rstrip("/")).open()
        visiting.click("Roll back to version 1")
        for line in said(folder, "rollback", "--dry-run")["difference"]["lines"]:
            assert visiting.says(" ".join(f"{line['what']} {line['before']} {line['after']} {line['remark']}".split()))
        assert visiting.says("Version 1 was rehearsed: it was loaded and answered its")
        visiting.click("Roll back", "button")
        assert visiting.clicks == 2 and project.aliases()["champion"] == 1
        assert visiting.says("Rolled back from version 2 to version 1: by hand.") and visiting.wrong == []
        context.close()


def test_with_many_models_the_browser_asks_for_nothing_else_and_nothing_goes_wrong(browser: Any, twice: Path, tmp_path: Path) -> None:
    with listening_at(stores.copy_project(twice, tmp_path / "tiny")) as (project, client):
        crowd(project, 50)
        context = browser.new_context()
        visiting = Visit(context.new_page(), str(client.base_url).rstrip("/")).open()
        assert visiting.says("51 models:") and visiting.page.locator("tbody tr").count() == 51
        assert visiting.says(HOSTILE), "a name is only text"
        visiting.click("Inbox")
        assert visiting.says(said(project.folder, "inbox")["sentence"]) and visiting.wrong == []
        context.close()


def test_every_page_is_readable_by_all_in_light_and_dark(browser: Any, shared: tuple[Project, httpx.Client]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    project, client = shared
    address, axe = str(client.base_url).rstrip("/"), Axe()
    found = []
    everything, home = kinds(project), "/models/tiny"
    # What has all colours; `make screenshots` asks every page in both.
    dark = [
        "/",
        home,
        f"{home}/why",
        f"{home}/incidents/1",
        f"{home}/run",
        "/sources/files",
        "/system",
    ]  # all colours; `make screenshots` asks all
    for scheme, paths, options in (("light", everything, {}), ("dark", dark, {"runOnly": ["color-contrast"]})):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        for path in paths:
            page.goto(address + path, wait_until="domcontentloaded")
            found += [
                (scheme, path, one["id"], [node["html"][:150] for node in one["nodes"][:3]])
                for one in axe.run(page, options=options).response["violations"]
                if one["impact"] in SERIOUS
            ]
        context.close()
    assert found == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(browser: Any, shared: tuple[Project, httpx.Client], width: int) -> None:
    project, client = shared
    context = browser.new_context(viewport={"width": width, "height": 800})
    visiting = Visit(context.new_page(), str(client.base_url).rstrip("/"))
    wide = []
    for path in kinds(project):
        visiting.open(path)
        wide += [path] if visiting.page.evaluate("document.documentElement.scrollWidth > innerWidth") else []
    context.close()
    assert wide == [] and visiting.wrong == []


def test_everything_is_there_without_javascript(browser: Any, shared: tuple[Project, httpx.Client]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{str(shared[1].base_url).rstrip('/')}/models/tiny?since=all")
    assert shared[0].status().headline.replace("`", "") in page.locator("main").inner_text()
    assert page.locator("img.chart").count() == 1
    context.close()


def test_the_keyboard_leads_to_the_content_and_to_the_search(visit: Visit) -> None:
    visit.open("/models/tiny/history")
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.textContent") == "To the content"
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("location.hash") == "#main"
    visit.page.keyboard.press("/")
    assert visit.page.evaluate("document.activeElement.name") == "words"


def test_an_act_in_the_browser_shows_on_a_page_that_somebody_else_watches(browser: Any, twice: Path, tmp_path: Path) -> None:
    with listening_at(stores.copy_project(twice, tmp_path / "tiny")) as (project, client):
        address = str(client.base_url).rstrip("/")
        context = browser.new_context()
        watching, acting = (Visit(context.new_page(), address) for _ in range(2))
        watching.open("/models/tiny")
        assert not watching.says("in place of 1: agreed")
        acting.open("/models/tiny/versions/2").click("Make it champion")
        if not project.version(2).passed:
            acting.page.get_by_label("let it live all the same").check()
        acting.page.get_by_label("Why").fill("agreed with <Mira>")
        acting.click("Make it champion", "button")
        assert acting.says("Version 2 became champion in place of 1: agreed with <Mira>.")
        assert project.aliases()["champion"] == 2
        watching.page.get_by_text("Version 2 became champion in place of 1: agreed with <Mira>").first.wait_for(timeout=15_000)
        assert watching.wrong == [] and acting.wrong == []
        context.close()
