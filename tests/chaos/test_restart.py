"""A PostgreSQL that crashes and comes back in the middle of a cycle: told, or waited for, and the record ends the same."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stores
from dbos import DBOS
from projects import BUILT_AT, tiny_project
from record import decided, first_difference, record_of

from keepwell import Project
from keepwell.errors import StorageUnavailable
from keepwell.orchestration import cycle
from keepwell.storage import Database

Restart = Callable[[], None]
PLACES = ["observations", "train", "predictions"]
SHAPED = "keepwell_shaped"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Restart]]:
    """A server of this file's own, so that no other test meets the restarts."""
    with stores.own_postgres() as (url, restart):
        stores._run(url, f"CREATE DATABASE {SHAPED}")
        record = Database(stores._with_name(url, SHAPED), Path())
        DBOS.migrate(record.url)
        record.close()
        yield url, restart


def on_server(folder: Path, url: str) -> Path:
    """A tiny project with its record in a new database of the server."""
    name = f"keepwell_{uuid.uuid4().hex}"
    stores._run(url, f"CREATE DATABASE {name} TEMPLATE {SHAPED}")
    tiny_project(folder)
    settings, url = folder / "keepwell.toml", stores._with_name(url, name)
    text = "\n".join(line for line in settings.read_text().splitlines() if not line.startswith("database = "))
    section = "" if "[store]" in text else "\n[store]"
    settings.write_text(f"{text}{section}\n".replace("[store]", f'[store]\ndatabase = "{url}"'))
    return folder


@pytest.fixture(scope="module")
def calm(server: tuple[str, Restart], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first cycle on that server that nothing disturbed."""
    folder = on_server(tmp_path_factory.mktemp("calm") / "tiny", server[0])
    with Project(folder) as project:
        project.run(BUILT_AT)
    return folder


def restart_in(project: Project, place: str, restart: Restart, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Restart the server once: inside the transaction that adds rows to a table, or between a step's work and its record."""
    done: list[str] = []

    def once() -> None:
        if not done:
            done.append(place)
            restart()

    if place == "train":
        step = cycle.step

        def restarting(name: str, function: Any, *arguments: Any) -> Any:
            def work(*given: Any) -> Any:
                result = function(*given)
                if name == place:
                    once()
                return result

            return step(name, work, *arguments)

        monkeypatch.setattr(cycle, "step", restarting)
    else:
        table = getattr(project.context, place)
        append = table.append

        def appending(*given: Any) -> Any:
            commit = append(*given)
            once()
            return commit

        monkeypatch.setattr(table, "append", appending)
    return done


@pytest.mark.parametrize("place", PLACES)
def test_a_server_that_restarts_in_a_cycle_is_told_and_goes_on(
    server: tuple[str, Restart], calm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    url, restart = server
    folder = on_server(tmp_path / "tiny", url)
    told = 0
    with Project(folder) as project:
        project.engine()
        done = restart_in(project, place, restart, monkeypatch)
        while told < 3:
            try:
                record = project.run(BUILT_AT)
            except StorageUnavailable:
                told += 1
                continue
            if record.status == "done":
                break
            assert "cannot be used" in record.sentence, record.sentence
            told += 1
    assert done == [place]
    assert told <= 1
    assert decided(folder) == decided(calm)
    if not told:
        assert first_difference(record_of(calm), record_of(folder)) is None
