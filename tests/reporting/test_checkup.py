"""The written check-up: what it says is what the record says, in each of its forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores
from projects import BUILT_AT, MODEL, SETTINGS, tiny_rows
from typer.testing import CliRunner

from keepwell import Project
from keepwell.cli import app
from keepwell.errors import InputInvalid
from keepwell.reporting import FORMATS, Value, Vital, make_report, period_of, render
from keepwell.reporting.records import report_of
from keepwell.reporting.vitals import Span, vitals

DAY = timedelta(days=1)
LIVED = BUILT_AT + 80 * DAY


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty days with a version, another made by hand in between, and months that end."""
    folder = tmp_path_factory.mktemp("reporting") / "tiny"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    (folder / "keepwell.toml").write_text(stores.with_stores(SETTINGS + '\n[owner]\nowner = "Mira"\n'))
    tiny_rows(480).write_csv(folder / "rows.csv")
    with Project(folder) as project:
        project.run(BUILT_AT)
        for day in range(3, 81, 3):
            assert project.run(BUILT_AT + day * DAY).status == "done"
    return folder


def test_a_month_is_written_by_itself_once_when_it_has_ended(lived: Path) -> None:
    with Project(lived) as project:
        kept = project.checkups()
        assert [event.facts["period"] for event in kept] == ["2026-01", "2026-02", "2026-03"]
        assert [event.as_of.day for event in kept] == [2, 1, 3]
        project.run(LIVED + DAY)
        project.run(LIVED + 2 * DAY)
        assert len(project.checkups()) == 3


def test_what_was_kept_is_shown_as_it_was_then(lived: Path) -> None:
    with Project(lived) as project:
        kept, anew = project.checkup("2026-02"), project.checkup("2026-02", anew=True)
    assert kept.made_at < anew.made_at
    assert kept.vitals[0].now is not None and anew.vitals[0].now is not None
    assert kept.vitals[0].now.n <= anew.vitals[0].now.n == 28


def test_the_figures_are_those_of_the_ledger(lived: Path) -> None:
    with Project(lived) as project:
        report = project.checkup("2026-02", anew=True)
        rows = pl.DataFrame(project.predictions(limit=10_000)).filter(pl.col("time").dt.month() == 2, pl.col("time").dt.year() == 2026)
    known = rows.drop_nulls("label")
    brier = float(np.square(known["answer"].to_numpy() - known["label"].to_numpy()).mean())
    signs = {one.name: one for one in report.vitals}
    assert signs["Brier score"].now is not None and signs["Brier score"].now.value == pytest.approx(brier)
    assert signs["Answers given"].now == Value(rows.height)
    assert report.compared.startswith(f"Brier score {brier:.4g}")
    assert report.headline.startswith("tiny is ")
    assert report.owner == "Mira"


def test_each_form_says_the_same(lived: Path, tmp_path: Path) -> None:
    with Project(lived) as project:
        report = project.checkup("2026-02", anew=True)
    texts = {form: render(report, form) for form in FORMATS}
    assert report_of(json.loads(texts["json"])) == report
    for form in ("html", "md"):
        assert report.compared in texts[form].decode()
        assert "Unknown" in texts[form].decode()
    page = texts["html"].decode()
    assert "<svg" in page and "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    assert texts["pdf"].startswith(b"%PDF")
    assert texts["html"] == render(report, "html")


def test_hostile_names_stay_text(lived: Path) -> None:
    from dataclasses import replace

    with Project(lived) as project:
        report = project.checkup("2026-02", anew=True)
    evil = replace(report, headline="<script>alert(1)</script> `<b>` \u202eright to left", decide=("<img src=x> `a<b`",), owner="| <x> |")
    page = render(evil, "html").decode()
    assert "<script" not in page and "<img" not in page and "<b>" not in page
    assert "&lt;script&gt;" in page and "<code>a&lt;b</code>" in page
    assert render(evil, "pdf").startswith(b"%PDF")


