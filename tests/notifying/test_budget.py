"""A person is told so much a week; the rest comes in one digest, and what is critical always comes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from receiving import receiving

from keepwell.notifying import event_id
from keepwell.notifying.budget import is_over
from keepwell.notifying.records import Notice


@pytest.fixture
def mira(post, receiver):
    """A sender whose person has a budget of two a week."""
    people = {"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/"]}}
    return lambda **notify: post.sender(people=people, notify={"weekly_budget": 2, **notify})


def titles(receiver):
    return [json.loads(got.body)["title"].removeprefix("rain: ") for got in receiver.got]


@pytest.mark.parametrize(
    ("severity", "kind", "told", "over"),
    [
        ("info", "incident.opened", 1, False),
        ("info", "incident.opened", 2, True),
        ("warning", "incident.opened", 2, True),
        ("critical", "incident.opened", 99, False),
        ("info", "test", 99, False),
        ("info", "digest", 99, False),
    ],
)
def test_what_is_critical_and_what_tells_of_no_fact_never_waits(severity, kind, told, over):
    assert is_over(Notice(kind, "", "", severity, (), datetime(2026, 3, 4, tzinfo=UTC)), told, 2) is over


def test_surplus_goes_into_one_digest_at_the_end_of_the_week(post, receiver, mira):
    sender = mira()
    for number in range(5):
        post.enqueue(f"incident/{number}", to=("mira",))
        sender.turn()
        post.later(hours=1)
    assert titles(receiver) == ["incident opened"] * 2
    post.later(days=3)
    sender.turn()
    assert len(receiver.got) == 2, "the week has not ended"
    post.later(days=2)
    sender.turn()
    sender.turn()
    assert titles(receiver)[2:] == ["digest"]
    text = json.loads(receiver.got[2].body)["message"]
    assert text.startswith("3 notices that were more than this week's budget:\n2026-03-04 info: sentence of incident/2\n")
    assert "incident/1" not in text, "a digest does not repeat what was sent"
    assert [state for _, _, state in post.states()] == ["sent"] * 2 + ["in digest"] * 3 + ["sent"]


def test_a_new_week_has_a_new_budget(post, receiver, mira):
    sender = mira()
    for number in range(4):
        post.enqueue(f"incident/{number}", to=("mira",))
        sender.turn()
        post.later(days=7 if number == 1 else 0)
    assert titles(receiver) == ["incident opened"] * 4


def test_what_is_critical_is_always_sent_counts_and_brings_the_digest_along(post, receiver, mira):
    sender = mira()
    post.enqueue("bad", "critical", to=("mira",))
    for number in range(3):
        post.enqueue(f"incident/{number}", to=("mira",))
    sender.turn()
    assert titles(receiver) == ["incident opened (critical)", "incident opened"]
    post.enqueue("worse", "critical", to=("mira",))
    sender.turn()
    assert titles(receiver)[2:] == ["incident opened (critical)", "digest"]
    post.later(days=7)
    sender.turn()
    assert len(receiver.got) == 4, "what was listed is not listed again"


def test_each_person_has_a_budget_and_every_channel_of_hers_counts_once(post, receiver):
    with receiving() as other:
        people = {
            "mira": {"tell": [f"json://127.0.0.1:{receiver.port}/", f"xml://127.0.0.1:{receiver.port}/"]},
            "jo": {"tell": [f"json://127.0.0.1:{other.port}/"]},
        }
        sender = post.sender(people=people, notify={"weekly_budget": 1})
        post.enqueue("first", to=("mira",))
        post.enqueue("second", to=("mira", "Jo"))
        sender.turn()
        assert receiver.ids == [event_id("rain", "first")] * 2
        assert other.ids == [event_id("rain", "second")]


def test_webhooks_have_no_budget_and_get_no_digest(post, receiver, hook):
    people = {"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/"]}}
    with receiving() as machine:
        sender = post.sender(people=people, webhooks=[hook(machine)], notify={"weekly_budget": 0})
        for number in range(3):
            post.enqueue(f"incident/{number}", to=("mira",))
        sender.turn()
        post.later(days=7)
        sender.turn()
        assert machine.ids == [event_id("rain", f"incident/{number}") for number in range(3)]
    assert titles(receiver) == ["digest"]


def test_a_killed_week_of_digests_is_made_once(post, receiver, mira):
    """Two senders find the same week ended."""
    for number in range(3):
        post.enqueue(f"incident/{number}", to=("mira",))
    mira().turn()
    post.later(days=7)
    first, second = mira(), mira()
    first.turn()
    second.turn()
    assert titles(receiver).count("digest") == 1


def test_somebody_who_is_not_in_the_settings_is_on_record_as_nobody_to_reach(post, receiver):
    people = {"mira": {"tell": []}}
    post.enqueue("incident/7", to=("mira", "jo"))
    post.sender(people=people).turn()
    assert post.states() == [("incident/7", "jo", "nobody"), ("incident/7", "mira", "nobody")]
    assert post.problems()[0] == 'nobody to reach: [people."jo"] has no tell'


def test_each_channel_gets_one_test_a_day(post, receiver, hook):
    people = {"mira": {"tell": [f"json://127.0.0.1:{receiver.port}/"]}}
    with receiving() as machine:
        for _ in range(3):  # also after a restart
            sender = post.sender(people=people, webhooks=[hook(machine, kinds=["incident.*"])], notify={"daily_test": True})
            sender.turn()
            sender.turn()
        assert (titles(receiver), len(machine.got)) == (["test"], 1)
        post.later(days=1)
        sender.turn()
        assert (len(receiver.got), len(machine.got)) == (2, 2)
