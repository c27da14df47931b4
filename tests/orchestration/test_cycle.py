"""A cycle, in process: what it keeps, what it sets aside, what it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import stores
from projects import BUILT_AT, MODEL, tiny_project

from keepwell import Project
from keepwell.errors import CycleRefused

DAY = timedelta(days=1)
CONTRACT = "\n[contract]\nfirst_rows = 50\n"


@pytest.fixture
def project(tiny: Path) -> Iterator[Project]:
    """Its first cycle has been."""
    with Project(tiny) as opened:
        yield opened


def edit_rows(project: Project, change: pl.Expr) -> None:
    path = project.folder / "rows.csv"
    pl.read_csv(path).with_columns(change).write_csv(path)


def set_value(column: str, day: str, value: object) -> pl.Expr:
    return pl.when(pl.col("day") == day).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


def test_the_first_cycle_builds_promotes_and_answers_and_asked_again_says_what_it_did(tmp_path: Path) -> None:
    with Project(tiny_project(tmp_path / "tiny")) as project:
        cycle = project.run(BUILT_AT)
        assert (cycle.status, cycle.facts["new"], cycle.facts["promoted"]) == ("done", 380, True)
        assert project.aliases() == {"champion": 1}
        assert cycle.facts["predictions"] == 0  # the newest row is of the morning before the champion's first day
        assert project.run(BUILT_AT) == cycle
        assert len(project.versions()) == 1


def test_the_record_only_grows_forward(project: Project) -> None:
    with pytest.raises(CycleRefused, match="only grows forward"):
        project.run(BUILT_AT - DAY)


def test_a_row_is_answered_by_the_version_of_its_own_time(project: Project) -> None:
    project.run(BUILT_AT + 9 * DAY, build=True)
    project.promote(2, reason="a test", override=True, as_of=BUILT_AT + 9 * DAY)
    project.run(BUILT_AT + 12 * DAY)
    versions = {row["time"].day: row["version"] for row in project.predictions(limit=20)}
    assert versions == {**dict.fromkeys(range(16, 25), 1), **dict.fromkeys((25, 26, 27), 2)}


def test_labels_meet_their_predictions(project: Project) -> None:
    project.run(BUILT_AT + 5 * DAY)
    assert all(row["label"] is not None for row in project.predictions(limit=5))


def test_a_corrected_reading_is_a_new_version_of_the_row(project: Project) -> None:
    before = project.context.observations.last_commit()
    edit_rows(project, set_value("warmth", "2026-01-14", 11.25))
    cycle = project.run(BUILT_AT + DAY)
    assert cycle.facts["changed"] == 1
    day = BUILT_AT.replace(day=14, hour=0)
    then, now = (project.context.observations.rows(since=day, until=day, at=at)["warmth"][0] for at in (before, None))
    assert (then == 11.25, now) == (False, 11.25)


def test_a_failing_source_does_not_end_the_cycle(project: Project) -> None:
    (project.folder / "rows.csv").rename(project.folder / "away.csv")
    cycle = project.run(BUILT_AT + DAY)
    assert (cycle.status, cycle.facts["new"]) == ("done", 0)
    assert project.history(kinds=["source_failed"])
    (project.folder / "away.csv").rename(project.folder / "rows.csv")
    assert project.run(BUILT_AT + 2 * DAY).facts["new"] == 2


def test_when_no_row_that_came_was_good_the_cycle_and_the_status_say_where_they_are(project: Project) -> None:
    edit_rows(project, pl.when(pl.col("day") > "2026-01-15").then(-5000.0).otherwise(pl.col("warmth")).alias("warmth"))
    cycle = project.run(BUILT_AT + 2 * DAY)
    assert "; all 2 rows that came were set aside, `keepwell quarantine list` says why" in cycle.sentence
    assert project.run(BUILT_AT + 2 * DAY + timedelta(hours=1)).facts["quarantined"] == 0, "they are not set aside again"
    headline = project.status(BUILT_AT + 2 * DAY + timedelta(hours=2)).headline
    assert headline.endswith("; all 2 rows that came since were set aside, `keepwell quarantine list` says why.")
    assert project.drop(["all"]) == 2
    assert "set aside" not in project.status(BUILT_AT + 2 * DAY + timedelta(hours=2)).headline


def test_an_unchanged_training_set_is_not_trained_on_twice(project: Project) -> None:
    project.run(BUILT_AT + timedelta(hours=1), build=True)
    _, steps = project.run_steps(project.runs()[0].run)
    reused = {step.name: step.reused_from for step in steps}
    assert reused["train"] == project.runs()[-1].run
    assert "same identity" in next(step.reason for step in steps if step.name == "train")


def test_a_challenger_waits_when_the_settings_ask_for_approval(tmp_path: Path) -> None:
    with Project(tiny_project(tmp_path / "tiny", settings='\n[promotion]\nmode = "approve"\n')) as project:
        project.run(BUILT_AT)
        assert project.aliases() == {"challenger": 1}
        project.promote(1, reason="looked at it")
        assert project.aliases() == {"champion": 1}


def test_a_moment_that_has_not_come_is_refused(project: Project) -> None:
    with pytest.raises(CycleRefused, match="has not come"):
        project.run(datetime.now(UTC) + timedelta(days=1))


def test_two_projects_take_turns_in_one_process(project: Project, tmp_path: Path) -> None:
    with Project(tiny_project(tmp_path / "other")) as other:
        other.run(BUILT_AT)
    assert project.run(BUILT_AT + DAY).status == "done"


def test_a_posted_label_stands_above_the_projects_own(project: Project) -> None:
    own = project.context.labels.rows().row(-1, named=True)
    posted = {"entity": "north", "time": own["time"].isoformat(), "label": 1 - own["label"]}
    assert project.post_labels([posted]) == {"new": 0, "changed": 1, "same": 0}
    project.run(BUILT_AT + DAY)
    assert project.context.labels.rows(until=own["time"])["label"][-1] == 1 - own["label"]


def test_labels_are_not_restated_from_a_window_that_cuts_their_history(tmp_path: Path) -> None:
    folder = tiny_project(tmp_path / "tiny")
    history = 'label=(pl.col("cloud") > pl.col("cloud").rolling_mean(6, min_samples=1)).cast(pl.Int8)'
    text = MODEL.replace('label="rain"', history).replace("horizon_days=1", "horizon_days=1, lookback_days=6")
    (folder / "model.py").write_text(text)
    with Project(folder) as project:
        cycles = [project.run(BUILT_AT + day * DAY) for day in range(5)]
        assert [cycle.status for cycle in cycles] == ["done"] * 5
        assert project.context.labels.rows()["_commit"].value_counts().sort("_commit")["count"].to_list() == [380, 1, 1, 1, 1]


def test_a_champion_that_cannot_answer_any_more_is_replaced(project: Project) -> None:
    """A package upgrade may break it; then it must not stand in a new version's way."""
    context = project.context
    broken = dataclasses.replace(context.predictor(1), signature={"gone": "Float64"})
    context._predictors[1] = broken
    cycle = project.run(BUILT_AT + 3 * DAY, build=True)
    assert (cycle.status, cycle.facts["promoted"], project.aliases()["champion"]) == ("done", True, 2)
    assert project.history(kinds=["silent"])


