"""`keepwell score`: no point without evidence, old evidence lapses, and each half point says what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from projects import BUILT_AT, tiny_project
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli.app import app
from keepwell.readiness import SECTIONS, Evidence, Point, collect, judge
from keepwell.storage import Event, record_event

LATER = BUILT_AT + timedelta(days=1)


def of(points: tuple[Point, ...], name: str) -> Point:
    return next(point for point in points if point.id == name)


def tell(project: Project, kind: str, at: datetime, facts: dict) -> None:
    with project.context.database.begin() as connection:
        record_event(connection, project.name, f"{kind}/{at.isoformat()}", Event(kind, at, f"{kind} it", facts, "mira"))


def test_there_are_seven_points_in_each_of_four_sections(tiny: Path) -> None:
    with Project(tiny) as project:
        found = project.score(LATER)
    assert {name: sum(point.section == name for point in found.points) for name in SECTIONS} == dict.fromkeys(SECTIONS, 7)
    assert len({point.id for point in found.points}) == 28
    assert found.final == min(found.sections.values())


def test_a_model_that_nothing_is_known_of_scores_nothing(tmp_path: Path) -> None:
    with Project(tiny_project(tmp_path / "tiny")) as project:
        found = project.score()
    assert found.final == 0 and all(point.points == 0 and point.next for point in found.points)
    assert found.sentence.endswith("a research project")


def test_every_point_has_a_proof_with_a_date_or_a_next_step(tiny: Path) -> None:
    with Project(tiny) as project:
        found = project.score(LATER)
    for point in found.points:
        assert point.points in (0, 0.5, 1)
        assert (point.proof is not None and point.dated is not None and point.dated <= LATER) or point.points == 0, point
        assert (point.next is None) == (point.points == 1), point


def test_what_a_build_measures_is_awarded(tiny: Path) -> None:
    with Project(tiny) as project:
        points = project.score(LATER).points
        version = project.version("champion")
    assert {name: of(points, name).points for name in ("D3", "D4", "D5", "D7", "I2", "I4")} == {
        "D3": 0.5,
        "D4": 1,
        "D5": 1,
        "D7": 1,
        "I2": 1,
        "I4": 1,
    }
    useful = {row["feature"]: row["is_useful"] for row in version.facts["worth"]}
    assert useful == {"cloud": True, "warmth": False}  # rain follows cloud alone


def test_old_evidence_lapses_and_says_so(tiny: Path) -> None:
    with Project(tiny) as project:
        points = project.score(BUILT_AT + timedelta(days=500)).points
    lapsed = of(points, "I4")
    assert lapsed.points == 0 and lapsed.lapsed and "500.0 days old" in str(lapsed.next)
    assert sum(point.points for point in points) == 0.5  # how fast a version goes live is known for longer
    assert of(points, "D6").points == 0.5


def test_the_evidence_of_a_backfill_ages_from_the_day_it_ran(built: Path) -> None:
    """A project that lived through the past lives on from there; left alone for two years, its evidence lapses."""
    with Project(built) as project:
        ran = datetime.now(UTC)
        fresh = collect(project.context, now=ran)
        stale = collect(project.context, now=ran + timedelta(days=730))
    assert abs(fresh.at - BUILT_AT) < timedelta(days=1)
    assert judge("tiny", fresh).sections["infrastructure"] > 0 == judge("tiny", stale).sections["infrastructure"]


def test_a_repeated_build_makes_two_points_whole(tiny: Path) -> None:
    with Project(tiny) as project:
        before = project.score()
        assert of(before.points, "I1").points == of(before.points, "I3").points == 0.5
        assert project.reproduce("champion").verdict == "identical"
        after = project.score()
    assert of(after.points, "I1").points == of(after.points, "I3").points == 1
    assert of(after.points, "I1").dated is not None


@pytest.mark.parametrize(
    ("kind", "facts", "point", "points"),
    [
        ("rehearsed", {"version": 1, "seconds": 0.4, "passed": True}, "I7", 1),
        ("rehearsed", {"version": 1, "seconds": 0.4, "passed": False}, "I7", 0),
        ("rolled_back", {"version": 1}, "I7", 0.5),
        ("trial", {"version": 2}, "I6", 1),
        ("replayed", {"rows": 50, "differ": 0, "passed": True}, "W3", 1),
        ("replayed", {"rows": 50, "differ": 3, "passed": False}, "W3", 0),
        ("replayed", {"rows": 50, "differ": 0, "passed": True}, "I5", 1),
    ],
)
def test_lines_of_the_timeline_count_from_the_day_they_are_there(tiny: Path, kind: str, facts: dict, point: str, points: float) -> None:
    with Project(tiny) as project:
        tell(project, kind, BUILT_AT, facts)
        assert of(project.score(LATER).points, point).points == points
        assert of(project.score(BUILT_AT - timedelta(days=1)).points, point).points == 0


def test_columns_about_persons_cost_the_point_and_are_named(tiny: Path) -> None:
    with Project(tiny) as project:
        evidence: Evidence = collect(project.context, LATER)
    version = evidence.versions[-1]
    facts = {**version.facts, "privacy": {"columns": 3, "values": 100, "found": {"contact": "an e-mail address"}}}
    found = of(judge("tiny", replace(evidence, versions=(replace(version, facts=facts),))).points, "D5")
    assert found.points == 0 and "contact (an e-mail address)" in str(found.next)


def test_a_version_that_the_gate_refused_and_serves_earns_nothing_for_the_gate(tiny: Path) -> None:
    with Project(tiny) as project:
        evidence = collect(project.context, LATER)
    assert evidence.champion is not None
    found = of(judge("tiny", replace(evidence, champion=replace(evidence.champion, passed=False))).points, "I4")
    assert found.points == 0 and "refused" in str(found.next)


def test_the_command_prints_points_and_a_document(tiny: Path) -> None:
    told = CliRunner().invoke(app, ["score", "-C", str(tiny), "--at", LATER.isoformat()])
    assert told.exit_code == 0 and "Infrastructure:" in told.stdout and "Next:" in told.stdout
    short = CliRunner().invoke(app, ["score", "-C", str(tiny), "--at", LATER.isoformat(), "--missing"])
    assert "D4" in told.stdout and "D4" not in short.stdout
    document = json.loads(CliRunner().invoke(app, ["score", "-C", str(tiny), "--json"]).stdout)
    assert len(document["points"]) == 28
