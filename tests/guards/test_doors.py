"""What a room gives is listed in its door, and the list is true."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys

import pytest
from package import SRC, rooms, tree

HEAVY = ("polars", "sklearn", "scipy", "pandas", "pyarrow", "numpy", "sqlalchemy", "deltalake", "dbos", "pydantic", "fastapi", "skops")
DOORS = ("typer", "rich")  # the command line needs these two at once
ROOMS = ["keepwell", *(f"keepwell.{room}" for room in rooms())]


@pytest.mark.parametrize("room", ROOMS)
def test_all_lists_exactly_what_the_door_imports(room: str) -> None:
    module = importlib.import_module(room)
    path = SRC.joinpath(*room.split(".")[1:], "__init__.py")
    imported = {
        alias.asname or alias.name
        for node in tree(path).body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    }
    assert set(module.__all__) == imported
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_all_is_sorted_as_ruff_sorts_it(room: str) -> None:
    """Constants, then classes, then functions, each by name."""
    names = importlib.import_module(room).__all__
    assert names == sorted(names, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_holds_no_logic(room: str) -> None:
    body = tree(SRC.joinpath(*room.split(".")[1:], "__init__.py")).body
    assert ast.get_docstring(tree(SRC.joinpath(*room.split(".")[1:], "__init__.py"))), "a paragraph says what the room is for"
    assert all(isinstance(node, ast.Expr | ast.Import | ast.ImportFrom | ast.Assign) for node in body)


@pytest.mark.parametrize("line", ["import keepwell", "import keepwell.cli.app"])
def test_importing_stays_light(line: str) -> None:
    """A first `import keepwell`, and `keepwell --help`, must not wait for what they do not use."""
    heavy = [*HEAVY, *(() if "cli" in line else DOORS)]
    code = f"{line}; import sys; print([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SRC.parent)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("line", ["import keepwell.detection", "import keepwell.diagnosis"])
def test_the_watch_loads_scipy_only_on_use(line: str) -> None:
    """It is asked for when a reference is fitted and when a relation is tested, not by each command that reads a check-up."""
    code = f"{line}; import sys; print('scipy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
