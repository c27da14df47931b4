"""Cleaning up removes what the rules let go, and never what a kept version needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from projects import BUILT_AT, tiny_project

from keepwell import Project
from keepwell.errors import SettingInvalid, StorageUnavailable, VersionSwept
from keepwell.keeping import back_up, examine
from keepwell.keeping.cleaning import versions_to_sweep
from keepwell.registry import Version, digests_of
from keepwell.settings import RetentionSection
from keepwell.storage import digest_of
from keepwell.training.tables import find_step

LATER = datetime.now(UTC) + timedelta(days=2)  # everything written by these tests is older than a day then
APPROVE = '\n[promotion]\nmode = "approve"\n[retention]\nversions = 1\ndays = 30\nrefused_days = 10\n'
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four versions that passed; the first is champion, the last challenger."""
    folder = tiny_project(tmp_path_factory.mktemp("several") / "tiny", settings=APPROVE)
    with Project(folder) as project:
        for place in range(4):
            project.run(BUILT_AT + place * DAY, build=True)
        project.promote(1, reason="the first")
        assert [version.passed for version in project.versions()] == [True] * 4
    return folder


@pytest.fixture
def project(several: Path, tmp_path: Path):
    import stores

    with Project(stores.copy_project(several, tmp_path / "tiny")) as opened:
        yield opened


def version(number: int, *, passed: bool = True, days_ago: float = 0) -> Version:
    as_of = LATER - timedelta(days=days_ago)
    return Version(number, f"build-{number}", as_of, passed, "", "skops", *["0" * 64] * 7, {})


RULES = {
    "young stays": ([version(1, days_ago=20), version(2)], set(), []),
    "old goes": ([version(1, days_ago=40), version(2)], set(), [1]),
    "a former champion stays": ([version(1, days_ago=40), version(2)], {1}, []),
    "the newest that passed stays": ([version(1, days_ago=50), version(2, days_ago=40)], set(), [1]),
    "a refused one is not the newest": ([version(1, days_ago=50), version(2, passed=False, days_ago=1)], set(), []),
    "a refused one goes earlier": ([version(1, passed=False, days_ago=15), version(2, days_ago=15)], set(), [1]),
    "a refused one stays for a while": ([version(1, passed=False, days_ago=5)], set(), []),
}


@pytest.mark.parametrize(("versions", "aliased", "gone"), RULES.values(), ids=RULES)
def test_a_rule_says_which_versions_go(versions, aliased, gone) -> None:
    rules = RetentionSection(versions=1, days=30, refused_days=10)
    assert sorted(versions_to_sweep(versions, aliased, rules, LATER)) == gone


def there(project: Project) -> set[str]:
    return {found.name for found in project.context.artifacts.list()}


def test_kept_versions_keep_everything_and_the_others_say_that_they_were_swept(project: Project) -> None:
    before = there(project)
    freed = project.clean(now=LATER)
    assert set(freed.versions) == {2, 3}
    assert freed.total > 0 and freed.files["versions' files"] == len(before) - len(there(project))
    for number in (1, 4):
        for what, digest in digests_of(project.version(number)):
            assert digest_of(project.context.artifacts.get(digest)) == digest, what
        project.context.predictor(number)
    kept = {digest for number in (1, 4) for _, digest in digests_of(project.version(number))}
    for number in (2, 3):
        swept = project.version(number)
        assert swept.training_set in kept or swept.training_set not in there(project)
        assert project.card(number)
        with pytest.raises(VersionSwept, match=rf"version {number} .* older than 30 days"):
            project.context.predictor(number)
        with pytest.raises(VersionSwept):
            project.promote(number, reason="a mistake", override=True)
    assert [event.facts["version"] for event in project.history(["swept"])] == [2, 3]
    assert f"{freed.total / 1e6:,.1f} MB" in project.history(["cleaned"])[0].sentence
    assert not [finding for finding in examine(project.folder, deep=True) if finding.state == "wrong"]


def test_life_goes_on_afterwards(project: Project, tmp_path: Path) -> None:
    project.clean(now=LATER)
    assert project.run(BUILT_AT + 5 * DAY, build=True).status == "done"
    assert project.versions()[-1].number == 5
    project.promote(4, reason="next")
    assert project.rollback(reason="back").champion == 1
    assert back_up(project.context, str(tmp_path / "backups")).damaged == {}


def test_a_dry_run_tells_the_same_and_changes_nothing(project: Project) -> None:
    before, history = there(project), project.history()
    told = project.clean(now=LATER, dry_run=True)
    assert (there(project), project.history()) == (before, history)
    done = project.clean(now=LATER)
    assert (told.versions, told.bytes, told.files) == (done.versions, done.bytes, done.files)
    again = project.clean(now=LATER)
    assert (again.total, again.versions) == (0, {})