@pytest.fixture(scope="module")
def with_a_broken_row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_project(tmp_path_factory.mktemp("broken") / "tiny", settings=CONTRACT)
    with Project(folder) as project:
        project.run(BUILT_AT - 20 * DAY)
        edit_rows(project, set_value("warmth", "2026-01-10", -5000.0))
        project.run(BUILT_AT)
    return folder


class TestQuarantine:
    """Broken rows are set aside with their reason; a person lets them in or drops them."""

    @pytest.fixture
    def broken(self, with_a_broken_row: Path, tmp_path: Path) -> Iterator[Project]:
        with Project(stores.copy_project(with_a_broken_row, tmp_path / "tiny")) as project:
            yield project

    def test_a_broken_value_is_set_aside_by_reason(self, broken: Project) -> None:
        (row,) = broken.quarantine()
        assert "warmth" in row["reason"] and "out of range" in row["reason"]
        assert row["row"]["warmth"] == -5000.0
        assert broken.context.observations.rows().filter(pl.col("warmth") < -1000).is_empty()

    def test_a_row_set_aside_is_not_set_aside_again(self, broken: Project) -> None:
        broken.run(BUILT_AT + DAY)
        assert len(broken.quarantine()) == 1

    def test_a_released_row_is_an_observation(self, broken: Project) -> None:
        (row,) = broken.quarantine()
        assert broken.release([row["row_id"]]) == 1
        assert broken.context.observations.rows().filter(pl.col("warmth") < -1000).height == 1
        broken.run(BUILT_AT + DAY)
        assert broken.quarantine() == []

    def test_a_mended_row_waits_no_more(self, broken: Project) -> None:
        edit_rows(broken, set_value("warmth", "2026-01-10", 8.5))
        broken.run(BUILT_AT + DAY)
        assert broken.quarantine() == []
        (row,) = broken.quarantine(None)
        assert row["state"] == "mended"

    def test_a_dropped_row_stays_out(self, broken: Project) -> None:
        assert broken.drop(["all"]) == 1
        broken.run(BUILT_AT + DAY)
        assert broken.quarantine() == []
        assert broken.context.observations.rows().filter(pl.col("warmth") < -1000).is_empty()


@pytest.mark.parametrize(
    ("find", "replace", "message"),
    [
        pytest.param('"cloud")', '"cloud", ahead=pl.col("warmth").shift(-1).over("site"))', "Feature ahead looks ahead", id="looks ahead"),
        pytest.param(
            '"cloud")',
            '"cloud", ahead=pl.col("warmth").shift(-1).over("site")).drop_nulls()',
            "Feature ahead looks ahead",
            id="looks ahead, newest row dropped",
        ),
        pytest.param(
            '"cloud")', '"cloud", usual=pl.col("warmth").mean().over("site"))', "Feature usual looks ahead", id="whole-column mean"
        ),
        pytest.param(
            '"cloud")', '"cloud", before=pl.col("warmth").shift(9).over("site"))', "needs more history than lookback_days=0", id="look-back"
        ),
        pytest.param("LogisticRegression(random_state=seed).fit(X, y)", "object()", "has no 'predict'", id="no estimator"),
        pytest.param(
            "return LogisticRegression(random_state=seed).fit(X, y)",
            "return Own()\n\nclass Own:\n    def predict(self, X): return [0.5] * len(X)\n"
            "    def predict_proba(self, X): return [[.5, .5]] * len(X)",
            "pickle",
            id="pickle",
        ),
        pytest.param("LogisticRegression(random_state=seed).fit(X, y)", "1 / 0", "'train' raised ZeroDivisionError", id="train raises"),
    ],
)
def test_a_build_that_may_not_be_is_refused_by_name(tmp_path: Path, find: str, replace: str, message: str) -> None:
    folder = tiny_project(tmp_path / "tiny")
    assert find in MODEL
    (folder / "model.py").write_text(MODEL.replace(find, replace))
    with Project(folder) as project:
        assert project.run(BUILT_AT).status == "done"
        (run,) = project.runs()
        assert run.status == "failed"
        assert message in run.sentence
        assert project.aliases() == {}
