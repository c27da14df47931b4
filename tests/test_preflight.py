"""`keepwell check`: all that is wrong, not only the first thing."""

from __future__ import annotations

import pytest
from projects import tiny_project

from keepwell import Project
from keepwell.preflight import preflight

pytestmark = pytest.mark.once("asks the scientist's functions, not the stores")


def states(folder):
    return {finding.about: finding.state for finding in preflight(folder)}


def wrong(folder):
    return {finding.about: finding.message for finding in preflight(folder) if finding.state == "wrong"}


def change(folder, old, new, file="model.py"):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def test_a_good_project_has_nothing_wrong_and_keeps_nothing(tmp_path):
    folder = tiny_project(tmp_path / "tiny")
    assert set(states(folder).values()) == {"ok"}
    assert not (folder / ".keepwell").exists()
    assert not (folder / "contract.toml").exists()


@pytest.mark.parametrize(
    ("old", "new", "about", "problem"),
    [
        ("return LogisticRegression(random_state=seed).fit(X, y)", "return 'nothing'", "train", "no 'predict'"),
        (
            'select("site", "day", "warmth", "cloud")',
            'select("site", "day", pl.col("warmth").mean(), "cloud")',
            "look-ahead",
            "looks ahead",
        ),
        ('select("site", "day", "warmth", "cloud")', 'select("site", "warmth", "cloud")', "features", "lacks day"),
        ('label="rain"', 'label="warmth"', "labels", "Labels are 0 or 1"),
        ("return source(since, until)", "return source(since, until).drop('site')", "gather", "lacks site"),
        ("return source(since, until)", "raise OSError('no line')", "gather", "no line"),
        ('name="tiny"', 'name="Tiny One"', "model", "cannot be a model's name"),
        ('name="tiny"', 'name="tiny", task="multiclass"', "model", "one of binary, regression; of several classes, keep one binary"),
        ("import polars as pl", "import polarbears", "model", "polarbears"),
    ],
    ids=["estimator", "look-ahead", "features", "labels", "columns", "raises", "name", "task", "import"],
)
def test_each_fault_is_named_with_what_to_do(tmp_path, old, new, about, problem):
    folder = tiny_project(tmp_path / "tiny")
    change(folder, old, new)
    assert problem in wrong(folder)[about]


def test_a_slice_that_no_feature_has_is_told(tmp_path):
    folder = tiny_project(tmp_path / "tiny")
    (folder / "keepwell.toml").write_text((folder / "keepwell.toml").read_text() + '\n[watch]\nslices = "warmht"\n')
    assert "no feature has that name; it is one of warmth, cloud" in wrong(folder)["features"]


def test_several_faults_are_all_told(tmp_path):
    folder = tiny_project(tmp_path / "tiny", settings="\n[schedule]\ncron = 'never'\n")
    change(folder, "import polars as pl", "import polarbears")
    change(folder, "min_rows = 100", "min_row = 100", "keepwell.toml")
    (folder / "contract.toml").write_text("x = [")
    found = [finding.about for finding in preflight(folder) if finding.state == "wrong"]
    assert found == ["settings", "settings", "model", "contract"]


def test_a_server_beyond_this_machine_needs_a_token(tmp_path):
    folder = tiny_project(tmp_path / "tiny", settings='\n[serve]\nhost = "0.0.0.0"\n')
    assert "KEEPWELL_SERVE__TOKEN" in wrong(folder)["server"]
    assert not (folder / ".keepwell" / "keepwell.db").exists(), "looking makes no record"
    with Project(folder) as project:
        project.create_token("shop")
    (server,) = [finding for finding in preflight(folder) if finding.about == "server"]
    assert server.state == "note" and "a proxy before it must speak HTTPS" in server.message


def test_a_certificate_that_is_not_there_is_told(tmp_path):
    folder = tiny_project(tmp_path / "tiny", settings='\n[serve]\ncertificate = "gone.pem"\n')
    assert "'serve.certificate' in the settings is 'gone.pem': it cannot be read" in wrong(folder)["server"]


def test_an_empty_source_is_told(tmp_path):
    folder = tiny_project(tmp_path / "tiny")
    change(folder, 'start = "2025-01-01"', 'start = "1999-01-01"', "keepwell.toml")
    change(folder, "return source(since, until)", "return source(since, until).clear()")
    assert "has no rows from 1999-01-01" in wrong(folder)["gather"]


def test_two_rows_of_one_key_are_told(tmp_path):
    folder = tiny_project(tmp_path / "tiny")
    change(
        folder,
        "return source(since, until)",
        "rows = source(since, until)\n    return pl.concat([rows, rows.with_columns(warmth=pl.lit(1.0))])",
    )
    assert "rows share their 'site' and 'day'" in wrong(folder)["keys"]
