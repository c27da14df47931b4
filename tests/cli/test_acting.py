"""Commands that change something, each on its own copy of a built project."""

from __future__ import annotations

import json

import obstore
import pytest
import stores
from projects import BUILT_AT, tiny_project

ROW = '{"warmth": 12.5, "cloud": 0.9}'
LATER = "2026-01-20T06:00Z"


def test_run_tells_what_it_did_and_how_the_model_is(on):
    shown = on("run", "--as-of", LATER)
    assert shown.exit_code == 0, shown.stderr
    assert "The cycle of 20 January 2026 06:00 is done" in shown.stdout
    assert "tiny is" in shown.stdout


def test_the_same_moment_again_answers_what_it_did(document):
    assert document("run", "--as-of", BUILT_AT.isoformat())["cycle"]["facts"]["version"] == 1


def test_a_cycle_of_the_past_is_refused(on):
    shown = on("run", "--as-of", "2025-12-01")
    assert shown.exit_code == 1
    assert "only grows forward" in shown.stderr


def test_backfill_runs_each_cycle_once(document, on):
    words = ("backfill", "--from", "2026-01-16", "--to", "2026-01-20", "--every", "2d")
    done = document(*words)
    assert (done["cycles"], done["failed"], done["promoted"]) == (3, 0, 0)
    assert "Nothing was done" in on(*words).stdout


def test_backfill_refuses_a_span_that_ends_before_it_begins(on):
    shown = on("backfill", "--from", "2026-02-01", "--to", "2026-01-01")
    assert shown.exit_code == 2


def test_predict_answers_a_row_and_keeps_it(document):
    answer = document("predict", "--features", ROW)["predictions"][0]
    assert 0.5 < answer["answer"] <= 1
    assert answer["prediction_id"] in [row["prediction_id"] for row in document("predict")["predictions"]]


@pytest.mark.parametrize(
    ("row", "problem"),
    [("{", "not JSON"), ("[1]", "holds 1"), ('{"warmth": 1}', "lacks cloud"), ('{"warmth": "hot", "cloud": 1}', "A number is needed")],
)
def test_a_row_that_does_not_fit_is_refused(on, row, problem):
    shown = on("predict", "--features", row)
    assert shown.exit_code == 1
    assert problem in shown.stderr


def test_predict_reads_files(on, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("warmth,cloud\n12.5,0.9\n3,0.1\n")
    first, second = json.loads(on("predict", "--file", path, "--json").stdout)["predictions"]
    assert first["answer"] > second["answer"]


def test_predict_without_champion_says_how_to_get_one(kw, tmp_path):
    shown = kw("predict", "-C", tiny_project(tmp_path / "new"), "--features", ROW)
    assert shown.exit_code == 1
    assert "keepwell run" in shown.stderr


@pytest.mark.parametrize("ending", ["json", "ndjson", "csv"])
def test_labels_are_posted_once(document, on, tmp_path, ending):
    named = document("predict", "--features", ROW)["predictions"][0]["prediction_id"]
    path = tmp_path / f"truth.{ending}"
    path.write_text(f"prediction_id,label\n{named},1\n" if ending == "csv" else json.dumps({"prediction_id": named, "label": 1}) + "\n")
    assert document("labels", "post", path) == {"new": 1, "changed": 0, "same": 0}
    assert "0 new labels, 0 restated, 1 as before." in on("labels", "post", path).stdout


def second(on):
    """A second version, which the gate refused or let live."""
    shown = on("run", "--as-of", LATER, "--build", "--json")
    assert json.loads(shown.stdout)["cycle"]["facts"]["version"] == 2


def test_promote_shows_the_difference_and_does_nothing_in_a_dry_run(on, document):
    second(on)
    other = {1: 2, 2: 1}[document("serving")["version"]]
    shown = on("promote", other, "--dry-run")
    assert shown.exit_code == 0
    assert "code" in shown.stdout
    assert "same" in shown.stdout
    assert "Nothing was changed." in shown.stdout
    assert document("serving")["version"] != other


def test_promote_asks_and_without_anybody_does_nothing(on, document):
    second(on)
    other = {1: 2, 2: 1}[document("serving")["version"]]
    shown = on("promote", other, "--override")
    assert shown.exit_code == 2
    assert "--yes" in shown.stderr
    assert document("serving")["version"] != other


def test_promote_and_rollback_undo_each_other(on, document):
    second(on)
    before = document("serving")["version"]
    other = {1: 2, 2: 1}[before]
    assert on("promote", other, "--override", "--yes", "--reason", "a test").exit_code == 0
    assert document("serving")["version"] == other
    shown = on("rollback", "--yes")
    assert shown.exit_code == 0, shown.stderr
    assert f"Rolled back from version {other} to version {before}: by hand." in shown.stdout
    assert document("serving")["version"] == before


def test_rollback_without_a_version_before_is_refused(on):
    shown = on("rollback", "--yes")
    assert shown.exit_code == 1
    assert "only champion it ever had" in shown.stderr


def test_quarantine_of_nothing(on, document):
    assert "No row is waiting" in on("quarantine", "list").stdout
    assert document("quarantine", "drop", "all") == {"rows": 0}
    assert on("quarantine", "release", "abc").exit_code == 1


def test_doctor_finds_a_changed_artifact(on, document, tiny):
    assert document("doctor")["healthy"] is True
    digest = document("versions")["versions"][0]["card"]
    obstore.put(stores.artifacts_of(tiny), f"{digest[:2]}/{digest}", b"changed")
    shown = on("doctor")
    assert shown.exit_code == 1
    assert "card of version 1" in shown.stdout
    assert "Restore the artifacts folder" in " ".join(shown.stdout.split())
