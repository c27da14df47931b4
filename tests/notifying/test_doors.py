"""The verbs of telling at the command line, over HTTP, in the long-running process, and in doctor and status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from listening import listening_at
from projects import BUILT_AT
from receiving import closed_port, receiving
from typer.testing import CliRunner

import keepwell
from keepwell import Project
from keepwell.cli import app
from keepwell.errors import NoticeNotFound, PersonNotFound
from keepwell.keeping import examine
from keepwell.notifying import Notice, enqueue, event_id

pytestmark = pytest.mark.once("the outbox itself is tested on every database in test_delivering and test_killed")

SOURCES = Path(keepwell.__file__).parent.parent


def kw(folder, *words, code=0):
    result = CliRunner().invoke(app, ["-C", str(folder), *words])
    assert result.exit_code == code, result.output
    assert "T0K3N" not in result.output
    return result


def document(folder, *words, code=0):
    return json.loads(kw(folder, *words, "--json", code=code).stdout)


def settle(folder, *, people=(), hooks=(), notify=""):
    """Write who is told into keepwell.toml."""
    lines = [f'[people.{name}]\ntell = ["json://127.0.0.1:{port}/T0K3N"]' for name, port in people]
    lines += [f'[[webhooks]]\nurl = "http://127.0.0.1:{port}/T0K3N"' for port in hooks]
    with (folder / "keepwell.toml").open("a") as file:
        file.write("\n" + "\n".join([*lines, "[notify]", "timeout_s = 5", notify]) + "\n")


def tell(folder, key, *, to=(), at=None, severity="info"):
    with Project(folder) as project, project.context.database.begin() as connection:
        enqueue(connection, "tiny", key, Notice("incident.opened", "", f"about {key}", severity, to, at or datetime.now(UTC)))


def test_a_test_says_what_came_back_from_each_channel(tiny, receiver):
    settle(tiny, people=[("mira", receiver.port)], hooks=[closed := closed_port()])
    assert document(tiny, "notify", "test", "--dry-run")["channels"][1]["channel"] == "mira/json"
    assert receiver.got == []
    found = {one["channel"]: one["problem"] for one in document(tiny, "notify", "test", code=1)["channels"]}
    assert found["mira/json"] is None and "cannot be reached" in found[f"webhook/127.0.0.1:{closed}"]
    assert "This is a test" in json.loads(receiver.got[0].body)["message"]
    assert document(tiny, "notify", "test", "--person", "Mira")["channels"][0]["problem"] is None
    assert document(tiny, "notify", "retry")["retried"] == 0, "a test that failed is not worth another try"
    with Project(tiny) as project, pytest.raises(PersonNotFound, match=r"\[people\.\"jo\"\].*mira"):
        project.notify.test("jo")


def test_without_anyone_to_tell_a_test_says_how(tiny):
    assert "[people.NAME]" in kw(tiny, "notify", "test", code=1).output


def test_a_cycle_is_followed_by_a_short_try_that_keeps_what_fails(tiny, receiver):
    settle(tiny, people=[("mira", receiver.port)], hooks=[closed := closed_port()])
    tell(tiny, "incident/7", to=("mira", "jo"))
    result = kw(tiny, "run", "--as-of", str(BUILT_AT + timedelta(days=1)), "--json")
    assert json.loads(result.stdout)["cycle"]["status"] == "done"
    assert f"webhook/127.0.0.1:{closed}: it cannot be reached" in result.stderr
    assert receiver.ids == [event_id("tiny", "incident/7")]
    (notice,) = document(tiny, "notify", "list")["notices"]
    assert {one["channel"]: one["state"] for one in notice["deliveries"]} == {
        "mira/json": "sent",
        f"webhook/127.0.0.1:{closed}": "pending",
        "jo": "nobody",
    }
    assert "nobody to reach" in kw(tiny, "notify", "list", "--state", "nobody").output


def test_retry_sends_what_was_given_up_and_what_reached_nobody(tiny, receiver):
    settle(tiny, hooks=[receiver.port], notify="refused_tries = 1")
    receiver.status = 404
    tell(tiny, "incident/7", to=("mira",))
    with Project(tiny) as project:
        project.notify.send()
        with pytest.raises(NoticeNotFound, match="notice 99"):
            project.notify.retry([99])
    assert document(tiny, "notify", "list", "--state", "given up")["stuck"][0]["waiting"] == 0
    receiver.status = 200
    file = tiny / "keepwell.toml"
    file.write_text(f'{file.read_text()}\n[people.mira]\ntell = ["json://127.0.0.1:{receiver.port}/T0K3N"]\n')
    assert document(tiny, "notify", "retry", "1") == {"retried": 2, "sent": 2, "failed": {}}
    assert set(receiver.ids) == {event_id("tiny", "incident/7")}


def test_replay_posts_facts_again_under_their_old_ids(tiny, receiver):
    settle(tiny, hooks=[receiver.port])
    for number in range(3):
        tell(tiny, f"incident/{number}")
    with Project(tiny) as project:
        project.notify.send()
    before = receiver.ids
    assert "would be sent" in kw(tiny, "notify", "replay", "--after", "1", "--dry-run").output
    assert len(receiver.got) == 3
    found = document(tiny, "notify", "replay", "--after", "1")
    assert [event["id"] for event in found["events"]] == before[1:] == receiver.ids[3:]
    receiver.answers += [200, 500]
    assert "500" in kw(tiny, "notify", "replay", "--after", "0", code=1).output
    assert receiver.ids[5:] == before[:2], "what comes after a failure would be out of order"


def test_events_are_read_from_a_cursor_on(tiny):
    for number in range(5):
        tell(tiny, f"incident/{number}")
    with listening_at(tiny) as (_, client):
        first = client.get("/events", params={"limit": 3})
        assert first.headers["content-type"] == "application/cloudevents-batch+json"
        rest = client.get("/events", params={"after": first.headers["keepwell-cursor"], "model": "tiny"})
        none = client.get("/events", params={"after": rest.headers["keepwell-cursor"]})
        assert (none.json(), none.headers["keepwell-cursor"]) == ([], "5")
        assert client.get("/events", params={"model": "other"}).status_code == 404
        assert client.get("/events", params={"after": "yesterday"}).status_code == 422
    events = [*first.json(), *rest.json()]
    assert [event["data"]["sentence"] for event in events] == [f"about incident/{number}" for number in range(5)]
    headers = {"content-type": "application/cloudevents+json"}
    assert [from_http_event(HTTPMessage(headers, json.dumps(event).encode())).get_id() for event in events] == [
        event_id("tiny", f"incident/{number}") for number in range(5)
    ]


def test_doctor_and_status_tell_a_channel_that_does_not_deliver(tiny, receiver):
    receiver.status = 404
    settle(tiny, hooks=[receiver.port], notify="refused_tries = 1")
    tell(tiny, "incident/7", to=("mira",))
    with Project(tiny) as project:
        project.notify.send()
        assert "gave up its newest notice: it answered 404" in dict(project.status().lines)["Telling"]
    found = [finding for finding in examine(tiny) if finding.about == "telling"]
    assert [finding.state for finding in found] == ["wrong", "note", "note"]
    assert "nobody knows how to reach mira" in found[1].message
    assert "T0K3N" not in str(found)


def test_a_project_that_tells_nobody_is_well(tiny):
    (found,) = [finding for finding in examine(tiny) if finding.about == "telling"]
    assert (found.state, found.message) == ("ok", "nobody is told anything")
    with Project(tiny) as project:
        assert "Telling" not in dict(project.status().lines)


RUNNER = """
import sys
from keepwell import Project
from keepwell.api import serve_forever
serve_forever(Project(sys.argv[1], {"serve": {"port": 0}}), serve="serve" in sys.argv, work="work" in sys.argv)
"""


def started(folder, what):
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONUNBUFFERED": "1"}
    words = [sys.executable, "-c", RUNNER, str(folder), what]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and re.match("Keepwell", process.stdout.readline())
    return process


def until(true, seconds=90):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("what", ["serve", pytest.param("work", marks=pytest.mark.thorough("sends by the same thread"))])
def test_the_long_running_process_sends_and_goes_on_after_kill_9(tiny, what):
    with receiving(status=503) as receiver:
        settle(tiny, hooks=[receiver.port], notify="first_pause_s = 0.2")
        process = started(tiny, what)
        try:
            tell(tiny, "incident/7")
            until(lambda: receiver.got)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            receiver.status = 200
            process = started(tiny, what)
            until(lambda: document(tiny, "notify", "list")["notices"][0]["deliveries"][0]["state"] == "sent")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert process.stderr and "Traceback" not in process.stderr.read()
        finally:
            process.kill()
            process.communicate()
        assert event_id("tiny", "incident/7") in receiver.ids  # beside what the process notices by itself: silence, in a record this old


def test_after_a_cycle_of_today_the_outside_is_told_and_a_failed_ping_is_said(tiny, receiver):
    settle(tiny, notify=f'ping = "{receiver.url}/T0K3N"')
    kw(tiny, "run", "--as-of", str(BUILT_AT + timedelta(days=1)))
    assert receiver.got == [], "a cycle of the past says nothing about Keepwell today"
    kw(tiny, "run")
    assert [(got.method, got.path) for got in receiver.got] == [("GET", "/T0K3N")]
    receiver.status = 500
    again = datetime.now(UTC).isoformat()
    assert "The ping failed: it answered 500" in kw(tiny, "run", "--as-of", again).stderr


def test_addresses_are_in_no_log(tiny, receiver, caplog):
    settle(tiny, people=[("mira", receiver.port)], hooks=[receiver.port])
    receiver.answers += [500, 500]
    tell(tiny, "incident/7", to=("mira",))
    with caplog.at_level("DEBUG"), Project(tiny) as project:
        project.notify.send()
        assert "T0K3N" not in repr(project.settings) + str(project.notify.list())
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpcore")]
    assert ours and "T0K3N" not in "\n".join(ours)


def test_two_people_who_retry_at_once_send_it_once(tiny, receiver):
    settle(tiny, hooks=[receiver.port])
    tell(tiny, "incident/7")
    with Project(tiny) as one, Project(tiny) as other:
        one.notify.send()
        with pytest.raises(NoticeNotFound):
            other.notify.retry([1])
    assert len(receiver.got) == 1


def test_a_client_that_reads_events_needs_the_token(tiny):
    with listening_at(tiny, {"token": "a-token"}) as (_, client):
        assert client.get("/events").status_code == 401
        assert client.get("/events", headers={"authorization": "Bearer a-token"}).status_code == 200
