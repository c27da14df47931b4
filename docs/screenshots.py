"""Take a picture of every page: `make screenshots`. Light and dark, wide and narrow, from a small demonstration's record.

The pictures are written into build/screenshots. `--project FOLDER` takes them of a copy of that project instead.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from keepwell import Project
from keepwell.api import create_app
from keepwell.demo import folder_for, live
from keepwell.incidents import STATES
from keepwell.rehearsal import read_policies

OUT = Path(__file__).parents[1] / "build" / "screenshots"
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
NOWHERE = "/nothing-here"  # a refusal: the browser says that it was one
UNTIL = datetime(1957, 1, 1, tzinfo=UTC)


def pages(project: Project) -> Iterator[tuple[str, str]]:
    """(name, address) of every page that the record has something for."""
    home = f"/models/{quote(project.name)}"
    yield "rounds", "/"
    yield "model", home
    yield "model-all", f"{home}?since=all"
    yield "why", f"{home}/why"
    if project.why().declines:
        yield "changes", f"{home}/changes?around=onset"
        yield "numbers", f"{home}/charts/loss?decline=1"
    yield "changes-all", f"{home}/changes?since=all"
    yield "timeline", f"{home}/history"
    yield "ledger", f"{home}/ledger"
    for row in project.predictions(limit=1):
        yield "prediction", f"{home}/predictions/{row['prediction_id']}"
    versions = project.kept_versions()
    yield "versions", f"{home}/versions"
    for number in versions[-1:]:
        yield "version", f"{home}/versions/{number}"
        yield "compare", f"{home}/versions/compare?before={versions[0]}&after={number}"
        yield "promote", f"{home}/promote?version={next(one for one in versions if one != project.aliases().get('champion'))}"
    if "previous" in project.aliases():
        yield "rollback", f"{home}/rollback"
    yield "run-now", f"{home}/run"
    yield "retrain", f"{home}/retrain"
    yield "runs", "/runs"
    for run in project.runs(1):
        yield "run", f"/runs/{run.run}"
    yield "plan", f"{home}/plan"
    yield "policy", f"{home}/policy"
    yield "inbox", "/inbox"
    yield "pause", f"{home}/pause"
    yield "incidents", f"{home}/incidents?all=1"
    for incident in project.incidents(STATES, 1):
        yield "incident", f"{home}/incidents/{incident.number}"
    yield "source", f"/sources/{quote(project.settings.source.kind)}"
    yield "checkups", f"/checkups/{quote(project.name)}"
    for event in project.checkups()[-1:]:
        yield "checkup", f"/checkups/{quote(project.name)}/{quote(event.facts['period'])}"
    yield "system", "/system"
    yield "record", "/record"
    yield "refusal", NOWHERE


@contextmanager
def serving(project: Project) -> Iterator[str]:
    """A server in a thread of this process."""
    app = create_app(project)
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on", log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.05)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


def take(project: Project, only: list[str], widths: tuple[int, ...], themes: tuple[str, ...]) -> None:
    """Take the pictures, and say what went wrong in the browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no chromium on the path; on Debian: apt-get install chromium")
    axe = Axe()
    OUT.mkdir(parents=True, exist_ok=True)
    with serving(project) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for theme in themes:
            for width in widths:
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
                page = context.new_page()
                page.on("console", lambda said, page=page: page.url.endswith(NOWHERE) or print(f"console {said.type}: {said.text}"))
                page.on("request", lambda asked: None if asked.url.startswith(address) else print(f"outside: {asked.url}"))
                for name, path in pages(project):
                    if only and name not in only:
                        continue
                    page.goto(address + path, wait_until="load", timeout=120_000)
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        print(f"{name} is {wide} wide at {width}")
                    for one in axe.run(page).response["violations"]:
                        if one["impact"] in ("serious", "critical"):
                            print(f"{name} at {width}, {theme}: {one['help']}: {one['nodes'][0]['html'][:150]}")
                    page.screenshot(path=OUT / f"{name}-{width}-{theme}.png", full_page=True)
                context.close()
        browser.close()
    print(f"Written: {OUT}")


def main() -> None:
    """Make the record, then the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, help="a project to copy, instead of a small demonstration")
    parser.add_argument("--only", nargs="*", default=[], help="names of pages")
    parser.add_argument("--width", type=int, action="append")
    parser.add_argument("--theme", action="append", choices=THEMES)
    given = parser.parse_args()
    folder = OUT.parent / ("screenshots-copy" if given.project else "screenshots-project") / "rain"
    if given.project is not None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(given.project, folder)
    flags = {"schedule": {"cron": ""}}  # the demonstration's time is long past: it would be called silent
    if given.project is None:
        with folder_for(folder) as project:
            live(project, timedelta(days=28), lambda moment, events: None, until=UNTIL)
            if project.rehearsed() is None:
                project.rehearse(read_policies(["never", "yearly", "as-is"]), every=timedelta(days=56))
    with Project(folder, flags) as project:
        take(project, given.only, tuple(given.width or WIDTHS), tuple(given.theme or THEMES))


if __name__ == "__main__":
    main()
