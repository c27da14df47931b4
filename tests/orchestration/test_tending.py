"""Incidents of a living project: opened by the cycle that sees the fault, ended by the one that sees its end, noticed without a cycle."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
import stores
from projects import BUILT_AT, FIRST_DAY, tiny_rows

from keepwell import Project
from keepwell.errors import IncidentChanged, IncidentNotFound, IncidentRefused, KeepwellError
from keepwell.incidents import STATES, Incident
from keepwell.monitoring import Said, plain, record_signal
from keepwell.notifying import Notice, enqueue
from keepwell.orchestration import tending
from keepwell.settings import Settings
from keepwell.storage.schema import metadata

DAY = timedelta(days=1)
OWNERS = '\n[owner]\nowner = "Mira"\ndeputy = "Jo"\n\n[owner.data]\nowner = "Dan"\n\n[escalation]\nafter_hours = 24\n'
# One champion for the whole life: what is tested are incidents.
SETTINGS = OWNERS + "\n[retrain]\nmax_age_days = 3650\n"


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A built project with owners; its rows end on 4 February 2026."""
    copy = stores.copy_project(built, tmp_path / "tiny")
    file = copy / "keepwell.toml"
    file.write_text(file.read_text() + SETTINGS)
    return copy


def rows(folder: Path, *, until: int = 400, **columns: pl.Expr) -> None:
    """The source's rows of the first `until` days, with columns changed."""
    tiny_rows().head(until).with_columns(**columns).write_csv(folder / "rows.csv")


def day_of(moment: datetime) -> int:
    return (moment.date() - FIRST_DAY).days


def after(day: int) -> pl.Expr:
    return pl.int_range(pl.len()) >= day


def live(project: Project, days: int, start: datetime = BUILT_AT) -> None:
    for place in range(1, days + 1):
        assert project.run(start + place * DAY).status == "done"


def every(project: Project) -> list[Incident]:
    return project.incidents(STATES)


def notices(project: Project) -> list[tuple[str, tuple[str, ...]]]:
    """Kind and recipients of what is to be told, in order."""
    outbox = metadata.tables["outbox"]
    number = outbox.c["number" if "number" in outbox.c else "seq"]
    with project.context.database.read() as connection:
        return [(row.kind, tuple(row.recipients)) for row in connection.execute(sa.select(outbox).order_by(number))]


def events(project: Project) -> list[str]:
    return [event.kind for event in project.history() if event.kind.startswith("incident")]


# --- data -----------------------------------------------------------------------------------------------------------------


def test_a_unit_change_is_one_incident_of_the_data_owner_that_ends_when_good_rows_come(folder: Path) -> None:
    first = day_of(BUILT_AT) + 3
    broken = pl.when(after(first) & ~after(first + 5)).then(pl.col("warmth") + 273.15).otherwise(pl.col("warmth"))
    rows(folder, warmth=broken)
    with Project(folder) as project:
        live(project, 7)
        (incident,) = project.incidents()
        assert (incident.owner, incident.cls, incident.column) == ("Dan", "data_quality", "warmth")
        assert incident.first <= datetime(2026, 1, 18, tzinfo=UTC) <= incident.last
        sentence = project.incident(incident.number).sentence
        assert "gets broken data since some day of 17 to 20 January 2026. Out of range in warmth" in sentence
        assert "Retraining is held while the data is at fault. Next: mend the source of warmth." in sentence
        status = project.status(BUILT_AT + 7 * DAY)
        assert [one["number"] for one in status.incidents] == [1] and "Dan was told, not acknowledged yet" in status.sentence
        assert project.why(BUILT_AT + 7 * DAY).incidents[0]["owner"] == "Dan"
        live(project, 8, BUILT_AT + 7 * DAY)
        (incident,) = every(project)
        assert incident.state == "closed" and incident.facts["closed"]["cause"].startswith("good rows came again; it was:")
        assert notices(project) == [
            ("incident.opened", ("Dan",)),
            ("incident.escalated", ("Jo",)),
            ("incident.escalated", ("Dan", "Jo")),
            ("incident.closed", ("Dan",)),
        ]
        assert project.status(BUILT_AT + 15 * DAY).incidents == ()


def test_a_source_that_fails_and_then_is_late_is_one_incident(folder: Path) -> None:
    with Project(folder) as project:
        live(project, 1)
        (folder / "rows.csv").rename(folder / "gone.csv")
        live(project, 5, BUILT_AT + DAY)
        (incident,) = every(project)
        assert set(incident.facts["faults"]) == {"source", "silence/late data"}
        assert (incident.severity, incident.owner, incident.kind) == ("warning", "Dan", "late data")
        assert project.status(BUILT_AT + 6 * DAY).word == "unknown"
        (folder / "gone.csv").rename(folder / "rows.csv")
        live(project, 1, BUILT_AT + 6 * DAY)
        assert every(project)[0].state == "closed"


