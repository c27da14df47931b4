"""The package as the guards read it: its files, its rooms, and who imports whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "keepwell"

# The order a model lives in, newest first. A name may import what stands below it; names in one line may not import each other.
ORDER: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("api",),
    ("ui",),
    ("demo", "difference", "preflight"),
    ("scaffold",),
    ("__init__",),
    ("beside", "project"),
    ("looking",),
    ("evidence",),
    ("readiness",),
    ("changes", "inbox", "rounds"),
    ("diff",),
    ("reporting",),
    ("charts",),
    ("status",),
    ("following", "keeping", "rehearsal", "upcoming", "why"),
    ("orchestration",),
    ("incidents",),
    ("retraining",),
    ("monitoring",),
    ("diagnosis",),
    ("detection",),
    ("serving",),
    ("deployment",),
    ("registry",),
    ("profiling",),
    ("evaluation",),
    ("comparison",),
    ("training",),
    ("validation",),
    ("ingestion",),
    ("notifying",),
    ("access",),
    ("storage",),
    ("origins",),
    ("settings",),
    ("addresses",),
    ("hiding", "notebook", "wording"),
    ("model",),
    ("errors",),
)
LEVEL = {name: len(ORDER) - place for place, names in enumerate(ORDER) for name in names}


@dataclass(frozen=True)
class Import:
    """`file`:`line` imports `module` (dotted, absolute), and of it `names`."""

    file: Path
    line: int
    module: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file.relative_to(SRC)}:{self.line} imports {self.module}"


def files() -> list[Path]:
    """Keepwell's own Python files; the examples are a user's."""
    return sorted(path for path in SRC.rglob("*.py") if "examples" not in path.parts)


def rooms() -> list[str]:
    """The folders of the package that are rooms."""
    return sorted(path.parent.name for path in SRC.glob("*/__init__.py"))


def place_of(path: Path) -> str:
    """The room or top-level module that a file belongs to."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return parts[0]


@cache
def tree(path: Path) -> ast.Module:
    """The file as Python reads it."""
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file: inside functions and under TYPE_CHECKING as well."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, alias.name, ())
        elif isinstance(node, ast.ImportFrom):
            yield Import(path, node.lineno, "." * node.level + (node.module or ""), tuple(alias.name for alias in node.names))


def own_imports(path: Path) -> Iterator[tuple[Import, str, bool]]:
    """Imports from keepwell itself: the import, the place it reaches into, and whether it goes past that place's door."""
    for found in imports(path):
        parts = found.module.split(".")
        if parts[0] != "keepwell":
            continue
        if len(parts) > 1:
            yield found, parts[1], len(parts) > 2
            continue
        for name in found.names:  # from keepwell import Project, settings
            yield found, name if name in LEVEL else "__init__", False