def test_a_period_without_anything_says_so(lived: Path) -> None:
    with Project(lived) as project:
        report = make_report(project.context, period_of("2031", LIVED), now=LIVED)
    assert report.compared.startswith("Nothing can be said about performance")
    assert "No answer was given in this period" in report.unknown
    for form in FORMATS:
        assert render(report, form)


def test_a_replaced_version_is_asked_again_to_say_whether_it_helped(lived: Path, tmp_path: Path) -> None:
    """Version 2 learned the labels turned round and was let live all the same."""
    folder = stores.copy_project(lived, tmp_path / "tiny")
    with Project(folder, {"gate": {"beat_baselines": False}}) as project:
        bad = (folder / "model.py").read_text().replace("fit(X, y)", "fit(X, 1 - y)")
        (folder / "model.py").write_text(bad)
    with Project(folder, {"retrain": {"cooldown_days": 0}}) as project:
        project.run(LIVED + 3 * DAY, build=True)
        assert project.versions()[-1].passed is False
        project.promote(2, reason="a mistake", override=True, as_of=LIVED + 4 * DAY)
        rows = tiny_rows(600)
        rows.write_csv(folder / "rows.csv")
        project.run(LIVED + 60 * DAY)
        report = make_report(project.context, period_of("90d", LIVED + 60 * DAY), now=LIVED + 60 * DAY)
    act = next(one for one in report.done if "Version 2 became champion" in one.sentence)
    assert act.helped is False and act.effect.startswith("did harm: brier")


def frame(loss: float, n: int, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    label = (draw.uniform(size=n) < 0.5).astype(float)
    answer = np.where(draw.uniform(size=n) < loss, 1 - label, label) * 0.8 + 0.1
    start = datetime(2026, 1, 1, tzinfo=UTC)
    time = [start + place * timedelta(hours=1) for place in range(n)]
    return pl.DataFrame(
        {"time": time, "answer": answer, "label": label, "labelled_at": [moment + DAY for moment in time], "version": [1] * n}
    )


def span(scored: pl.DataFrame) -> Span:
    return Span(scored, scored.height, scored.height, scored.height, 0, 1, 0, 0)


def test_a_sign_is_called_worse_only_where_the_difference_stands_out() -> None:
    signs = [vitals("binary", "brier", span(frame(loss, 2000, 1)), span(frame(0.1, 2000, 2)), None)[0] for loss in (0.1, 0.3, 0.02)]
    assert [one.word for one in signs] == ["as before", "worse", "better"]


def test_signs_without_labels_are_unknown() -> None:
    empty = frame(0.1, 50, 1).with_columns(label=pl.lit(None, pl.Float64))
    found: dict[str, Vital] = {one.name: one for one in vitals("binary", "brier", span(empty), span(frame(0.1, 50, 2)), 0.1)}
    assert found["Brier score"].now is None and found["Brier score"].word == "unknown"
    assert found["Labels in, of those due"].now == Value(0.0, n=50)


def test_the_command_writes_files_by_their_name_and_lists_what_was_kept(lived: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    for form in FORMATS:
        out = tmp_path / f"checkup.{form}"
        said = run(app, ["-C", str(lived), "checkup", "--period", "2026-02", "--out", str(out)])
        assert said.exit_code == 0, said.output
        assert out.stat().st_size > 1000
    assert "# Check-up of tiny, 2026-02" in run(app, ["-C", str(lived), "checkup", "--period", "2026-02"]).output
    assert "2026-03" in run(app, ["-C", str(lived), "checkup", "--list"]).output
    assert json.loads(run(app, ["-C", str(lived), "checkup", "--json"]).output)["model"] == "tiny"
    wrong = run(app, ["-C", str(lived), "checkup", "--format", "doc"])
    assert wrong.exit_code != 0


def test_an_unknown_form_is_refused(lived: Path) -> None:
    with Project(lived) as project, pytest.raises(InputInvalid, match="html, md, json, pdf"):
        render(project.checkup("2026-02"), "doc")


def test_the_card_of_the_champion_says_how_it_is_in_use(lived: Path) -> None:
    with Project(lived) as project:
        card, report = project.card("champion"), project.checkup("2026-03")
    assert f"## In use, 2026-03\n\n{report.headline}" in card
    assert report.compared in card