def test_labels_that_stay_away_make_the_model_unknown(folder: Path) -> None:
    first = day_of(BUILT_AT) + 2
    known = f'label="rain").filter(pl.col("day") < pl.date(2025, 1, 1) + pl.duration(days={first}))'
    (folder / "model.py").write_text((folder / "model.py").read_text().replace('label="rain")', known))
    with Project(folder) as project:
        live(project, 9)
        (incident,) = project.incidents()
        assert (incident.kind, incident.owner) == ("missing labels", "Dan")
        status = project.status(BUILT_AT + 9 * DAY)
        assert status.word == "unknown" and "newest labels that are due have come" in status.sentence


def test_a_quiet_life_has_no_incident_and_a_repeated_cycle_changes_nothing(folder: Path) -> None:
    with Project(folder) as project:
        live(project, 12)
        assert every(project) == [] and events(project) == [] and notices(project) == []
        live(project, 1, BUILT_AT + 11 * DAY)
        assert every(project) == []


def test_constant_answers_of_a_constant_sensor_are_one_incident(folder: Path) -> None:
    first = day_of(BUILT_AT) + 2
    (folder / "keepwell.toml").write_text((folder / "keepwell.toml").read_text() + "\n[silence]\nconstant_answers = 4\n")
    rows(folder, **{name: pl.when(after(first)).then(pl.lit(0.5)).otherwise(pl.col(name)) for name in ("warmth", "cloud")})
    with Project(folder) as project:
        live(project, 12)
        found = {name: incident.number for incident in every(project) for name in incident.facts["faults"]}
        assert "silence/constant answers" in found
        assert all(incident.is_open for incident in every(project))
        assert project.status(BUILT_AT + 12 * DAY).word in ("unknown", "unwell")


def test_a_version_that_cannot_answer_is_an_incident_until_rows_are_answered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Project(folder) as project:
        live(project, 1)
        (version,) = project.versions()
        file = stores.artifacts_of(folder)
        path = next(one["path"] for page in file.list() for one in page if version.model_file in one["path"].replace("/", ""))
        kept = bytes(file.get(path).bytes())
        file.put(path, b"damaged")
    with Project(folder) as project:
        assert project.run(BUILT_AT + 2 * DAY).status == "done"
        (incident,) = project.incidents()
        assert (incident.kind, incident.severity, incident.owner) == ("no answers", "critical", "Mira")
        assert project.status(BUILT_AT + 2 * DAY).word == "unknown"
    file.put(path, kept)
    with Project(folder) as project:
        live(project, 1, BUILT_AT + 2 * DAY)
        assert project.incidents() == []


# --- declines -------------------------------------------------------------------------------------------------------------


def told(project: Project, key: str, moment: datetime, kind: str = "decline") -> Said:
    """A signal as the watch of version 1 would have said it."""
    from keepwell.diagnosis import Began, Cause, Explanation

    began = Began(moment - 3 * DAY, moment - 4 * DAY, moment - 2 * DAY, 0.9, "step", "loss")
    explanation = Explanation(began, (Cause("concept_shift", "cloud"),), None, None, 0.2, 0.02, (), 0.2, 0.02, 0.4, True)
    said = Said(1, moment, kind, 1, "is declining", {"first": True, "causes": [], "explanation": plain(explanation)})
    with project.context.database.begin() as connection:
        record_signal(connection, project.name, key, said)
    return said


def seen(project: Project, monkeypatch: pytest.MonkeyPatch, moment: datetime, kind: str = "decline") -> None:
    """Run the cycle of a moment in which version 1's watch speaks; five sites and a year would make it speak by itself (test_watching)."""
    from keepwell.orchestration import checking, watching

    said = told(project, f"{moment:%Y%m%dT%H%M%SZ}/watch/0", moment, kind)
    monkeypatch.setattr(checking.watching, "watch", lambda *_: watching.Watched(1, None, {"declines": ["declining"]}, (said,)))
    assert project.run(moment).status == "done"
    monkeypatch.undo()


