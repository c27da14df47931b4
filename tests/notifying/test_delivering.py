"""At least once, in order, under one id; and what happens when a channel does not do its part."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import random
import threading
import time
from datetime import timedelta

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from receiving import closed_port, receiving

from keepwell.notifying import event_id, stuck
from keepwell.notifying.delivering import pause_s
from keepwell.settings import NotifySection

SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four bytes").decode()
LIMIT = timedelta(minutes=30)


def test_a_notice_reaches_a_webhook_as_a_signed_cloud_event(post, receiver, hook):
    post.enqueue("incident/7/opened", "warning", to=("mira",), share=0.8)
    turn = post.sender(webhooks=[hook(receiver, secret=SECRET)]).turn()
    assert (turn.sent, turn.failed) == (1, ())
    (got,) = receiver.got
    event = from_http_event(HTTPMessage(got.headers, got.body))
    assert (event.get_type(), event.get_source(), event.get_subject()) == ("dev.keepwell.incident.opened.v1", "/models/rain", "incident/7")
    assert event.get_time() == post.now and event.get_extension("sequence") == "000000000001"
    assert event.get_data()["facts"] == {"share": 0.8}
    assert event.get_id() == got.headers["idempotency-key"] == got.headers["webhook-id"] == event_id("rain", "incident/7/opened")
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = base64.b64encode(hmac.digest(b"a key of twenty-four bytes", signed, "sha256")).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"
    assert int(got.headers["webhook-timestamp"]) == int(post.now.timestamp())


def test_a_notice_reaches_a_person_through_apprise(post, receiver):
    post.enqueue("incident/7/opened", "critical", to=("mira",))
    people = {"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/T0K3N"]}, "jo": {"tell": [f"json://127.0.0.1:{receiver.port}/other"]}}
    assert post.sender(people=people).turn().sent == 1
    (got,) = receiver.got
    message = json.loads(got.body)
    assert (message["title"], message["type"]) == ("rain: incident opened (critical)", "failure")
    assert message["message"].startswith("sentence of incident/7/opened\n\n2026-03-04 06:00 UTC, incident/7, notice ")
    assert got.headers["idempotency-key"] == event_id("rain", "incident/7/opened")
    assert post.states() == [("incident/7/opened", "mira/json", "sent")]


def test_one_fact_is_told_once(post, receiver, hook):
    assert post.enqueue("incident/7/opened") is True
    assert post.enqueue("incident/7/opened") is False
    sender = post.sender(webhooks=[hook(receiver)])
    sender.turn()
    sender.turn()
    assert len(receiver.got) == 1


def test_notices_are_delivered_in_order_also_after_failures(post, receiver, hook):
    keys = [f"incident/{number}" for number in range(5)]
    for key in keys:
        post.enqueue(key)
    receiver.answers += [200, 500, 503]
    sender = post.sender(webhooks=[hook(receiver)])
    assert sender.turn().sent == 1
    assert sender.turn().sent == 0, "the second waits for its next try, and the others wait for it"
    post.later(seconds=31)
    sender.turn()
    post.later(seconds=61)
    assert sender.turn().sent == 4
    ids = [event_id("rain", key) for key in keys]
    assert receiver.ids == [ids[0], ids[1], ids[1], *ids[1:]]


def test_a_channel_that_fails_holds_no_other(post, receiver, hook):
    with receiving(status=500) as broken:
        post.enqueue("incident/7", to=("mira",))
        people = {"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/"]}}
        turn = post.sender(webhooks=[hook(broken)], people=people).turn()
    assert turn.sent == 1
    assert turn.sentence == f"webhook/127.0.0.1:{broken.port}: it answered 500 Internal Server Error"


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({"status": 500}, "it answered 500 Internal Server Error"),
        ({"status": 429}, "it answered 429 Too Many Requests"),
        ({"status": 408}, "it answered 408 Request Timeout"),
        ({"answers": [60.0]}, "it did not answer within 1 s"),
        ({"answers": ["drip"]}, "it did not answer within 1 s"),
    ],
    ids=["500", "429", "408", "hangs", "drips"],
)
def test_a_webhook_that_may_come_back_is_tried_again(post, hook, how, problem):
    with receiving(**how) as receiver:
        post.enqueue("incident/7")
        begun = time.monotonic()
        (failed,) = post.sender(webhooks=[hook(receiver)], notify={"timeout_s": 1.0 if "within" in problem else 5.0}).turn().failed
        assert failed[1] == problem
        assert time.monotonic() - begun < 10, "the receiver would hang for a minute"
        sender = post.sender(webhooks=[hook(receiver)])
        receiver.status = 200
        for _ in range(4):
            post.later(hours=1)
            sender.turn()
    assert post.states() == [("incident/7", f"webhook/127.0.0.1:{receiver.port}", "sent")]


def test_a_slow_answer_is_an_answer(post, hook):
    with receiving(answers=[0.5]) as receiver:
        post.enqueue("incident/7")
        assert post.sender(webhooks=[hook(receiver)]).turn().sent == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_refusal_is_given_up_after_few_tries_and_says_so(post, hook, status):
    with receiving(status=status) as receiver:
        post.enqueue("incident/7")
        post.enqueue("incident/8")
        sender = post.sender(webhooks=[hook(receiver)])
        for _ in range(10):
            sender.turn()
            post.later(minutes=30)
    assert [receiver.ids.count(event_id("rain", f"incident/{number}")) for number in (7, 8)] == [3, 3]
    assert {state for _, _, state in post.states()} == {"given up"}
    assert all(said.startswith(f"it answered {status}") and "(given up after 3 tries)" in said for said in post.problems())


def test_a_redirect_is_not_followed(post, receiver, hook):
    with receiving(status=307, headers={"location": f"{receiver.url}/elsewhere"}) as moved:
        post.enqueue("incident/7")
        (failed,) = post.sender(webhooks=[hook(moved)]).turn().failed
    assert failed[1] == "it answered 307 Temporary Redirect: redirects are not followed, set the new address"
    assert receiver.got == []


def test_a_closed_port_is_tried_until_the_time_is_over(post):
    post.enqueue("incident/7")
    sender = post.sender(webhooks=[{"url": f"http://127.0.0.1:{closed_port()}/T0K3N"}], notify={"give_up_hours": 5})
    for _ in range(9):
        sender.turn()
        post.later(hours=1)
    assert [state for _, _, state in post.states()] == ["given up"]
    (said,) = post.problems()
    assert said.startswith("it cannot be reached") and "in 5 hours)" in said


def test_a_busy_webhook_is_left_alone_as_long_as_it_asks(post, hook):
    with receiving(status=503, headers={"retry-after": "600"}) as receiver:
        post.enqueue("incident/7")
        sender = post.sender(webhooks=[hook(receiver)])
        sender.turn()
        post.later(seconds=599)
        sender.turn()
        assert len(receiver.got) == 1
        post.later(seconds=2)
        sender.turn()
        assert len(receiver.got) == 2


def test_a_person_who_cannot_be_reached_now_is_told_later(post):
    with receiving(status=500) as receiver:
        post.enqueue("incident/7", to=("mira",))
        sender = post.sender(people={"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/T0K3N"]}})
        (failed,) = sender.turn().failed
        assert "500" in failed[1] and "T0K3N" not in failed[1]
        receiver.status = 200
        post.later(minutes=1)
        assert sender.turn().sent == 1


def test_an_apprise_channel_that_hangs_is_left(post):
    with receiving(answers=[60.0]) as receiver:
        post.enqueue("incident/7", to=("mira",))
        begun = time.monotonic()
        people = {"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/"]}}
        turn = post.sender(people=people, notify={"timeout_s": 1.0}).turn()
        assert turn.sent == 0 and time.monotonic() - begun < 15


def test_pauses_grow_and_are_jittered():
    settings = NotifySection(first_pause_s=10, longest_pause_s=60)
    assert [pause_s(tries, settings, 0.0) for tries in (1, 2, 3, 4, 5)] == [10, 20, 40, 60, 60]
    assert pause_s(2, settings, 1.0) == 10


def test_two_senders_at_once_send_each_notice_once_and_in_order(post, receiver, hook):
    keys = [f"incident/{number}" for number in range(12)]
    for key in keys:
        post.enqueue(key)
    receiver.answers += [0.05] * 12
    senders = [post.sender(webhooks=[hook(receiver)]) for _ in range(3)]
    threads = [threading.Thread(target=lambda sender=sender: [sender.turn() or time.sleep(0.02) for _ in range(40)]) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert receiver.ids == [event_id("rain", key) for key in keys]


def test_a_lease_of_a_sender_that_died_runs_out(post, receiver, hook):
    post.enqueue("incident/7")
    dead, alive = (post.sender(webhooks=[hook(receiver)]) for _ in range(2))
    assert len(dead._claim()[0]) == 1
    assert alive.turn().sent == 0
    post.later(seconds=26)
    assert alive.turn().sent == 1


def test_a_clock_that_is_set_back_holds_nothing_up(post, receiver, hook):
    """Next tries and leases that were written under a clock a month ahead lie too far in the future to be believed."""
    post.later(days=3)  # stays younger than what is stale
    with receiving(status=500) as broken:
        post.enqueue("failed before")
        post.sender(webhooks=[hook(broken)]).turn()
    sender = post.sender(webhooks=[{"url": f"{receiver.url}/"}])
    post.later(days=-2)
    post.enqueue("came after")
    dead = post.sender(webhooks=[{"url": f"{receiver.url}/"}])
    post.later(days=1)
    dead._claim()
    post.later(days=-1)
    assert sender.turn().sent == 1
    assert receiver.ids == [event_id("rain", "came after")]


def test_a_next_try_that_a_wrong_clock_wrote_is_not_waited_for(post, hook):
    with receiving(answers=[500]) as receiver:
        post.later(days=3)
        post.enqueue("incident/7")
        sender = post.sender(webhooks=[hook(receiver)])
        sender.turn()
        post.later(days=-3)
        assert sender.turn().sent == 1


def test_what_happened_long_ago_is_not_sent(post, receiver, hook):
    for year in range(1950, 2026):
        post.enqueue(f"incident/{year}", "critical", to=("mira",), at=post.now.replace(year=year))
    post.enqueue("incident/now", to=("mira",))
    people = {"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/"]}}
    assert post.sender(webhooks=[hook(receiver)], people=people).turn().sent == 2
    assert receiver.ids == [event_id("rain", "incident/now")] * 2
    assert [state for _, _, state in post.states()].count("stale") == 2 * 76


def test_a_channel_that_left_the_settings_is_given_up_when_its_time_is_over(post, hook):
    """Not at once: a process that was started before the settings were changed knows nothing of a new channel."""
    with receiving(status=500) as receiver:
        post.enqueue("incident/7")
        post.sender(webhooks=[hook(receiver)]).turn()
    post.later(hours=71)
    post.sender().turn()
    assert [state for _, _, state in post.states()] == ["pending"]
    post.later(hours=2)
    post.sender().turn()
    assert [state for _, _, state in post.states()] == ["given up"]
    assert post.problems() == ["the settings do not name this channel any more"]


def test_a_webhook_gets_only_the_kinds_it_asked_for(post, receiver, hook):
    post.enqueue("opened", kind="incident.opened")
    post.enqueue("promoted", kind="model.promoted")
    post.enqueue("closed", kind="incident.closed")
    post.sender(webhooks=[hook(receiver, kinds=["incident.*"])]).turn()
    assert receiver.ids == [event_id("rain", "opened"), event_id("rain", "closed")]


def test_a_channel_that_does_not_deliver_is_stuck_and_says_why(post, hook):
    with receiving(status=500) as receiver:
        post.enqueue("incident/7")
        post.enqueue("incident/8")
        sender = post.sender(webhooks=[hook(receiver)])
        sender.turn()
        with post.database.read() as connection:
            assert stuck(connection, post.now, LIMIT) == []
        begun = post.now
        post.later(minutes=31)
        with post.database.read() as connection:
            (found,) = stuck(connection, post.now, LIMIT)
        assert (found.model, found.since, found.waiting) == ("rain", begun, 2)
        assert found.sentence == f"webhook/127.0.0.1:{receiver.port} has not got 2 notices: it answered 500 Internal Server Error"
        receiver.status = 200
        sender.turn()
    with post.database.read() as connection:
        assert stuck(connection, post.now, LIMIT) == []


def test_a_channel_is_stuck_while_its_newest_notice_was_given_up(post, hook):
    with receiving(status=404) as receiver:
        post.enqueue("incident/7")
        sender = post.sender(webhooks=[hook(receiver)], notify={"refused_tries": 1})
        sender.turn()
        with post.database.read() as connection:
            (found,) = stuck(connection, post.now, LIMIT, "rain")
        assert found.sentence.endswith("gave up its newest notice: it answered 404 Not Found (given up after one try)")
        receiver.status = 200
        post.enqueue("incident/8")
        sender.turn()
    with post.database.read() as connection:
        assert stuck(connection, post.now, LIMIT, "rain") == []


def test_notices_that_nobody_looks_at_are_stuck(post):
    post.enqueue("incident/7")
    with post.database.read() as connection:
        created = post.database and stuck(connection, post.now.replace(year=2099), LIMIT)
    assert [(one.channel, one.waiting) for one in created] == [("the outbox", 1)]


def test_a_sender_in_a_thread_sends_what_comes_and_stops_when_asked(post, receiver, hook):
    sender = post.sender(webhooks=[hook(receiver)])
    sender.start()
    post.enqueue("incident/7")
    sender.wake()
    until = time.monotonic() + 10
    while not receiver.got and time.monotonic() < until:
        time.sleep(0.02)
    assert sender.stop(5)
    assert receiver.ids == [event_id("rain", "incident/7")]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_goes_wrong_each_channel_gets_all_it_can_once_and_in_order(post, seed):
    """Random faults, restarts, deaths between message and mark, and jumps of the clock."""
    draw = random.Random(seed)
    with receiving() as first, receiving() as second:
        hooks = [{"url": f"{one.url}/"} for one in (first, second)]
        settings = {"webhooks": hooks, "notify": {"timeout_s": 5.0, "first_pause_s": 1, "longest_pause_s": 4, "refused_tries": 99}}
        sender, number = post.sender(**settings), 0
        for _ in range(40):
            act = draw.choice(["tell", "tell", "turn", "turn", "die", "restart", "fault", "later", "back"])
            if act == "tell":
                post.enqueue(f"incident/{number}")
                number += 1
            elif act == "die":  # what was sent is not marked
                dying = post.sender(**settings)
                dying._mark = lambda *_: (_ for _ in ()).throw(RuntimeError("killed"))
                with contextlib.suppress(RuntimeError):
                    dying.turn()
            elif act == "restart":
                sender = post.sender(**settings)
            elif act == "fault":
                draw.choice((first, second)).answers += draw.choices([500, 404, 429, 302], k=2)
            elif act == "later":
                post.later(minutes=draw.randint(1, 9))
            elif act == "back":
                post.later(minutes=-draw.randint(1, 9))
            else:
                sender.turn()
        for _ in range(20):
            post.later(minutes=2)
            sender.turn()
        expected = [event_id("rain", f"incident/{one}") for one in range(number)]
        for one in (first, second):
            assert list(dict.fromkeys(one.ids)) == expected
            assert [list(dict.fromkeys(one.ids)).index(found) for found in one.ids] == sorted(expected.index(found) for found in one.ids)
    assert {state for _, _, state in post.states()} == {"sent"}
