"""In a real browser: each question within its clicks, live updates, no outside request, no error, and readable by all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stores
from everything import addresses
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

    def says(self, text: str) -> bool:
        return text in " ".join(self.page.locator("main").inner_text().split())


@pytest.fixture
def visit(browser: Any, shared: tuple[Project, httpx.Client]) -> Iterator[Visit]:
    context = browser.new_context()
    visiting = Visit(context.new_page(), str(shared[1].base_url).rstrip("/"))
    yield visiting
    context.close()
    assert visiting.wrong == []


def test_rounds_answers_without_a_click(visit: Visit, shared: tuple[Project, httpx.Client]) -> None:
    status = shared[0].status()
    visit.open()
    assert visit.says(status.headline) and visit.clicks == 0
    for about in ("Since", "First cause", "Serving", "Next cycle", "Owner", "Last check-up"):
        assert visit.page.locator("dt", has_text=about).count() == 1, about
    assert visit.says("Keepwell itself:")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (["tiny"], "of those that are due are in"),  # how much of the truth is in; how sure
        (["tiny"], "the scale changed in warmth"),  # why, the first three
        (["tiny", "What changed just before"], "Version 1 became champion"),
        (["tiny", "The plan"], "What the last cycles decided"),  # why has it not retrained
        (["tiny", "Versions"], "is served by version 1"),
        (["tiny", "Predictions"], "Follow one, by its id"),
        (["tiny", "Data"], "What came when"),
        (["tiny", "Check-ups"], "Written check-ups"),
        (["Look closer"], "Is Keepwell itself well?"),
        (["Record"], "Lines are added, never changed"),
    ],
    ids=lambda value: " > ".join(value) if isinstance(value, list) else None,
)
def test_a_question_is_answered_within_its_clicks(visit: Visit, path: list[str], words: str) -> None:
    visit.open()
    for name in path:
        visit.click(name)
    assert visit.clicks == len(path) <= 2
    assert visit.says(words), visit.page.locator("main").inner_text()


def test_every_page_is_readable_by_all_in_light_and_dark(browser: Any, shared: tuple[Project, httpx.Client]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    project, client = shared
    address, axe = str(client.base_url).rstrip("/"), Axe()
    found = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        for path in addresses(project):
            page.goto(address + path)
            found += [
                (scheme, path, one["id"], [node["html"][:150] for node in one["nodes"][:3]])
                for one in axe.run(page).response["violations"]
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
    for path in addresses(project):
        visiting.open(path)
        wide += [path] if visiting.page.evaluate("document.documentElement.scrollWidth > innerWidth") else []
    context.close()
    assert wide == [] and visiting.wrong == []


def test_everything_is_there_without_javascript(browser: Any, shared: tuple[Project, httpx.Client]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{str(shared[1].base_url).rstrip('/')}/models/tiny?since=all")
    assert shared[0].status().headline in page.locator("main").inner_text()
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
