"""kill -9 between the fact, the message and its mark: after a restart whoever honours the key has seen exactly one message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stores
from receiving import Receiver

import keepwell
from keepwell.notifying import Notice, enqueue, event_id
from keepwell.storage import Database, Event, record_event

SOURCES = Path(keepwell.__file__).parent.parent
WORKER = """
import json, os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from keepwell.notifying import Notice, Sender, delivering, enqueue
from keepwell.settings import read
from keepwell.storage import Database, Event, record_event

folder, url, act, later_s = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


database = Database(url, folder)
now = datetime.now(UTC)
if act.startswith("fact"):
    with database.begin() as connection:
        record_event(connection, "rain", "incident/7", Event("incident", now, "Humidity is broken", {}))
        enqueue(connection, "rain", "incident/7/opened", Notice("incident.opened", "incident/7", "Humidity is broken", "critical", (), now))
        if act == "fact, killed inside":
            die()
    die()
sender = Sender(database, "rain", read(folder), clock=lambda: datetime.now(UTC) + timedelta(seconds=later_s))
if act == "killed before send":
    for channel in sender.channels:
        channel.send = die
if act == "killed before mark":
    sender._mark = die
print(sender.turn().sent)
"""


@pytest.fixture
def work(tmp_path: Path, receiver: Receiver) -> Any:
    """Run an act in a process of its own; answers its exit code."""
    url = stores.database_url()
    settings = f'[[webhooks]]\nurl = "{receiver.url}/hooks"\nsecret = "a secret of the receiver"\n[notify]\ntimeout_s = 5\n'
    (tmp_path / "keepwell.toml").write_text(settings)

    def run(act: str, later_s: float = 0) -> int:
        words = [sys.executable, "-c", WORKER, str(tmp_path), url, act, str(later_s)]
        environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
        ended = subprocess.run(words, check=False, env=environment, capture_output=True, text=True, timeout=60)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        return ended.returncode

    run.url, run.folder = url, tmp_path
    return run


def test_killed_between_fact_and_message_exactly_one_message_arrives(work, receiver):
    assert work("fact") == -signal.SIGKILL
    assert receiver.got == []
    assert work("send") == work("send") == 0
    assert receiver.ids == [event_id("rain", "incident/7/opened")]


def test_killed_inside_the_fact_there_is_neither_fact_nor_message(work, receiver):
    assert work("fact, killed inside") == -signal.SIGKILL
    assert work("send") == 0
    assert receiver.got == []


def test_killed_before_the_message_left_exactly_one_arrives(work, receiver):
    work("fact")
    assert work("killed before send") == -signal.SIGKILL
    assert work("send") == 0
    assert receiver.got == [], "the dead one's lease holds for some seconds"
    assert work("send", 60) == work("send", 60) == 0
    assert receiver.ids == [event_id("rain", "incident/7/opened")]


def test_killed_between_the_message_and_its_mark_the_repeat_has_the_same_key(work, receiver):
    work("fact")
    assert work("killed before mark") == -signal.SIGKILL
    assert len(receiver.got) == 1
    assert work("send", 60) == work("send", 60) == 0
    assert receiver.ids == [event_id("rain", "incident/7/opened")] * 2
    assert len({got.body for got in receiver.got}) == 1
    assert len({json.loads(got.body)["id"] for got in receiver.got}) == 1


def test_a_fact_that_is_told_twice_by_a_step_that_ran_twice_is_one_notice(work, receiver):
    work("fact")
    work("fact")
    database = Database(work.url, work.folder)
    with database.begin() as connection:
        now = datetime.now(UTC)
        assert not record_event(connection, "rain", "incident/7", Event("incident", now, "Humidity is broken", {}))
        assert not enqueue(connection, "rain", "incident/7/opened", Notice("incident.opened", "", "again", "info", (), now))
    database.close()
    work("send")
    assert len(receiver.got) == 1
