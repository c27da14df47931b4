"""Several processes answer behind one port: one log, the rest passed on; killed, told other settings, and stopped."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
import stores
from loading import loading
from processes import client_of, kill_one, running

from keepwell import Project
from keepwell.api.crew import Crew
from keepwell.serving import say

PREDICT = "/models/tiny/predict"
ROW = {"warmth": 12.5, "cloud": 0.9}
TOKEN = {"authorization": "Bearer secret"}
SOON_S = 60

pytestmark = [pytest.mark.sqlite("is about processes"), pytest.mark.local("and nothing about where files are")]


@dataclass(frozen=True)
class Served:
    folder: Path
    process: subprocess.Popen[str]
    line: str
    client: httpx.Client
    acknowledged: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def served(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two processes that answer; the last test stops them."""
    folder = stores.copy_project(built, tmp_path_factory.mktemp("crew") / "tiny")
    with running(folder, "serve", workers=2, token="secret", read_s=2) as (process, line), client_of(line) as client:
        client.headers.update(TOKEN)
        client.timeout = SOON_S  # a busy machine is no failure
        yield Served(folder, process, line, client)


def test_predictions_are_answered_apart_and_all_else_by_the_process_that_keeps_the_model(served: Served) -> None:
    client = served.client
    answer = client.post(PREDICT, json={"rows": [ROW]}).json()
    assert answer["version"] == 1
    kept = client.get(f"/models/tiny/predictions/{answer['predictions'][0]['prediction_id']}").json()
    assert "probability" in kept, kept
    assert kept["probability"] == answer["predictions"][0]["probability"]
    assert client.post(PREDICT, json={"entities": ["north"]}).json()["predictions"][0]["entity"] == "north"
    refused = client.post(PREDICT, json={"rows": [{"warmth": 1.0}]})
    assert (refused.status_code, refused.json()["error"]) == (422, "InputInvalid")
    elsewhere = client.get("/nothing?at=all")
    assert elsewhere.json()["facts"]["path"] == "/nothing"
    assert len(elsewhere.headers.get_list("date")) == 1, "said once, by the process that got the request"
    assert client.get("/", headers={"accept": "text/html"}).headers["content-type"].startswith("text/html")
    assert len(list((served.folder / ".keepwell/journal").glob("*.lock"))) == 1, "one writes the log for all"


def test_who_has_no_token_is_refused_and_health_is_open(served: Served) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}):
        with httpx.Client(base_url=served.client.base_url, headers=headers) as stranger:
            answer = stranger.post(PREDICT, json={"rows": [ROW]})
            assert (answer.status_code, answer.json()["error"]) == (401, "TokenRefused")
            assert stranger.get("/health/live").json() == {"live": True}
            assert (stranger.head("/health/ready").status_code, stranger.head("/health/ready").content) == (200, b"")
            assert stranger.get("/health/ready").json() == {"ready": True}, "who has no token is told no name"
    events = served.client.get("/models/tiny/history?kind=access_refused").json()["events"]
    assert events and all("127.0.0.1" in str(event["facts"]) for event in events), "the address is that of who asked"


def test_a_body_that_never_comes_is_not_waited_for_where_it_would_be_passed_on(served: Served) -> None:
    base = served.client.base_url
    with socket.create_connection((base.host, base.port or 0), timeout=20) as connection:
        head = b"POST /models/tiny/labels HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\ncontent-length: 100\r\n\r\n"
        connection.sendall(head + b'{"labels": [')
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")


def test_a_page_that_watches_is_passed_through_as_it_comes(served: Served) -> None:
    with served.client.stream("GET", "/events/live", timeout=SOON_S) as stream:
        assert any(line.startswith("data: ") for line in stream.iter_lines())


def test_metrics_add_up_what_all_have_counted(served: Served) -> None:
    def counted() -> float:
        page = served.client.get("/metrics").text
        return sum(float(found) for found in re.findall(r"^keepwell_predictions_total\{.*\} (\S+)$", page, re.MULTILINE))

    before = counted()
    for _ in range(12):
        with client_of(served.line) as other:  # a connection each, so that both get some
            assert other.post(PREDICT, json={"rows": [ROW, ROW]}, headers=TOKEN).status_code == 200
    until = time.monotonic() + SOON_S
    while counted() < before + 24:
        assert time.monotonic() < until
        time.sleep(0.1)


