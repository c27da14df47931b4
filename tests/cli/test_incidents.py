"""Incidents on the command line, and silence."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def silent(on) -> int:
    """A project whose cycles have not come for months: the number of its first incident."""
    shown = on("watch", "silence", "--exit-code", "--json")
    assert shown.exit_code == 3, shown.output
    return json.loads(shown.stdout)["changed"][0]["incident"]


def test_silence_is_said_with_its_sentence(on, silent):
    shown = on("watch", "silence")
    assert "No scheduled cycle came since 15 January 2026 06:00" in shown.stdout
    assert "missed" not in on("watch", "silence", "--json").stdout or json.loads(on("watch", "silence", "--json").stdout)["changed"] == []


def test_incidents_are_listed_and_shown(on, kw, tiny, document, silent):
    assert "critical" in on("incidents").stdout
    assert [one["number"] for one in document("incidents")["incidents"]] == sorted(
        (one["number"] for one in document("incidents", "list")["incidents"]), reverse=True
    )
    shown = on("incidents", "show", silent)
    assert "What to do" in shown.stdout and "Nobody owns it" in shown.stdout
    assert kw("incidents", "-C", tiny, "show", silent).stdout == shown.stdout
    assert document("incidents", "show", str(silent))["participants"] == []


def test_acts_say_what_they_did_and_are_refused_in_words(on, silent):
    assert "Acknowledged by Mira" in on("incidents", "ack", silent, "--by", "Mira").stdout
    second = on("incidents", "ack", silent, "--by", "Jo")
    assert second.exit_code == 1 and "Mira did so at" in second.stderr
    assert "Handed to Jo by Mira" in on("incidents", "assign", silent, "Jo", "--by", "Mira").stdout
    assert "looked at it" in on("incidents", "comment", silent, "looked at it").stdout
    assert "Snoozed until" in on("incidents", "snooze", silent, "--for", "2d").stdout
    old = on("incidents", "close", silent, "--cause", "a test", "--revision", "1")
    assert old.exit_code == 1 and "Somebody was faster" in old.stderr
    assert "Closed by Jo: a test" in on("incidents", "close", silent, "--cause", "a test", "--by", "Jo").stdout
    assert "Reopened by Jo: no" in on("incidents", "reopen", silent, "--because", "no", "--by", "Jo").stdout
    assert "2026-Q" in on("incidents", "durations").stdout or on("incidents", "durations").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("show", "99"),
        ("ack", "99"),
        ("show", "99999999999999999999999"),
        ("snooze", "1"),
        ("snooze", "1", "--for", "2d", "--until", "2030-01-01"),
        ("close", "1"),
        ("durations", "--period", "week"),
    ],
    ids=" ".join,
)
def test_bad_input_is_refused(on, words):
    shown = on("incidents", *words)
    assert shown.exit_code in (1, 2) and "Traceback" not in shown.output


def test_status_and_why_name_the_incident(on, silent):
    assert "no scheduled cycle came" in on("status").stdout
    assert "Next: see why no cycle ends" in " ".join(on("status").stdout.split())
    assert f"Incident {silent}" in on("why").stdout or "Incident" in on("why").stdout


def test_doctor_names_who_is_told(on):
    assert "nobody owns this model" in " ".join(on("doctor").stdout.split())
