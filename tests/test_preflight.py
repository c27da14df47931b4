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
    noted = {about: state for about, state in states(folder).items() if state != "ok"}
    assert noted == {"reference": "note", "horizon": "note"}, "its 100 days hold no year, and rain is known the same day"
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


SHOPS = """
    shops = source(since, until)
    return pl.concat(
        [shops.with_columns(site=pl.lit(name), warmth=pl.col("warmth") + place) for place, name in enumerate(("a", "b", "c"))]
    )"""


def several(folder, features):
    """The tiny project with three sites, and other features."""
    change(folder, "\n    return source(since, until)", SHOPS)
    change(folder, 'return observations.select("site", "day", "warmth", "cloud")', f"return {features}")
    change(folder, "horizon_days=1", "horizon_days=1, lookback_days=2")
    return {finding.about: finding for finding in preflight(folder)}


@pytest.mark.parametrize(
    ("features", "state", "words"),
    [
        (
            'observations.sort("day").select("site", "day", lag=pl.col("warmth").shift(1)).drop_nulls()',
            "wrong",
            "it matters in which order",
        ),
        (
            'observations.sort("day").select("site", "day", "cloud", lag=pl.col("warmth").shift(1).over("site")).drop_nulls()',
            "ok",
            "its own",
        ),
        ('observations.select("site", "day", "cloud", all=pl.col("warmth").mean().over("day"))', "note", "rows of other sites are used"),
    ],
    ids=["over is forgotten", "over is there", "on purpose"],
)
def test_rows_of_one_entity_in_anothers_features_are_told(tmp_path, features, state, words):
    found = several(tiny_project(tmp_path / "tiny"), features)["entities"]
    assert found.state == state and words in found.message
    assert state == "ok" or '`.over("site")`' in found.message


@pytest.mark.parametrize(
    ("label", "state", "words"),
    [
        ('"site", "day", label=pl.col("rain").shift(-1)).drop_nulls(', "ok", "none changes afterwards"),
        ('"site", "day", label="rain"', "note", "rows younger than horizon_days=1 have a label, such as that of 2025-"),
        ('"site", "day", label=pl.col("rain").reverse().rolling_max(3, min_samples=1).reverse()', "wrong", "changes when later rows come"),
    ],
    ids=["in time", "early", "half known"],
)
def test_labels_known_before_their_horizon_are_told(tmp_path, label, state, words):
    folder = tiny_project(tmp_path / "tiny")
    change(folder, '"site", "day", label="rain"', label)
    (found,) = [finding for finding in preflight(folder) if finding.about == "horizon"]
    assert (found.state, words in found.message) == (state, True), found.message
