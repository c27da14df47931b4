"""Owners, escalation, acts, durations, runbooks and the sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from lives import DAY, OWNERS, T0, Life, decline, finding, over, silent

from keepwell.errors import IncidentChanged, IncidentRefused
from keepwell.incidents import ACTS, Around, Incident, clause, durations_of, escalate, expect, medians, orphans, owner_of, runbook_of, tell
from keepwell.settings import EscalationSection, OwnerSection, PartySection

HOUR = timedelta(hours=1)
ESCALATION = EscalationSection()
LOSS = {"name": "log loss", "before": 0.5, "after": 0.6, "low": 0.57, "high": 0.63, "is_measured": True}


@pytest.fixture
def incident() -> Incident:
    life = Life({}, [])
    life.day(0, decline(0))
    return life.incidents[1]


# --- owners ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "kind", "people"),
    [
        ("data_quality", "unit_change", ("Dan", "Jo")),
        ("concept_shift", "concept_shift", ("Mira", "Jo")),
        ("silence", "late data", ("Dan", "Jo")),
        ("silence", "no traffic", ("Mira", "Jo")),
        ("keepwell", "failing cycle", ("Mira", "Jo")),
    ],
)
def test_the_cause_decides_who_is_told(cls: str, kind: str, people: tuple[str, ...]) -> None:
    assert owner_of(OWNERS, cls, kind).people == people


def test_the_owner_of_the_model_stands_in_for_one_of_a_kind() -> None:
    owners = OwnerSection(owner="Mira", data=PartySection(owner="Dan"))
    assert owner_of(owners, "data_quality", "stuck").people == ("Dan", "Mira")


def test_kinds_that_nobody_owns_are_orphans() -> None:
    assert orphans(OWNERS) == ()
    assert orphans(OwnerSection()) == ("data", "model", "serving", "keepwell")
    assert orphans(OwnerSection(data=PartySection(owner="Dan"))) == ("model", "serving", "keepwell")


# --- escalation -----------------------------------------------------------------------------------------------------------


def escalated(incident: Incident, *hours: float) -> list[tuple[float, str]]:
    told = []
    for hour in hours:
        if change := escalate(incident, ESCALATION, T0 + hour * HOUR):
            incident = change.incident
            told.append((hour, change.activity.sentence.rpartition("told to ")[2]))
    return told


def test_the_deputy_is_told_once_then_both_once_then_nobody(incident: Incident) -> None:
    assert escalated(incident, -50, 1, 23.9, 24, 25, 47, 48, 96, 5000) == [(24, "Jo"), (48, "Mira and Jo")]


def test_what_somebody_has_is_told_no_further(incident: Incident) -> None:
    has = ACTS["ack"](incident, by="Mira", now=T0).incident
    assert escalated(has, 24, 48) == []


def test_a_snooze_counts_from_its_end(incident: Incident) -> None:
    snoozed = ACTS["snooze"](incident, T0 + 48 * HOUR, by="Mira", now=T0).incident
    assert escalated(snoozed, 24, 49, 72, 96) == [(72, "Jo"), (96, "Mira and Jo")]


def test_what_harms_nobody_is_told_no_further() -> None:
    life = Life({}, [])
    life.day(0, silent(severity="info"))
    assert escalated(life.incidents[1], 24, 48) == []


# --- acts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepare", "act", "what", "reason"),
    [
        (["ack"], "ack", (), "Mira did so at 2026-05-01 06:00"),
        ([], "assign", ("Mira",), "Mira has it already"),
        ([], "assign", ("  ",), "no words were given"),
        ([], "comment", ("",), "no words were given"),
        ([], "comment", ("x" * 5000,), "5,000 characters"),
        ([], "snooze", (T0,), "is over"),
        ([], "close", (" ",), "no words were given"),
        ([], "reopen", ("why",), "it is not closed"),
        (["close"], "close", ("again",), "Mira closed it on 2026-05-01 06:00: a cause"),
        (["close"], "ack", (), "Mira closed it"),
        (["close"], "snooze", (T0 + DAY,), "Mira closed it"),
    ],
)
def test_an_act_that_does_not_fit_is_refused_in_words(incident: Incident, prepare: list[str], act: str, what: tuple, reason: str) -> None:
    for first in prepare:
        incident = ACTS[first](incident, *(("a cause",) if first == "close" else ()), by="Mira", now=T0).incident
    with pytest.raises(IncidentRefused, match=reason):
        ACTS[act](incident, *what, by="Jo", now=T0)


def test_who_acts_on_an_older_state_is_refused(incident: Incident) -> None:
    expect(incident, None)
    expect(incident, incident.revision)
    with pytest.raises(IncidentChanged, match="at revision 1, and this rests on revision 0"):
        expect(incident, 0)


def test_who_acknowledges_what_nobody_owns_owns_it() -> None:
    life = Life({}, [])
    life.day(0, decline(0))
    assert ACTS["ack"](replace(life.incidents[1], owner=None), by="Zoe", now=T0).incident.owner == "Zoe"


# --- durations ------------------------------------------------------------------------------------------------------------


def test_the_three_durations(incident: Incident) -> None:
    has = ACTS["ack"](incident, by="Mira", now=T0 + 2 * HOUR).incident
    done = ACTS["close"](has, "mended", by="Mira", now=T0 + 30 * HOUR).incident
    assert durations_of(done).as_dict() == {"detect_h": 48.0, "respond_h": 2.0, "repair_h": 30.0}
    assert medians([done], "month") == [{"period": "2026-05", "incidents": 1, "detect_h": 48.0, "respond_h": 2.0, "repair_h": 30.0}]
    assert medians([incident])[0]["repair_h"] is None


@pytest.mark.parametrize(
    "act", [lambda one, now: ACTS["ack"](one, by="M", now=now), lambda one, now: ACTS["close"](one, "x", by="M", now=now)]
)
def test_a_clock_that_went_back_makes_no_duration_negative(incident: Incident, act: Callable[[Incident, datetime], Any]) -> None:
    found = durations_of(act(incident, T0 - 9 * DAY).incident)
    assert all(value is None or value >= timedelta(0) for value in vars(found).values())


# --- the sentence ---------------------------------------------------------------------------------------------------------


def test_the_sentence_of_a_decline() -> None:
    life = Life({}, [])
    facts = {"loss": LOSS, "share": 0.81, "maturity": 0.64, "next": ["other rows come"], "began": (T0 - 2 * DAY).isoformat()}
    life.day(0, decline(0, cls="data_quality", column="humidity", level=0.9, words="the unit changed in humidity", facts=facts))
    assert tell(life.incidents[1]) == (
        "rain is declining since 29 April 2026 (28 to 30 April, 90 %). Its log loss rose from 0.500 to 0.600 (0.570 to 0.630; 64% of the "
        "labels that are due are in). Most likely: the unit changed in humidity (explains about 80 % of the rise); next: other rows come. "
        "Dan was told, not acknowledged yet. Retraining is held while the data is at fault. Next: mend the source of humidity."
    )


def test_the_sentence_says_who_has_it_what_is_held_and_what_comes_by_itself(incident: Incident) -> None:
    has = ACTS["ack"](incident, by="Mira", now=T0).incident
    said = tell(has, Around(held="cooldown for 9 more days"))
    assert "Mira has it, acknowledged 1 May 2026 06:00. Retraining is held: cooldown for 9 more days." in said
    assert tell(has, Around(by_itself="a new version is built, because the model is unwell")).endswith(
        "Next: a new version is built, because the model is unwell."
    )
    assert clause(has).startswith("1 (warning): concept_shift. Mira has it")


def test_the_sentence_of_a_closed_one_says_its_cause_and_its_effect() -> None:
    life = Life({}, [])
    life.day(0, finding(0))
    life.day(3, ends=over(finding(0), 3, "good rows came again"))
    said = tell(life.incidents[1])
    assert said.startswith("rain got broken data since between 30 April 2026 06:00 and 1 May 2026 06:00 until 4 May 2026 06:00.")
    assert said.endswith("Closed by keepwell after 3 days: good rows came again; it was: unit change in humidity.")


def test_nobody_owns_it_is_said(incident: Incident) -> None:
    assert "Nobody owns it: set [owner] owner in keepwell.toml" in tell(replace(incident, owner=None))


def test_a_runbook_of_ones_own_stands_above_the_built_in_one() -> None:
    assert runbook_of({"data_quality": "https://wiki/x"}, "data_quality", "stuck", "humidity").text == "https://wiki/x"
    assert runbook_of({"stuck": "ring Ann", "data_quality": "x"}, "data_quality", "stuck", "humidity").text == "ring Ann"
    assert runbook_of({}, "silence", "missed cycle", "").act.startswith("see why no cycle ends")
