"""What the command line says of a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from keepwell.cli import app


def told(folder: Path, *words: str) -> str:
    """Its text."""
    result = CliRunner().invoke(app, ["-C", str(folder), *words])
    assert result.exit_code == 0, result.output
    return result.output


def said(folder: Path, *words: str) -> Any:
    """The same as JSON."""
    return json.loads(told(folder, *words, "--json"))
