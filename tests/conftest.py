"""What tests of several rooms share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import stores
from hypothesis import settings
from longest import longest_first
from projects import BUILT_AT, tiny_project

from keepwell import Project
from keepwell.storage import ArtifactStore, Database

# A busy machine is not a failure, and the same examples every time make a failure one that can be repeated.
settings.register_profile("keepwell", deadline=None, derandomize=True)
settings.load_profile("keepwell")

DOORS = {
    "api",
    "cli",
    "doors",
    "evidence",
    "readiness",
    "reporting",
    "ui",
}  # they ask the functions that other tests have asked on every store
MARKERS = {
    "thorough(reason)": "is left to `make test-stores`: repeats, with another value, what its neighbours show",
    "once(reason)": "is not asked again of other stores by `make test`: what they could change there, its neighbours show",
    "sqlite(reason)": "runs on SQLite alone: is about its files, or gains nothing by a second run",
    "local(reason)": "is about tables or artifacts in a local folder",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thin", action="store_true", help="leave out thorough tests, and those that name the other database")
    parser.addoption("--stores", action="store_true", help="run only the tests that keep something in a database, tables or artifacts")


def pytest_configure(config: pytest.Config) -> None:
    for marker, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")
    stores.start()  # test workers started from here use the same servers


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what ran where, and add it to the file that `make test-stores` shows at the end."""
    counts = [f"{len(terminalreporter.stats.get(kind, []))} {kind}" for kind in ("passed", "failed", "error", "skipped")]
    line = f"{stores.DATABASE:10} + {stores.STORE:5}: {', '.join(counts)}"
    terminalreporter.write_line(line)
    if file := os.environ.get("KEEPWELL_TEST_COUNTS"):
        with Path(file).open("a") as written:
            written.write(line + "\n")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What keeps nothing, or is not asked again, need not be read either."""
    again = (Path(__file__).parent / name for name in (*DOORS, "guards", "../src/keepwell"))
    return True if config.getoption("--stores") and collection_path.resolve() in {path.resolve() for path in again} else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = items[:]
    if config.getoption("--thin"):
        other = "sqlite" if stores.DATABASE == "postgresql" else "postgresql"
        named = re.compile(rf"[\[-]{other}[\]-]")
        chosen = [item for item in chosen if not item.get_closest_marker("thorough") and not named.search(item.name)]
    if config.getoption("--stores"):
        chosen = [
            item
            for item in chosen
            if stores.reached_by(item) and item.path.parent.name not in DOORS and not item.get_closest_marker("once")
        ]
    left_out = set(items).difference(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = longest_first(chosen) if hasattr(config, "workerinput") else chosen


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name, chosen in (("sqlite", stores.DATABASE), ("local", stores.STORE)):
        marker = item.get_closest_marker(name)
        if marker and chosen != name:
            pytest.skip(f"{name} only: {marker.args[0]}")


@pytest.fixture(autouse=True)
def _databases_of_the_test() -> Iterator[None]:
    with stores.dropped_afterwards():
        yield


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open record, new."""
    opened = Database(stores.database_url(), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    """An artifact store, empty."""
    return ArtifactStore(stores.store_url(tmp_path, "artifacts"), tmp_path)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project whose first cycle made a champion. Copy it (`tiny`) before changing anything."""
    folder = tiny_project(tmp_path_factory.mktemp("built") / "tiny")
    with Project(folder) as project:
        record = project.run(BUILT_AT)
        assert record.status == "done" and project.aliases()["champion"] == 1, record
    return folder


@pytest.fixture
def tiny(built: Path, tmp_path: Path) -> Path:
    """A folder with a built tiny project of the test's own."""
    return stores.copy_project(built, tmp_path / "tiny")
