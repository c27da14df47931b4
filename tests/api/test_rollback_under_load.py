"""A rollback while requests come in: none fails, the old version answers within seconds, and bit by bit as it did."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from processes import client_of, running
from projects import BUILT_AT

from keepwell import Project
from keepwell.serving import made_ready
from keepwell.training import from_bytes

PREDICT = "/models/tiny/predict"
ROLLBACK = """
import sys
from keepwell import Project
with Project(sys.argv[1]) as project:
    project.rollback(reason="under load")
"""
WITHIN_S = 5.0


@dataclass
class Load:
    """Requests from several threads, until told to stop: (sent at, version, answers) of each, and whatever failed."""

    line: str
    rows: list[dict[str, float]]
    answered: list[tuple[float, int, list[float]]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def ask(self) -> None:
        with client_of(self.line) as client:
            while not self.is_over.is_set():
                sent = time.time()
                try:
                    answer = client.post(PREDICT, json={"rows": self.rows})
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status_code != 200:
                    self.failed.append(answer.text)
                    continue
                body = answer.json()
                self.answered.append((sent, body["version"], [row["probability"] for row in body["predictions"]]))


@pytest.fixture
def two(tiny: Path) -> Path:
    """Version 1 was champion, version 2 is."""
    with Project(tiny, {"build": {"holdout_days": 60}}) as project:
        project.run(BUILT_AT + timedelta(days=1), build=True)
        project.promote(2, reason="a test", override=True)
        assert project.aliases() == {"champion": 2, "previous": 1}
    return tiny


def test_a_rollback_under_load_fails_no_request_and_brings_the_old_answers_back(two: Path) -> None:
    with Project(two) as project:
        golden = from_bytes(project.context.artifacts.get(project.version(1).facts["golden"]["rows"]))
        before = {number: made_ready(project.context.load(number)).answer(golden.rows()) for number in (1, 2)}
    assert before[1] != before[2]
    with running(two, "serve") as (_, line):
        with client_of(line) as client:
            while client.get("/health/ready").status_code != 200:
                time.sleep(0.05)
        load = Load(line, golden.to_dicts())
        threads = [threading.Thread(target=load.ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        subprocess.run([sys.executable, "-c", ROLLBACK, str(two)], check=True)
        until = time.monotonic() + 30
        while not any(version == 1 for _, version, _ in load.answered) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.5)
        load.is_over.set()
        for thread in threads:
            thread.join()
    with Project(two) as project:
        moved = project.serving()[1][-1].recorded_at.timestamp()
    assert load.failed == []
    switched = min(sent for sent, version, _ in load.answered if version == 1)
    last = max(sent for sent, version, _ in load.answered if version == 2)
    later = f"version 1 from {switched - moved:+.2f} s on, version 2 until {last - moved:+.2f} s"
    print(f"{len(load.answered)} requests; after the rollback {later}")
    assert switched - moved < WITHIN_S
    assert last - moved < WITHIN_S
    for _, version, answers in load.answered:
        assert answers == before[version]
