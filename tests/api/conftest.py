from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
import stores
from listening import listening_at

from keepwell import Project


@pytest.fixture
def listening() -> Callable[..., AbstractContextManager[tuple[Project, httpx.Client]]]:
    """Serve any folder: `with listening(folder, flags) as (project, client)`."""
    return listening_at


@pytest.fixture
def served(tiny: Path) -> Iterator[tuple[Project, httpx.Client]]:
    """The tiny project with a champion, served."""
    with listening_at(tiny) as both:
        yield both


@pytest.fixture(scope="module")
def shared(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, httpx.Client]]:
    """One server for many tests that change nothing."""
    folder = stores.copy_project(built, tmp_path_factory.mktemp("shared") / "tiny")
    with listening_at(folder) as both:
        yield both
