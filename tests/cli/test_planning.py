"""What comes next, what holds it, and a pause."""

from __future__ import annotations

from projects import BUILT_AT

from keepwell import Project


def test_next_says_when_and_what(document, on):
    found = document("next")
    assert found["acts"][0]["name"] == "cycle"
    assert any("unwell" in act["sentence"] for act in found["acts"] if act["name"] == "build")
    assert found["sentence"].startswith("Next: ")
    assert found["sentence"] in on("next").stdout.replace("\n", " ")


def test_why_not_lists_every_brake_with_its_value(on):
    shown = on("next", "--why-not").stdout
    assert all(name in shown for name in ("pause", "labels", "data fault", "cooldown", "new labels"))
    assert "100 are needed" in shown


def test_a_plan_says_that_the_held_out_days_are_no_year(on):
    assert "A version is judged on 100 days ([build] holdout_days): a season" in on("watch", "plan").stdout.replace("\n", " ")


def test_a_pause_is_a_word_of_state_and_holds_every_build(on, document, tiny):
    assert "Nothing was changed" in on("pause", "--dry-run").stdout
    assert on("pause", "--reason", "sensors are exchanged").exit_code == 0
    status = document("status")
    assert status["word"] == "paused" and "sensors are exchanged" in status["because"]
    assert on("status", "--exit-code").exit_code == 4
    assert "the pause ends: sensors are exchanged" in on("next").stdout.replace("\n", " ")
    held = document("run", "--build")
    assert "version" not in held["cycle"]["facts"]
    with Project(tiny) as project:
        assert len(project.versions()) == 1
    assert on("resume").exit_code == 0
    assert document("status")["word"] != "paused"
    assert [event["kind"] for event in document("history")["events"] if event["kind"] in ("paused", "resumed")] == ["paused", "resumed"]


def test_a_pause_ends_by_itself_and_the_past_still_knows_it(tiny):
    with Project(tiny) as project:
        project.pause(BUILT_AT.replace(day=20), reason="", as_of=BUILT_AT)
        assert project.status(BUILT_AT.replace(day=18)).word == "paused"
        assert project.status(BUILT_AT.replace(day=21)).word != "paused"
        assert project.paused(BUILT_AT.replace(day=21)) is None


def test_a_pause_of_the_past_is_refused(on):
    assert on("pause", "--until", "2001-01-01").exit_code == 2


def test_resume_without_a_pause_changes_nothing(on):
    assert "is not paused" in on("resume").stdout


def test_a_dry_run_says_what_would_be_built_and_builds_nothing(on, document, tiny):
    shown = on("run", "--build", "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert "A version would be built: asked for by hand" in shown.stdout
    assert all(word in shown.stdout for word in ("trained on", "judged on", "code", "settings", "packages"))
    found = document("run", "--dry-run", "--as-of", "2026-01-16")
    assert (found["done"], found["decision"]["build"]) == (False, False)
    with Project(tiny) as project:
        assert len(project.versions()) == 1 and len(project.cycles()) == 1


def test_a_dry_run_of_the_quarantine_names_the_rows(on, tiny):
    rows = (tiny / "rows.csv").read_text()
    (tiny / "rows.csv").write_text(rows.replace("2026-01-18,", "2026-01-18,9999").replace("9999-", "9999"))
    on("run", "--as-of", "2026-01-20")
    shown = on("quarantine", "release", "all", "--dry-run").stdout
    assert "would be about 1 row" in shown and "out of range" in shown
    assert "1 row" in on("quarantine", "release", "all").stdout


def test_a_model_of_high_risk_waits_for_a_person(tiny):
    with Project(tiny, {"model": {"risk": "high"}, "gate": {"confidence": 0.51, "min_gain": 0.0}}) as project:
        assert not project.settings.acts_alone
        project.run(BUILT_AT.replace(day=25), build=True)
        assert project.aliases()["champion"] == 1
