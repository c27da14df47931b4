"""Each silence is told within its deadline, and not before; a clock that went back makes none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keepwell.incidents import Answers, Labels, Seen, party_of, silences
from keepwell.settings import SilenceSection

NOW = datetime(2026, 5, 14, 6, tzinfo=UTC)
SETTINGS = SilenceSection(traffic_hours=6)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WELL = Seen(
    checked=NOW,
    cycle_due=NOW + DAY,
    newest=NOW,
    labels=Labels(7, 7, None),
    answers=Answers(50, 40, 0, NOW - 50 * DAY),
    asked=NOW,
    dead=(),
    stuck=(),
    trained_until=NOW,
    max_age=365 * DAY,
)
# What is silent, how it is planted so that its deadline is now, and whose it is.
PLANTED = {
    "missed cycle": ({"checked": NOW - 2 * DAY, "cycle_due": NOW}, "keepwell"),
    "late data": ({"newest": NOW - 3 * DAY}, "data"),
    "no traffic": ({"asked": NOW - 6 * HOUR}, "serving"),
    "dead worker": ({"dead": (("rain-1", NOW - timedelta(minutes=10)),)}, "keepwell"),
    "old model": ({"trained_until": NOW - 365 * DAY}, "model"),
}
# What is found at the first look after it is so.
AT_ONCE = {
    "missing labels": ({"labels": Labels(7, 3, NOW - 5 * DAY)}, "data"),
    "dead notifier": ({"stuck": ((NOW - 2 * HOUR, "mail to Mira has not got 1 notice: refused"),)}, "keepwell"),
    "constant answers": ({"answers": Answers(50, 1, 0, NOW - 50 * DAY)}, "model"),
    "broken answers": ({"answers": Answers(50, 20, 4, NOW - 50 * DAY)}, "model"),
}


def kinds(seen: Seen, now: datetime = NOW) -> list[str]:
    return [fault.kind for fault in silences(SETTINGS, seen, now)[0]]


@pytest.mark.parametrize(("kind", "planted"), [(kind, planted) for kind, (planted, _) in PLANTED.items()], ids=list(PLANTED))
def test_a_silence_is_told_when_its_deadline_has_passed_and_not_before(kind: str, planted: dict) -> None:
    assert kinds(replace(WELL, **planted)) == []
    assert kinds(replace(WELL, **planted), NOW + timedelta(seconds=1)) == [kind]


@pytest.mark.parametrize(("kind", "planted"), [(kind, planted) for kind, (planted, _) in AT_ONCE.items()], ids=list(AT_ONCE))
def test_a_silence_that_needs_no_waiting_is_told_at_once(kind: str, planted: dict) -> None:
    assert kinds(replace(WELL, **planted)) == [kind]


@pytest.mark.parametrize(("kind", "party"), [(kind, party) for kind, (_, party) in (PLANTED | AT_ONCE).items()], ids=[*PLANTED, *AT_ONCE])
def test_each_silence_has_an_owner(kind: str, party: str) -> None:
    assert party_of("silence", kind) == party


def test_what_comes_ends_its_silence_and_what_is_not_looked_at_ends_nothing() -> None:
    assert {end.id.removeprefix("silence/") for end in silences(SETTINGS, WELL, NOW)[1]} == {*PLANTED, *AT_ONCE}
    assert silences(SETTINGS, Seen(), NOW) == ([], [])


def test_nothing_is_said_about_labels_of_two_rows_or_answers_of_a_few() -> None:
    few = replace(WELL, labels=Labels(2, 0, NOW), answers=Answers(9, 1, 0, NOW))
    faults, ends = silences(SETTINGS, few, NOW)
    assert faults == [] and not {"silence/missing labels", "silence/constant answers"} & {end.id for end in ends}


def test_traffic_is_expected_only_where_the_settings_say_so() -> None:
    faults, ends = silences(SilenceSection(), replace(WELL, asked=NOW - 90 * DAY), NOW)
    assert faults == [] and "silence/no traffic" not in {end.id for end in ends}


def test_an_old_model_is_no_silence_while_builds_are_tried() -> None:
    old = replace(WELL, trained_until=NOW - 900 * DAY)
    assert kinds(old) == ["old model"]
    assert kinds(replace(old, built=NOW - 30 * DAY)) == []


@pytest.mark.parametrize("planted", [planted for planted, _ in PLANTED.values()], ids=list(PLANTED))
def test_a_clock_that_went_back_makes_nothing_silent(planted: dict) -> None:
    assert kinds(replace(WELL, **planted), NOW - 400 * DAY) == []


def test_a_silence_keeps_its_name_however_often_it_is_looked_at() -> None:
    late = Seen(newest=NOW - 4 * DAY)
    keys = {silences(SETTINGS, late, NOW + place * DAY)[0][0].key for place in range(5)}
    assert len(keys) == 1
