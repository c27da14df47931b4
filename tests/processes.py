"""Keepwell as a process of its own, for tests that kill it or act beside it."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

import keepwell

SOURCES = Path(keepwell.__file__).parent.parent
RUNNER = """
import json, sys
from keepwell import Project
from keepwell.api import serve_forever
flags = {"serve": {"port": 0, "ship_s": 0.3, **json.loads(sys.argv[2])}}
serve_forever(Project(sys.argv[1], flags), serve="serve" in sys.argv, work="work" in sys.argv)
"""


@contextmanager
def running(folder: Path, *what: str, prelude: str = "", **serve: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves or works, with these settings of `[serve]`, and the line it said. `prelude` runs in it first."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1"}
    arguments = [sys.executable, "-c", prelude + RUNNER, str(folder), json.dumps(serve), *what]
    process = subprocess.Popen(
        arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, line
    finally:
        process.kill()
        process.communicate()


def kill_one(pid: int, *, writes: bool, draw: random.Random) -> None:
    """Kill with -9 the process that writes the log of a server, or one of those that answer beside it."""
    crew = [
        one for one in psutil.Process(pid).children() if one.status() != psutil.STATUS_ZOMBIE and "spawn_main" in "".join(one.cmdline())
    ]
    holding = {one for one in crew if _holds_journal(one)}
    assert holding and len(holding) < len(crew), "no log writer, or nobody who answers"
    draw.choice([one for one in crew if (one in holding) == writes]).send_signal(signal.SIGKILL)


def _holds_journal(process: psutil.Process) -> bool:
    try:
        return any(link.readlink().suffix == ".lock" for link in Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:
        return False


def client_of(line: str) -> httpx.Client:
    found = re.search(r"http://\S+?:\d+", line)
    assert found, line
    return httpx.Client(base_url=found.group(), timeout=10)
