"""A runner for the command line on a project of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from keepwell.cli import app

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's environment changes what is printed."""
    for name in ("KEEPWELL_DEBUG", "KEEPWELL_PROJECT", "FORCE_COLOR", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kw() -> Run:
    """Run a command line given as separate words."""
    return lambda *words, **extra: CliRunner().invoke(app, [str(word) for word in words], **extra)


@pytest.fixture
def on(kw: Run, tiny: Path) -> Run:
    """Run a command on a built tiny project."""
    return lambda command, *words, **extra: kw("-C", tiny, command, *words, **extra)


@pytest.fixture
def document(on: Run) -> Callable[..., Any]:
    """What a command answers with --json; it must be the only thing on standard output."""
    return lambda *words: json.loads(on(*words, "--json").stdout)
