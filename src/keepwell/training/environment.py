"""The exact packages a step ran with, which of them it needed, and the machine it ran on."""

from __future__ import annotations

import ast
import json
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from keepwell.errors import EnvironmentMismatch

Packages = dict[str, str]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@cache
def environment() -> Packages:
    """Package name -> version of everything installed, with the interpreter as ``python``."""
    packages = {canonicalize_name(dist.metadata["Name"]): dist.version for dist in metadata.distributions() if dist.metadata["Name"]}
    return {"python": platform.python_version(), **dict(sorted(packages.items()))}


@cache
def machine() -> dict[str, Any]:
    """The machine, in words: what may change the last bits of a sum though every package is the same."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "threads": {name: os.environ[name] for name in THREADS if name in os.environ},
    }


def needed_packages(files: Mapping[str, str]) -> Packages:
    """Those packages that a build can depend on: Keepwell's, the ones the project imports, and all that they need.

    Only these enter identities, so that a test tool installed beside them changes none.

    Parameters
    ----------
    files : the project's Python files, path -> text.
    """
    imported = frozenset().union(*(_imports(text) for text in files.values())) if files else frozenset()
    return dict(_closure(frozenset(imported)))


def lock_of(content: bytes) -> Packages:
    """The packages of an environment that was kept: name -> version."""
    found = json.loads(content)
    packages: Packages = found.get("packages", found)
    return packages


def environment_lock() -> bytes:
    """What a version keeps of its environment, JSON: every package with its version, and the machine."""
    return json.dumps({"packages": environment(), "machine": machine()}, indent=1).encode()


def check_environment(then: Packages, files: Mapping[str, str], number: int) -> None:
    """Refuse to go on with packages other than those a version was built with.

    Raises
    ------
    EnvironmentMismatch : one that its code needs is absent, added or of another version.
    """
    here = needed_packages(files)
    differ = {name: (then.get(name), version) for name, version in here.items() if then.get(name) != version}
    if differ:
        raise EnvironmentMismatch(number, differ)


@cache
def _closure(modules: frozenset[str]) -> tuple[tuple[str, str], ...]:
    homes = metadata.packages_distributions()
    waiting = ["keepwell", *(name for module in modules for name in homes.get(module, ()))]
    found: Packages = {"python": platform.python_version()}
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        waiting += [need.name for need in map(_requirement, metadata.requires(name) or []) if need is not None]
    return tuple(sorted(found.items()))


def _requirement(line: str) -> Requirement | None:
    try:
        need = Requirement(line)
    except InvalidRequirement:
        return None
    return need if need.marker is None or need.marker.evaluate({"extra": ""}) else None


@cache
def _imports(text: str) -> frozenset[str]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return frozenset()
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return frozenset(name.split(".")[0] for name in names) - sys.stdlib_module_names


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.processor())
    except OSError:
        return platform.processor()
