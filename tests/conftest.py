"""What tests of several rooms share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import settings
from projects import BUILT_AT, tiny_project

from keepwell import Project

# A busy machine is not a failure, and the same examples every time make a failure one that can be repeated.
settings.register_profile("keepwell", deadline=None, derandomize=True)
settings.load_profile("keepwell")


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
    return Path(shutil.copytree(built, tmp_path / "tiny"))
