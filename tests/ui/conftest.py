from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import stores
from listening import listening_at
from pages import BROWSER, quiet
from projects import BUILT_AT

from keepwell import Project
from keepwell.diagnosis import Began, Cause, Explanation, Part
from keepwell.monitoring import Said, plain, record_signal

LATER = BUILT_AT.replace(day=20)


@pytest.fixture
def read() -> Callable[[httpx.Client, str], str]:
    """Get a page as a browser does; it must be there."""

    def get(client: httpx.Client, path: str) -> str:
        answer = client.get(path, headers=BROWSER)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/html"), path
        return answer.text

    return get


@pytest.fixture(scope="session")
def twice(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion, a second version, and a row in quarantine. Copy it before changing anything."""
    folder = quiet(stores.copy_project(built, tmp_path_factory.mktemp("twice") / "tiny"))
    with Project(folder) as project:
        project.run(LATER, build=True)
    with (folder / "rows.csv").open("a") as file:
        file.write("north,2026-02-05,9999.0,0.5,1\n")
    with Project(folder) as project:
        project.run(LATER.replace(month=2))
        _tell_a_decline(project)
        assert len(project.versions()) == 2 and project.quarantine(), project.history()
    return folder


def _tell_a_decline(project: Project) -> None:
    """A decline on record, as the watch tells one: the sensor of warmth is off."""
    low, at, high = (datetime(2026, 1, day, tzinfo=UTC) for day in (18, 21, 26))
    cause = Cause("scaled", "warmth", harm=0.05, error=0.01, evidence=9.0, detail="multiplied by 1.80")
    parts = (Part("harder cases", 0.01), Part("scaled in warmth", 0.05), Part("not explained", 0.005))
    found = Explanation(
        Began(at, low, high, 0.9, "step", "warmth"), (cause,), 0.05, 0.01, 0.065, 0.02, parts, 0.05, 0.02, 0.3, has_labels=True
    )
    sentence = "is declining since 21 January 2026 (18 January to 26 January 2026, 90 %). Most likely the scale changed in warmth"
    told = Said(1, datetime(2026, 2, 20, 6, tzinfo=UTC), "decline", 1, sentence, {"explanation": plain(found)})
    with project.context.database.begin() as connection:
        record_signal(connection, project.name, "told", told)


@pytest.fixture
def mine(twice: Path, tmp_path: Path) -> Iterator[tuple[Project, httpx.Client]]:
    """That project served, of the test's own."""
    with listening_at(stores.copy_project(twice, tmp_path / "tiny")) as both:
        yield both


@pytest.fixture(scope="module")
def shared(twice: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, httpx.Client]]:
    """That project served for many tests that change nothing."""
    with listening_at(stores.copy_project(twice, tmp_path_factory.mktemp("shared") / "tiny")) as both:
        yield both
