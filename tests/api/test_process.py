"""The long-running process, as a real one: it starts, is killed, is told to stop, and loses nothing it acknowledged."""

from __future__ import annotations

import re
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from loading import loading
from processes import client_of, running
from projects import tiny_project

from keepwell import Project
from keepwell.api import serve_forever, supervised
from keepwell.errors import SettingInvalid

PREDICT = "/models/tiny/predict"
ROW = {"warmth": 12.5, "cloud": 0.9}


def ledger(folder: Path) -> tuple[set[str], int]:
    """Ids of the answers over HTTP in the ledger, and how many rows were ever added for them."""
    with Project(folder) as project:
        project.ship()
        kept = project.context.predictions.rows()
        with project.context.database.read() as connection:
            added = connection.execute(sa.text("SELECT sum(rows) FROM commits WHERE key LIKE 'journal/%'")).scalar()
        return set(kept.filter(origin="api")["prediction_id"]), int(added or 0)


def test_kill_9_loses_no_acknowledged_prediction_and_doubles_none(tiny: Path) -> None:
    """Killed in the middle of requests and shipments, started again, then stopped under load: all of it is in the ledger once."""
    acknowledged: list[str] = []
    with running(tiny, "serve") as (process, line):

        def post() -> None:
            with client_of(line) as client:
                while True:
                    try:
                        answer = client.post(PREDICT, json={"rows": [ROW, ROW]})
                    except httpx.HTTPError:
                        return
                    acknowledged.extend(row["prediction_id"] for row in answer.json()["predictions"])

        threads = [threading.Thread(target=post) for _ in range(8)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 30
        time.sleep(1.0)  # a few shipments of 0.3 s
        while len(acknowledged) < 200 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert len(acknowledged) >= 200
    with running(tiny, "serve") as (process, line):
        assert re.fullmatch(r"Keepwell serves 'tiny' at http://127\.0\.0\.1:\d+; Ctrl-C to stop\n", line)
        with loading(line, PREDICT, [[ROW]]) as load:
            load.wait(50)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        # A connection that nobody has taken yet when the port closes is reset; one that was taken gets its answer.
        assert [error for error in load.broken if not re.match("ConnectionRefused|ConnectionReset", error)] == []
        assert load.refused == []
        acknowledged += load.ids
        assert process.stdout and process.stdout.read() == ""
        assert process.stderr and "Traceback" not in process.stderr.read()
    assert [path for path in (tiny / ".keepwell/journal").iterdir() if path.suffix != ".lock"] == []
    kept, added = ledger(tiny)
    assert set(acknowledged) - kept == set()
    assert added == len(kept)
    assert len(kept) - len(acknowledged) <= 8 * 2  # written, and killed before the answer went out


def test_it_keeps_a_model_from_its_first_cycle_on(tmp_path: Path) -> None:
    """Serving and working at once: the first cycle makes a champion, and the server takes it up without a restart."""
    folder = tiny_project(tmp_path / "new")
    with running(folder, "serve", "work") as (process, line):
        assert re.search(r"^Keepwell keeps 'tiny' at http://\S+, next cycle \d{4}-\d\d-\d\dT06:00Z; Ctrl-C to stop$", line)
        with client_of(line) as client:
            until = time.monotonic() + 60
            while client.get("/health/ready").status_code != 200:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.1)
            assert client.post(PREDICT, json={"rows": [ROW]}).json()["version"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 0
        assert process.stderr and "Traceback" not in process.stderr.read()
    with Project(folder) as project, project.context.database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM workers")).scalar() == 0
        assert [cycle.status for cycle in project.cycles()] == ["done"]


def test_a_port_that_is_taken_is_refused_in_words(tiny: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with Project(tiny, {"serve": {"port": port}}) as project, pytest.raises(SettingInvalid, match=f"serve.port.*{port}.*in use"):
            serve_forever(project, serve=True, work=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
@pytest.mark.parametrize("token", [None, ""])
def test_beyond_loopback_a_token_is_required(built: Path, host: str, token: str | None) -> None:
    flags = {"serve": {"host": host, "port": 0, "token": token}}
    with Project(built, flags) as project, pytest.raises(SettingInvalid, match="token is required"):
        serve_forever(project, serve=True, work=False)


def test_a_page_that_watches_does_not_hold_up_the_stop(tiny: Path) -> None:
    """Its stream ends by itself; cut off after the grace of a request, it would be incomplete."""
    with running(tiny, "serve") as (process, line), client_of(line) as client:
        with client.stream("GET", "/events/live", timeout=60) as stream:
            lines = stream.iter_lines()
            assert any(said.startswith("data: ") for said in lines)
            process.send_signal(signal.SIGTERM)
            assert [said for said in lines if said.startswith("data: ")] == []
        assert process.wait(60) == 0


@pytest.mark.parametrize("what", ["serve", "work"])
def test_a_supervisor_is_told_that_it_runs_and_lives_and_stops(tiny: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(f"{folder}/notify")
        supervisor.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{folder}/notify")
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        with running(tiny, what) as (process, _):
            assert [supervisor.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            process.send_signal(signal.SIGTERM)
            said = supervisor.recv(100)
            while said == b"WATCHDOG=1":
                said = supervisor.recv(100)
            assert said == b"STOPPING=1" and process.wait(30) == 0


def test_nobody_is_told_when_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert supervised.beat_s() is None, "another process is watched"
    monkeypatch.setenv("NOTIFY_SOCKET", "/nobody/listens")
    supervised.tell(supervised.READY)