def test_whoever_is_killed_is_started_again(served: Served) -> None:
    with loading(served.line, PREDICT, [[ROW], [ROW, ROW]], headers=TOKEN) as load:
        for writes in (False, True):
            load.wait(50)
            kill_one(served.process.pid, writes=writes, draw=random.Random(1))
            if writes:
                until = time.monotonic() + SOON_S
                while not load.refused:
                    assert time.monotonic() < until
                    time.sleep(0.01)
                load.wait(50)
    assert set(load.refused) == {(503, "1")}
    served.acknowledged.extend(load.ids)


def test_settings_are_read_again_and_a_stop_drains_without_losing_a_request(served: Served) -> None:
    """After SIGHUP the new bounds hold; after SIGTERM what was asked is answered, and what comes later is not taken."""
    two = {"rows": [ROW, ROW]}
    assert served.client.post(PREDICT, json=two).status_code == 200
    with (served.folder / "keepwell.toml").open("a") as settings:
        settings.write('\n[serve]\nmax_rows = 1\n[report]\nevery = "year"\n')
    with loading(served.line, PREDICT, [[ROW]], headers=TOKEN) as load:
        load.wait(50)
        served.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + SOON_S
        seen: list[int] = []
        while seen[-6:] != [422] * 6:  # by all of them
            with client_of(served.line) as other:
                seen.append(other.post(PREDICT, json=two, headers=TOKEN).status_code)
            assert time.monotonic() < until, seen
            time.sleep(0.05)
        load.wait(50)
        assert (load.refused, load.broken) == ([], [])
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(SOON_S) == 0
    # A connection that nobody has taken yet when the port closes is reset; one that was taken gets its answer.
    assert [error for error in load.broken if not re.match("ConnectionRefused|ConnectionReset", error)] == []
    assert load.refused == []
    said = served.process.stderr.read() if served.process.stderr else ""
    assert "these wait for a restart: report.every" in said and "Traceback" not in said
    with Project(served.folder) as project:
        assert project.ship() == 0
        kept = project.context.predictions.rows()["prediction_id"]
        assert {*served.acknowledged, *load.ids} <= set(kept)
        with project.context.database.read() as connection:
            added = connection.execute(sa.text("SELECT sum(rows) FROM commits WHERE key LIKE 'journal/%'")).scalar()
        assert added == len(kept), "each once"


def test_one_that_cannot_be_started_now_is_started_later(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no room for a process for a moment must not end the watch over all of them."""
    monkeypatch.setattr("keepwell.api.crew.PAUSES_S", (0.0, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as port, Project(stores.copy_project(built, tmp_path / "tiny")) as project:
        crew = Crew(project, port)
        crew.start()
        try:
            begin, tries = crew._begin, iter((True, True, False))

            def began(what: str) -> None:
                if next(tries):
                    raise BlockingIOError(11, "Resource temporarily unavailable")
                begin(what)

            monkeypatch.setattr(crew, "_begin", began)
            first = crew._members[0]
            first.process.kill()
            until = time.monotonic() + SOON_S
            while not any(member is not first and member.is_ready for member in crew._members):
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            crew.close()


def test_whoever_says_that_it_lives_does_not_wait_for_one_that_does_not_listen() -> None:
    theirs, mine = multiprocessing.Pipe()
    with theirs, mine:
        for _ in range(10_000):
            say(mine, "ready")
        assert theirs.recv() == "ready"


def test_a_log_writer_that_hangs_is_ended_and_another_takes_its_place(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepwell.api.crew.SILENT_S", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as port, Project(stores.copy_project(built, tmp_path / "tiny")) as project:
        crew = Crew(project, port)  # the settings want no others that answer; the writer is there all the same
        crew.start()
        try:
            hung = crew._members[0]
            os.kill(hung.process.pid, signal.SIGSTOP)
            until = time.monotonic() + SOON_S
            while not any(member is not hung and member.is_ready for member in crew._members):
                assert time.monotonic() < until
                time.sleep(0.05)
            assert hung.process.exitcode == -signal.SIGKILL
        finally:
            crew.close()
