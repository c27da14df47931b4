"""Keepwell as a process of its own, for tests that kill it or act beside it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import keepwell

SOURCES = Path(keepwell.__file__).parent.parent
RUNNER = """
import sys
from keepwell import Project
from keepwell.api import serve_forever
serve_forever(Project(sys.argv[1], {"serve": {"port": 0, "ship_s": 0.3}}), serve="serve" in sys.argv, work="work" in sys.argv)
"""


@contextmanager
def running(folder: Path, *what: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves or works, and the line it said."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1"}
    arguments = [sys.executable, "-c", RUNNER, str(folder), *what]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, line
    finally:
        process.kill()
        process.communicate()


def client_of(line: str) -> httpx.Client:
    found = re.search(r"http://\S+?:\d+", line)
    assert found, line
    return httpx.Client(base_url=found.group(), timeout=10)
