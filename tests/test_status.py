"""The sentence, and when silence becomes an alarm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import stores
from projects import BUILT_AT, tiny_project

from keepwell import Project
from keepwell.status import Status, day, status

LAST = BUILT_AT + timedelta(days=22)  # its rows end two days before
AT = datetime(2026, 5, 14, 6, tzinfo=UTC)
FACTS = {"model": "rain", "at": AT, "word": "well", "since": datetime(2026, 5, 1, tzinfo=UTC), "because": "brier 0.18", "checked": AT}


def test_the_sentence_begins_with_the_word_since_and_why():
    assert Status(**FACTS).sentence.startswith("rain is well since 1 May 2026: brier 0.18.")


@pytest.mark.parametrize(
    ("facts", "clause"),
    [
        ({"maturity": 0.64}, "Labels: 64% of those that are due are in."),
        ({"champion": 4, "champion_since": AT}, "Serving: version 4 since 14 May 2026 06:00."),
        (
            {"retraining": "the model is unwell", "held_by": "the data has a fault"},
            "the model is unwell, but it is held: the data has a fault.",
        ),
        ({"retraining": "no version serves yet", "coming": "the next cycle builds a version"}, "yet: the next cycle builds a version."),
        ({"waiting": 1}, "Quarantine: 1 row waits."),
        ({"waiting": 1200}, "Quarantine: 1,200 rows wait."),
        ({"owner": "Mira", "deputy": "Jo"}, "Owner: Mira, deputy Jo."),
        ({"orphans": ("serving", "keepwell")}, "Orphans: nobody is told about serving, keepwell."),
        ({"incidents": ({"clause": "3 (warning): humidity is stuck"},)}, "Incident: 3 (warning): humidity is stuck."),
        ({}, "Owner: nobody; set [owner] owner in keepwell.toml."),
    ],
)
def test_each_fact_has_its_clause(facts, clause):
    assert clause in Status(**{**FACTS, **facts}).sentence


def test_as_dict_is_plain():
    plain = Status(**FACTS).as_dict()
    assert plain["since"] == "2026-05-01T00:00:00+00:00"
    assert plain["sentence"] == Status(**FACTS).sentence


def test_a_moment_is_said_as_people_say_it():
    assert day(AT) == "14 May 2026 06:00"


def test_a_new_project_is_unknown(tmp_path):
    with Project(tiny_project(tmp_path / "tiny")) as project:
        assert project.status().word == "unknown"
        assert "has not been checked yet" in project.status().sentence


DAILY = {"every_days": 1, "cooldown_days": 0, "min_new_labels": 0}


@pytest.mark.parametrize(
    ("is_new", "retrain", "clause"),
    [
        (True, {}, "no version serves yet, but it is held: 0 labelled rows, 100 are needed"),
        (False, {}, "the last cycle built a version, because no version serves yet"),
        (False, DAILY, "1 days since the last build: the next cycle builds a version"),
        (
            False,
            {**DAILY, "min_new_labels": 9},
            "1 days since the last build, but it is held: 0 new labels since the last build, 9 are needed",
        ),
    ],
    ids=["new", "nothing", "due", "held"],
)
def test_a_coming_build_is_said_as_next_says_it(built, tmp_path, is_new, retrain, clause):
    with Project(tiny_project(tmp_path / "tiny") if is_new else built, {"retrain": retrain}) as project:
        status, coming = project.status(), project.next()
        assert dict(status.lines)["Retraining"] == clause
        builds = [act for act in coming.acts if act.name == "build" and status.retraining and act.sentence.endswith(status.retraining)]
        asked = bool(status.coming or status.held_by)
        assert asked == bool(builds)
        assert [act.held_by for act in builds if asked] == ([tuple(status.held_by.split("; ")) if status.held_by else ()] if asked else [])


@pytest.fixture(scope="module")
def lived(built, tmp_path_factory):
    """A folder that was cared for daily for some weeks after its first version."""
    folder = stores.copy_project(built, tmp_path_factory.mktemp("lived") / "tiny")
    with Project(folder) as project:
        for _ in project.backfill(BUILT_AT, LAST, timedelta(days=1)):
            pass
    return folder


@pytest.fixture
def cared(lived, tmp_path):
    with Project(stores.copy_project(lived, tmp_path / "tiny")) as project:
        yield project


def test_silence_becomes_unknown_after_two_missed_cycles(cared):
    known = status(cared.context, LAST + timedelta(days=1, hours=23))
    silent = status(cared.context, LAST + timedelta(days=2, hours=1))
    assert known.word == "well"
    assert silent.word == "unknown"
    assert silent.since == LAST + timedelta(days=2)
    assert "no scheduled cycle came since" in silent.sentence


def test_the_next_cycle_is_the_schedules(cared):
    assert status(cared.context, AT).next_cycle == AT + timedelta(days=1)


def test_a_failed_cycle_is_not_well(cared):
    (cared.folder / "contract.toml").write_text("x = [")
    record = cared.run(LAST + timedelta(days=1))
    assert record.status == "failed"
    found = status(cared.context, LAST + timedelta(days=1))
    assert found.word == "watch"
    assert "the newest cycle failed" in found.sentence


def test_the_past_is_told_as_it_was(cared):
    assert status(cared.context, BUILT_AT - timedelta(days=1)).champion is None
    assert status(cared.context, BUILT_AT + timedelta(days=3)).champion == 1


def test_maturity_counts_what_is_in(cared):
    years = cared.maturity()
    assert [row["year"] for row in years] == [2026]
    assert years[0]["labelled"] <= years[0]["predictions"]
    assert years[0]["median_days"] >= 0


def test_looking_at_the_record_does_not_import_the_model(lived):
    """A model's libraries take seconds to load."""
    with Project(lived) as project:
        project.status()
        project.versions()
        project.serving()
        assert project.context._model is None