def test_one_that_was_interrupted_is_finished_by_the_next(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = project.clean(now=LATER, dry_run=True)
    store, removed = project.context.artifacts, []

    def twice(digest: str) -> None:
        if len(removed) == 2:
            raise StorageUnavailable("artifacts", "pulled out")
        removed.append(digest)
        type(store).remove(store, digest)

    monkeypatch.setattr(store, "remove", twice)
    with pytest.raises(StorageUnavailable, match="pulled out"):
        project.clean(now=LATER)
    monkeypatch.undo()
    with pytest.raises(VersionSwept):
        project.context.predictor(2)
    assert project.clean(now=LATER).files["versions' files"] == expected.files["versions' files"] - 2


def test_nothing_young_goes(project: Project) -> None:
    before = there(project)
    assert project.clean(now=datetime.now(UTC)).total == 0
    assert there(project) == before


def test_no_later_build_takes_a_swept_result_for_there(project: Project) -> None:
    run = project.version(2).run
    identities = {step.name: step.identity for step in project.run_steps(run)[1] if step.reused_from is None}
    project.clean(now=LATER)
    with project.context.database.read() as connection:
        found = {name: find_step(connection, project.name, identity) for name, identity in identities.items()}
    assert not [name for name, step in found.items() if step is not None and step.run == run]


def test_files_nobody_named_go_only_when_asked(project: Project) -> None:
    stray = project.context.artifacts.put(b"of a build that was killed")
    project.clean(now=LATER)
    assert stray in there(project)
    assert project.clean(now=datetime.now(UTC), orphans=True).files["files nobody named"] == 0
    assert project.clean(now=LATER, orphans=True).files["files nobody named"] == 1
    assert stray not in there(project)


def test_a_commit_that_is_in_delta_needs_its_file_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepwell.storage.tables.INLINE_BYTES", 10)
    with Project(tiny_project(tmp_path / "tiny")) as project:
        project.run(BUILT_AT)
        before = project.context.observations.rows()
        assert project.clean(now=LATER).total == 0
        project.flush()
        assert project.clean(now=LATER).files["versions' files"] >= 2
        assert project.context.observations.rows().equals(before)


def test_rows_of_ended_workflows_go_and_the_cycles_stay_answered(project: Project) -> None:
    cycle = project.cycles()[0]
    assert project.clean(now=LATER).files["workflow rows"] == 0
    assert project.clean(now=LATER + 60 * DAY).files["workflow rows"] > 4
    assert project.run(cycle.as_of) == cycle
    assert project.run(BUILT_AT + 6 * DAY).status == "done"


def test_a_kept_version_can_be_built_again_from_what_is_left(project: Project) -> None:
    """Its code, settings and training set give a model of the same canonical form."""
    import json

    from keepwell.settings import BuildSection, ModelSection
    from keepwell.training import Code, canonical_digest, fit, from_bytes, save_model, split

    project.clean(now=LATER, orphans=True)
    artifacts, trust = project.context.artifacts, project.settings.trust
    for number in (1, 4):
        kept = project.version(number)
        settings = json.loads(artifacts.get(kept.settings))
        model = Code.get(artifacts, kept.code).load(ModelSection(**settings["model"]), project.context.home / "code")
        build = BuildSection(**settings["build"])
        rows = split(model, from_bytes(artifacts.get(kept.training_set)), build)
        again = fit(model, rows.train, settings=settings["train"], seed=build.seed)
        assert canonical_digest(save_model(again, trust), trust) == kept.facts["canonical"]


def test_whatever_the_record_names_stays_however_deep_it_stands(project: Project) -> None:
    from keepwell.storage import Event, record_event

    chunk = project.context.artifacts.put(b"a year of input")
    with project.context.database.begin() as connection:
        facts = {"pins": {"observations": [{"year": 2025, "files": [f"chunk {chunk}.parquet"]}]}}
        record_event(connection, project.name, "pinned", Event("pinned", BUILT_AT, "a year of input", facts))
    project.clean(now=LATER, orphans=True)
    assert chunk in there(project)


def test_predictions_stay_until_a_setting_says_how_long_and_never_shorter_than_the_floor(tiny: Path) -> None:
    late = BUILT_AT + 400 * DAY
    with Project(tiny) as project:
        project.run(BUILT_AT + DAY)
        project.flush()
        kept = project.context.predictions.rows().height
        assert kept and project.clean(now=late).files["old predictions"] == 0
    with Project(tiny, {"retention": {"predictions_days": 183}}) as project:
        assert project.clean(now=BUILT_AT + 100 * DAY).files["old predictions"] == 0
        assert project.clean(now=late, dry_run=True).files["old predictions"] == kept
        assert project.clean(now=late + DAY).files["old predictions"] == kept
        assert project.context.predictions.rows().height == 0
        assert f"{kept} old predictions" in project.history(kinds=["cleaned"])[-1].sentence
    with pytest.raises(SettingInvalid):
        Project(tiny, {"retention": {"predictions_days": 30}})
