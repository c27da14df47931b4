"""Commands that change nothing, on a built project."""

from __future__ import annotations

import json

import pytest
from projects import BUILT_AT


def test_status_says_the_same_as_python(on, document, tiny):
    from keepwell import Project

    with Project(tiny) as project:
        said = project.status(BUILT_AT)
    shown = on("status", "--at", BUILT_AT.isoformat())
    assert shown.exit_code == 0
    assert said.headline in shown.stdout
    assert document("status", "--at", BUILT_AT.isoformat())["sentence"] == said.sentence


def test_status_exit_code_follows_monitoring_plugins(on):
    assert on("status", "--exit-code").exit_code == 3
    assert on("status").exit_code == 0


def test_versions_shows_the_champion(on, document):
    shown = on("versions").stdout
    assert "champion" in shown
    assert "brier (95 %)" in shown
    assert [one["alias"] for one in document("versions")["versions"]] == ["champion"]


def test_one_version_tells_what_it_was_made_of(on):
    shown = on("versions", "champion").stdout
    assert "Trained on" in shown
    assert "warmth, cloud" in shown


def test_a_version_that_is_not_there_names_those_that_are(on):
    shown = on("versions", "7")
    assert shown.exit_code == 1
    assert "Versions: 1" in shown.stderr


def test_card_is_markdown(on, document):
    assert on("versions", "1", "--card").stdout.startswith("---")
    assert "tiny" in document("versions", "1", "--card")["card"]


def test_runs_and_their_steps(on, document):
    listed = document("runs")["runs"]
    assert [run["status"] for run in listed] == ["passed"]
    steps = document("runs", listed[0]["run"])["steps"]
    assert [step["name"] for step in steps] == ["prepare", "train", "evaluate", "gate"]
    assert all(step["identity"] and step["reason"].startswith("ran:") for step in steps)
    assert "no earlier result" in on("runs", listed[0]["run"]).stdout


def test_a_run_that_is_not_there(on):
    shown = on("runs", "nothing")
    assert shown.exit_code == 1
    assert "keepwell runs" in shown.stderr


def test_history_tells_the_story(on, document):
    assert {event["kind"] for event in document("history")["events"]} == {"trained", "promoted"}
    assert "Version 1 became champion" in " ".join(on("history").stdout.split())


def test_history_of_an_unknown_kind_names_the_known_ones(on):
    assert "Kinds so far: promoted, trained." in on("history", "--kind", "dance").stdout


def test_serving_before_the_first_version(on):
    assert "had no version that serves" in on("serving", "--at", "2025-06-01").stdout


def test_serving_now(on, document):
    assert "is served by version 1" in on("serving").stdout
    assert document("serving")["version"] == 1


@pytest.mark.parametrize("command", ["versions", "runs", "history", "serving", "labels", "predict", "doctor"])
def test_no_table_is_wider_than_a_hundred_columns(on, command):
    assert max(map(len, on(command).stdout.splitlines())) <= 100


@pytest.mark.parametrize("command", ["status", "versions", "runs", "history", "serving", "labels", "predict", "doctor"])
def test_no_colour_where_nobody_looks(on, command):
    assert "\x1b" not in on(command).stdout


@pytest.mark.parametrize("command", ["status", "versions", "runs", "history", "serving", "labels", "predict", "doctor"])
def test_json_is_one_document(on, command):
    assert isinstance(json.loads(on(command, "--json").stdout), dict)