def test_a_decline_ends_with_the_version_that_replaces_it_and_its_effect_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "keepwell.toml").write_text((folder / "keepwell.toml").read_text() + "\n[incidents]\neffect_days = 10\n")
    with Project(folder) as project:
        project.run(BUILT_AT + DAY, build=True)
        seen(project, monkeypatch, BUILT_AT + 3 * DAY)
        (incident,) = project.incidents()
        assert (incident.severity, incident.owner, incident.cls) == ("critical", "Mira", "concept_shift")
        moment = BUILT_AT + 3 * DAY + timedelta(hours=2)
        project.promote(2, reason="it is better", override=True, as_of=moment)
        live(project, 1, BUILT_AT + 3 * DAY)
        (incident,) = every(project)
        assert (incident.state, incident.closed_at) == ("closed", moment)
        assert incident.facts["closed"]["cause"].startswith("replaced by version 2; it was: the relation to the label changed in cloud")
        found = project.incident(1)
        assert [(one["kind"], one["effect"] is not None) for one in found.tried][-1] == ("promoted", True)
        for place in (12, 14, 15):
            project.run(BUILT_AT + place * DAY)
        (incident,) = [one for one in every(project) if one.number == 1]
        effect = incident.facts["effect"]
        assert effect["labels_before"] > 0 and effect["labels_after"] > 5 and not incident.is_live
        assert effect["sentence"] in project.incident(1).sentence


