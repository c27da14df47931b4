"""One fault, one incident: joining, reopening and ending, on literal sightings and on random histories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lives import DAY, T0, Life, decline, finding, over, silent

from keepwell.incidents import End, Fault


@pytest.fixture
def life() -> Life:
    return Life({}, [])


def test_a_decline_opens_an_incident_that_its_owner_is_told_of_once(life: Life) -> None:
    life.day(0, decline(0))
    life.day(1, decline(1))
    life.day(2, decline(2, cls="label_shift"))
    (incident,) = life.open
    assert [change.notice for change in life.changes] == ["incident.opened", "", ""]
    assert (incident.owner, incident.deputy, incident.cls) == ("Mira", "Jo", "label_shift")
    assert (incident.first, incident.last) == (T0 - 3 * DAY, T0 - DAY)


def test_a_better_diagnosis_hands_the_incident_to_who_owns_the_cause(life: Life) -> None:
    life.day(0, decline(0, cls="unknown"))
    life.day(1, decline(1, cls="data_quality", column="humidity"))
    assert life.open[0].owner == "Dan"
    assert [change.notice for change in life.changes] == ["incident.opened", "", "incident.assigned"]


def test_a_person_who_was_chosen_keeps_it(life: Life) -> None:
    life.day(0, decline(0, cls="unknown"))
    life.act(1, "assign", "Zoe", day=0)
    life.day(1, decline(1, cls="data_quality", column="humidity"))
    assert life.open[0].owner == "Zoe"


@pytest.mark.parametrize(
    "other",
    [decline(5, number=2, began=(-2, 4)), finding(5), silent("dead worker", "cycles")],
    ids=["beginnings overlap", "the same column", "another family"],
)
def test_what_belongs_to_an_open_incident_joins_it(life: Life, other: Fault) -> None:
    life.day(0, decline(0, cls="data_quality", column="humidity"))
    life.day(5, other)
    assert len(life.open) == (2 if other.family == "cycles" else 1)


def test_another_beginning_of_another_cause_is_another_incident(life: Life) -> None:
    life.day(0, decline(0))
    life.day(60, finding(60))
    assert [one.number for one in life.open] == [1, 2]


def test_a_diagnosis_that_names_the_column_of_another_incident_makes_them_one(life: Life) -> None:
    life.day(0, decline(0, cls="unknown"))
    life.day(60, finding(60))
    life.day(61, decline(61, cls="data_quality", column="humidity"))
    (incident,) = life.open
    assert incident.number == 1
    assert set(incident.facts["faults"]) == {"watch/1/1", "contract/unit change/humidity"}
    assert life.incidents[2].facts["closed"]["cause"] == "the same fault as incident 1"


def test_it_ends_when_the_last_of_its_faults_does(life: Life) -> None:
    first, second = finding(0), decline(3, began=(-1, 1), cls="data_quality", column="humidity")
    life.day(0, first)
    life.day(3, second)
    life.day(9, ends=over(first, 9, "good rows came again"))
    assert life.open
    life.day(20, ends=over(second, 20))
    (incident,) = life.incidents.values()
    assert (incident.state, incident.closed_at, incident.is_live) == ("closed", T0 + 20 * DAY, False)
    assert incident.facts["closed"]["cause"].startswith("it recovered; it was:")


@pytest.mark.parametrize(("days", "numbers"), [(29, [1]), (31, [1, 2])], ids=["soon", "long after"])
def test_the_same_cause_soon_after_its_end_reopens_it(life: Life, days: int, numbers: list[int]) -> None:
    life.day(0, finding(0))
    life.day(1, ends=over(finding(0), 1))
    life.day(1 + days, finding(1 + days))
    assert list(life.incidents) == numbers
    (again,) = life.open
    assert again.told_at == T0 + (1 + days) * DAY
    assert len(again.facts.get("episodes", ())) == 2 - len(numbers)


@pytest.mark.parametrize(("began", "numbers"), [(20, [1]), (50, [1, 2])], ids=["soon", "long after"])
def test_a_decline_that_began_again_soon_reopens_it_however_late_it_is_told(life: Life, began: int, numbers: list[int]) -> None:
    life.day(0, decline(0))
    life.day(10, ends=over(decline(0), 10))
    life.day(80, decline(80, number=2, began=(began, 60)))
    assert list(life.incidents) == numbers
    assert life.open[0].first == T0 + began * DAY


def test_an_unknown_cause_is_never_the_same_again(life: Life) -> None:
    life.day(0, decline(0, cls="unknown"))
    life.day(1, ends=over(decline(0), 1))
    life.day(9, decline(9, number=2, began=(5, 8), cls="unknown"))
    assert list(life.incidents) == [1, 2]


def test_what_a_person_closed_while_it_lasts_stays_closed_unless_it_gets_worse(life: Life) -> None:
    life.day(0, finding(0))
    life.act(1, "close", "it is known", day=1)
    life.day(2, finding(2))
    assert not life.open and life.incidents[1].is_live
    life.day(3, replace(finding(3), severity="critical"))
    assert life.open[0].severity == "critical"


def test_what_a_person_closed_and_what_has_ended_since_may_come_again(life: Life) -> None:
    life.day(0, finding(0))
    life.act(1, "close", "it is mended", day=1)
    life.day(2, ends=over(finding(0), 2))
    assert not life.incidents[1].is_live
    life.day(3, finding(3))
    assert life.open[0].number == 1


def test_getting_worse_wakes_it_and_tells(life: Life) -> None:
    life.day(0, decline(0))
    life.act(1, "snooze", T0 + 9 * DAY, day=0)
    life.day(1, decline(1, severity="critical"))
    assert life.open[0].state == "open"
    assert life.changes[-1].notice == "incident.worsened"


def test_a_silence_is_told_once_however_often_it_is_looked_at(life: Life) -> None:
    assert [len(life.day(day, silent())) for day in range(5)] == [1, 0, 0, 0, 0]


def test_a_silence_that_comes_again_is_told_again(life: Life) -> None:
    life.day(0, silent())
    life.day(1, ends=over(silent(), 1))
    life.day(2, silent())
    assert life.open[0].number == 1 and life.changes[-1].notice == "incident.reopened"


def test_a_replaced_model_waits_for_its_effect(life: Life) -> None:
    life.day(0, decline(0))
    life.day(1, ends=over(decline(0), 1, "replaced by version 2"))
    assert not life.open
    assert life.incidents[1].is_live and life.incidents[1].facts["effect_due"] == (T0 + 29 * DAY).isoformat()


# --- random histories -----------------------------------------------------------------------------------------------------

COLUMNS = ("humidity", "pressure", "")
SIGHTINGS = st.one_of(
    st.builds(
        lambda number, began, width, cls, column, severity: (
            "decline",
            {
                "number": number,
                "began": (began, began + width),
                "cls": cls,
                "column": column if cls == "data_quality" else "",
                "severity": severity,
            },
        ),
        st.integers(1, 4),
        st.integers(-5, 80),
        st.integers(0, 10),
        st.sampled_from(("unknown", "concept_shift", "data_quality")),
        st.sampled_from(COLUMNS),
        st.sampled_from(("warning", "critical")),
    ),
    st.tuples(st.just("finding"), st.sampled_from(COLUMNS[:2])),
    st.tuples(st.just("silent"), st.sampled_from((("late data", "source"), ("dead worker", "cycles"), ("missed cycle", "cycles")))),
)
DAYS = st.lists(
    st.tuples(
        st.integers(1, 20),
        st.lists(SIGHTINGS, max_size=3),
        st.lists(st.integers(0, 12), max_size=3),
        st.sampled_from((None, "ack", "close", "snooze", "assign", "reopen")),
    ),
    max_size=25,
)


def made(day: int, place: int, sighting: tuple) -> Fault:
    kind, what = sighting
    if kind == "decline":
        return replace(decline(day, **what), key=f"{day}/watch/{place}")
    return finding(day, what) if kind == "finding" else silent(*what)


@given(DAYS)
def test_random_histories_keep_their_promises(days: list) -> None:
    """Never two open incidents for one fault; every closed one has a cause; activity only grows; a replayed day changes nothing."""
    life, day = Life({}, []), 0
    for step, sightings, ending, act in days:
        day += step
        faults = [made(day, place, one) for place, one in enumerate(sightings)]
        ringing = sorted({name for one in life.incidents.values() for name in one.ringing} - {fault.id for fault in faults})
        ends = tuple(End(ringing[place], T0 + day * DAY, "it recovered") for place in ending if place < len(ringing))
        before = [change.activity for change in life.changes]
        life.day(day, *faults, ends=ends)
        assert life.day(day, *faults, ends=ends) == []
        target = next(iter(life.incidents.values()), None) if act == "reopen" else next(iter(life.open), None)
        if act and target and (act != "reopen" or not (target.is_open or "absorbed_by" in target.facts)):
            what = {"close": ("a cause",), "snooze": (T0 + (day + 3) * DAY,), "assign": (f"P{day}",), "reopen": ("again",)}.get(act, ())
            if act != "ack" or target.acknowledged_at is None:
                life.act(target.number, act, *what, day=day)
        assert [change.activity for change in life.changes][: len(before)] == before
        check(life)
    keys = [change.activity.key for change in life.changes]
    assert len(keys) == len(set(keys))


def check(life: Life) -> None:
    held: set[str] = set()
    for incident in life.open:
        names = set(incident.ringing) | {f"column {seen['column']}" for seen in incident.facts["faults"].values() if seen["column"]}
        assert not names & held, "two open incidents for one fault"
        held |= names
    for incident in life.incidents.values():
        assert incident.is_open or incident.facts["closed"]["cause"]
        assert incident.is_live or not incident.ringing
        assert (incident.closed_at is not None) == (not incident.is_open)
    revisions = {}
    for change in life.changes:
        assert change.incident.revision == revisions.get(change.incident.number, 0) + 1
        revisions[change.incident.number] = change.incident.revision