def test_a_version_that_comes_back_and_declines_still_reopens_its_incident(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keepwell.orchestration import checking, watching

    with Project(folder) as project:
        project.run(BUILT_AT + DAY, build=True)
        seen(project, monkeypatch, BUILT_AT + 3 * DAY)
        project.promote(2, reason="it is better", override=True, as_of=BUILT_AT + 3 * DAY)
        live(project, 1, BUILT_AT + 3 * DAY)
        assert project.incidents() == []
        project.rollback(1, reason="it was not", as_of=BUILT_AT + 4 * DAY)
        monkeypatch.setattr(checking.watching, "watch", lambda *_: watching.Watched(1, None, {"declines": ["declining"]}))
        live(project, 2, BUILT_AT + 4 * DAY)
        (incident,) = every(project)
        assert incident.state == "open" and len(incident.facts["episodes"]) == 1


# --- Keepwell itself ------------------------------------------------------------------------------------------------------


def test_cycles_that_keep_failing_are_an_incident_until_one_is_done(folder: Path) -> None:
    code = (folder / "model.py").read_text()
    with Project(folder) as project:
        live(project, 1)
    (folder / "model.py").write_text(code.replace("def label(observations):", "def label(observations):\n    raise ValueError('no')\n"))
    with Project(folder) as project:
        assert project.run(BUILT_AT + 2 * DAY).status == "failed"
        assert every(project) == []
        assert project.run(BUILT_AT + 3 * DAY).status == "failed"
        assert project.run(BUILT_AT + 4 * DAY).status == "failed"
        (incident,) = every(project)
        assert (incident.kind, incident.severity, incident.owner) == ("failing cycle", "critical", "Mira")
        assert incident.first == BUILT_AT + DAY
    (folder / "model.py").write_text(code)
    with Project(folder) as project:
        live(project, 1, BUILT_AT + 4 * DAY)
        assert every(project)[0].state == "closed"


def test_missed_cycles_are_noticed_without_a_cycle_once_and_end_with_the_next(folder: Path) -> None:
    due = BUILT_AT + 2 * DAY + timedelta(minutes=10)
    with Project(folder) as project:
        assert project.look(due) == []
        assert [change.activity.kind for change in project.look(due + timedelta(seconds=1))] == ["opened"]
        assert project.look(due + timedelta(hours=1)) == []
        (incident,) = project.incidents()
        assert (incident.kind, incident.owner) == ("missed cycle", "Mira")
        assert project.status(due + timedelta(hours=1)).word == "unknown"
        live(project, 1, BUILT_AT + 2 * DAY)
        assert project.incidents() == []


def test_a_clock_that_goes_back_changes_nothing(folder: Path) -> None:
    with Project(folder) as project:
        project.look(BUILT_AT + 9 * DAY)
        before = every(project)
        assert [one.kind for one in before] == ["missed cycle", "late data"] or len(before) == 2
        found = project.look(BUILT_AT - 9 * DAY)
        assert {change.activity.kind for change in found} <= {"closed"}
        project.look(BUILT_AT + 9 * DAY)
        assert all(value is None or value >= timedelta(0) for one in every(project) for value in vars(_took(one)).values())


def _took(incident: Incident):
    from keepwell.incidents import durations_of

    return durations_of(incident)


def test_a_worker_that_died_is_noticed_and_over_when_its_name_is_taken(folder: Path) -> None:
    from keepwell.orchestration.slots import LEASE_S
    from keepwell.orchestration.tables import workers

    with Project(folder) as project:
        now = datetime.now(UTC)
        row = {"holder": "x", "host": "elsewhere", "pid": 1, "process_started": 0.0, "lease_until": now - timedelta(minutes=9)}
        with project.context.database.begin() as connection:
            connection.execute(sa.insert(workers).values(slot="tiny-7", **row))
        dead = now - timedelta(minutes=9, seconds=LEASE_S)
        kinds = lambda: {one.kind for one in project.incidents()} & {"dead worker"}  # noqa: E731
        project.look(dead + timedelta(minutes=10))
        assert not kinds()
        project.look(dead + timedelta(minutes=10, seconds=1))
        faults = {name for one in project.incidents() for name in one.ringing}
        assert "silence/dead worker" in faults
        with project.context.database.begin() as connection:
            connection.execute(sa.delete(workers).where(workers.c.slot == "tiny-7"))
        project.look(dead + timedelta(minutes=11))
        assert "silence/dead worker" not in {name for one in project.incidents() for name in one.ringing}


def test_notices_that_are_not_told_are_an_incident(folder: Path) -> None:
    if "people" in Settings.model_fields:  # nobody listens there
        (folder / "keepwell.toml").write_text((folder / "keepwell.toml").read_text() + '\n[people.Mira]\ntell = ["json://127.0.0.1:9/"]\n')
    with Project(folder) as project:
        now = datetime.now(UTC)
        with project.context.database.begin() as connection:
            enqueue(connection, project.name, "x", Notice("incident.opened", "x", "x", "info", ("Mira",), now, {}))
        project.look(now + timedelta(minutes=29))
        assert "dead notifier" not in {one.kind for one in project.incidents()}
        project.look(now + timedelta(minutes=32))
        assert "dead notifier" in {one.kind for one in project.incidents()}
        assert project.status(now + timedelta(minutes=33)).word == "unknown"


def test_a_server_that_nobody_asks_is_noticed_where_somebody_is_expected(folder: Path) -> None:
    (folder / "keepwell.toml").write_text((folder / "keepwell.toml").read_text() + "\n[silence]\ntraffic_hours = 6\n")
    with Project(folder) as project:
        project.look(BUILT_AT + timedelta(hours=6))
        assert project.incidents() == []
        project.look(BUILT_AT + timedelta(hours=6, seconds=1))
        assert [(one.kind, one.owner) for one in project.incidents()] == [("no traffic", "Mira")]
        project.answer([{"warmth": 9.0, "cloud": 0.2}])  # now
        project.look(datetime.now(UTC))
        assert "no traffic" not in [one.kind for one in project.incidents()]


# --- people ---------------------------------------------------------------------------------------------------------------


def test_of_two_people_who_act_at_once_one_wins_and_the_other_is_told(folder: Path) -> None:
    with Project(folder) as project:
        project.look(BUILT_AT + 3 * DAY)
        number, revision = project.incidents()[-1].number, project.incidents()[-1].revision
        outcomes: list[str] = []
        start = threading.Barrier(2)

        def act(by: str) -> None:
            start.wait()
            try:
                project.act_on(number, "ack", by=by, revision=revision)
                outcomes.append("won")
            except KeepwellError as error:
                outcomes.append(type(error).__name__)

        threads = [threading.Thread(target=act, args=(by,)) for by in ("Mira", "Jo")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["IncidentChanged", "won"]
        with pytest.raises(IncidentRefused, match="did so at"):
            project.act_on(number, "ack", by="Zoe")
        with pytest.raises(IncidentChanged, match="Look at it with"):
            project.act_on(number, "comment", "hello", revision=revision)
        with pytest.raises(IncidentNotFound):
            project.act_on(99, "ack")
        assert [line.kind for line in project.incident(number).activity] == ["opened", "acknowledged"]


def test_acts_are_on_the_timeline_and_tell_who_did_not_act(folder: Path) -> None:
    with Project(folder) as project:
        project.look(BUILT_AT + 3 * DAY)
        number = project.incidents()[-1].number
        for act, what in (("assign", ("Zoe",)), ("comment", ("asked the vendor",)), ("close", ("a holiday",)), ("reopen", ("no",))):
            project.act_on(number, act, *what, by="Mira")
        assert events(project)[-4:] == ["incident_assigned", "incident_comment", "incident_closed", "incident_reopened"]
        assert [people for _, people in notices(project)][-3:] == [("Zoe",)] * 3
        assert project.incident(number).participants == ("Zoe", "Mira")


def test_the_one_question_of_a_quiet_cycle_is_cheap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks whether there is an incident, and writes nothing."""
    statements: list[str] = []
    tend = tending.tend

    def counted(connection: sa.Connection, *arguments):
        def count(_c, _cursor, statement, *_):
            statements.append(statement)

        sa.event.listen(connection, "before_cursor_execute", count)
        try:
            return tend(connection, *arguments)
        finally:
            sa.event.remove(connection, "before_cursor_execute", count)

    monkeypatch.setattr(tending, "tend", counted)
    with Project(folder) as project:
        live(project, 1)
    assert len(statements) == 1 and statements[0].startswith("SELECT")
