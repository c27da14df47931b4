"""A simulated year, many times: what the policy does about real changes, and that it leaves broken data alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import stores
from projects import MODEL, SETTINGS

from keepwell import Project
from keepwell.evaluation import losses
from keepwell.orchestration import Context, Plain, attach, detach, run_cycle
from keepwell.registry import Version, list_versions
from keepwell.retraining import list_decisions
from keepwell.serving import joined, representative

pytestmark = pytest.mark.sqlite("takes the loop through eight years; what decides there is arithmetic")

SITES = ("north", "south", "east", "west", "middle")
FIRST, DAYS = date(2024, 1, 1), 700
BEGIN, YEAR, WEEK = datetime(2024, 12, 1, 6, tzinfo=UTC), timedelta(days=364), timedelta(days=7)
STEADY = SETTINGS.replace("min_rows = 100", "min_rows = 150").replace('start = "2025-01-01"', 'start = "2024-01-01"')
PATIENT = MODEL.replace('"warmth", "cloud")', '"warmth", pl.col("cloud").fill_null(0.5))')
OURS = "\n[retrain]\nmax_age_days = 3650\ncooldown_days = 28\n"
CRON = "\n[retrain]\nevery_days = 28\non_decline = false\nmax_age_days = 3650\ncooldown_days = 0\nmin_new_labels = 0\n"
WATCHED = timedelta(days=56)  # after a fault has ended
CHANGES = ("turned round", "more rain")
FAULTS = ("another unit", "stuck", "missing")


@dataclass(frozen=True)
class Life:
    """A year: builds after the first, days whose last four weeks were a fifth worse than is possible, and what was decided."""

    builds: list[datetime]
    days_below: int
    acts: list[str]


def history(folder: Path, kind: str, seed: int, settings: str) -> tuple[Path, date, date]:
    """Five sites a day for two years; something happens on a day of the second, a fault for some weeks, a change for ever."""
    draw = np.random.default_rng(seed)
    begins = FIRST + timedelta(days=int(draw.integers(400, 480)))
    ends = begins + timedelta(days=int(draw.integers(28, 63))) if kind in FAULTS else FIRST + timedelta(days=DAYS)
    days = [FIRST + timedelta(days=place) for place in range(DAYS)]
    rows = pl.DataFrame({"site": [site for _ in days for site in SITES], "day": [day for day in days for _ in SITES]})
    n, warmth, cloud = rows.height, draw.normal(10, 5, rows.height), draw.uniform(0, 1, rows.height)
    there = ((rows["day"] >= begins) & (rows["day"] < ends)).to_numpy()
    slope, level = draw.uniform(5, 8), draw.uniform(1.6, 2.4)
    odds = slope * (cloud - 0.5)
    if kind == "turned round":
        odds = np.where(there, -odds, odds)
    elif kind == "more rain":
        odds = np.where(there, odds + level, odds)
    rain = (draw.uniform(size=n) < 1 / (1 + np.exp(-odds))).astype(int)
    seen = cloud.round(3).astype(object)
    if kind == "another unit":
        seen[there] = (100 * cloud[there]).round(1)
    elif kind == "stuck":
        seen[there] = 0.437
    elif kind == "missing":
        seen[there] = None
    folder.mkdir(parents=True)
    chance = 1 / (1 + np.exp(-odds))
    (folder / "possible").write_text(str(float((chance * (1 - chance)).mean())))
    (folder / "model.py").write_text(PATIENT)
    (folder / "keepwell.toml").write_text(STEADY + settings)
    frame = rows.with_columns(warmth=pl.Series(warmth).round(2), cloud=pl.Series(seen.tolist(), dtype=pl.Float64), rain=pl.Series(rain))
    frame.write_csv(folder / "rows.csv")
    return folder, begins, ends


def lived(folder: Path, until: datetime = BEGIN + YEAR) -> Life:
    """A year of weekly cycles."""
    context = Context.open(folder)
    context.database.hurry()
    attach(context)
    try:
        moment = BEGIN
        while moment <= until:
            assert run_cycle(Plain(), context, moment).status == "done"
            moment += WEEK
        with context.database.read() as connection:
            versions = list_versions(connection, context.name)
            decisions = list_decisions(connection, context.name)
        rows = joined(representative(context.predictions.rows()), context.labels.rows()).drop_nulls("label").sort("time")
        loss = losses("brier", rows["label"].to_numpy(), rows["answer"].to_numpy())
        daily = rows.select("time").with_columns(loss=pl.Series(loss)).group_by("time").mean().sort("time")["loss"]
        target = 1.2 * float((folder / "possible").read_text())
        below = int((daily.rolling_mean(28).drop_nulls() > target).sum())
        return Life([one.as_of for one in versions[1:]], below, [one.act for _, one in decisions])
    finally:
        detach(context)
        context.database.close()


def last_version(folder: Path) -> tuple[Version, str, str]:
    """The newest version, how repeating it came out, and what was decided, in words."""
    with Project(folder) as project:
        version = project.versions()[-1]
        decided = " ".join(event.sentence for event in project.history(["decided"]))
        return version, project.reproduce(version.number).verdict, decided


@pytest.fixture(scope="module")
def more_rain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first half of the year of "more rain", seed 2."""
    folder, _, _ = history(tmp_path_factory.mktemp("more") / "tiny", "more rain", 2, OURS)
    lived(folder, until=datetime.fromisoformat("2025-06-02T00:00Z"))
    return folder


def test_a_recalibrated_version_serves_and_comes_out_identical_again(more_rain: Path) -> None:
    version, verdict, decided = last_version(more_rain)
    assert (version.format, version.passed, verdict) == ("recalibrated", True, "identical")
    assert "recalibrate, because" in decided and "it would gain about" in decided
    assert version.facts["recalibrates"] == 1


def test_it_is_no_younger_than_the_version_inside(more_rain: Path) -> None:
    with Project(more_rain) as project:
        first, *_, second = project.versions()
    assert second.facts["aged_from"] == first.facts["trained_until"] < second.facts["trained_until"]


def test_a_changed_relation_is_learned_from_its_own_rows_and_comes_out_identical_again(tmp_path: Path) -> None:
    folder, begins, _ = history(tmp_path / "tiny", "turned round", 2, OURS)
    lived(folder, until=datetime.fromisoformat("2025-06-09T00:00Z"))
    version, verdict, decided = last_version(folder)
    assert (version.passed, verdict) == (True, "identical")
    assert abs((date.fromisoformat(version.facts["trained_from"][:10]) - begins).days) <= 7
    assert version.facts["window_from"][:10] == version.facts["trained_from"][:10]
    assert "the relation has changed in cloud; on the" in decided


@pytest.mark.parametrize(("kind", "seed"), [("turned round", 1), ("more rain", 2)])
def test_a_changed_world_is_learned_sooner_and_with_fewer_builds_than_by_a_monthly_cron(
    more_rain: Path, tmp_path: Path, kind: str, seed: int
) -> None:
    ours = lived(
        stores.copy_project(more_rain, tmp_path / "ours") if kind == "more rain" else history(tmp_path / "ours", kind, seed, OURS)[0]
    )
    cron = lived(history(tmp_path / "cron", kind, seed, CRON)[0])
    assert ours.builds, "it was mended"
    assert len(ours.builds) < len(cron.builds)
    assert ours.days_below < cron.days_below


@pytest.mark.parametrize(("kind", "seed"), [("another unit", 1), ("stuck", 2), ("missing", 3)])
def test_broken_data_is_never_a_reason_to_build(tmp_path: Path, kind: str, seed: int) -> None:
    """Neither while it lasts, nor in the weeks after, in which a check-up that forgot the reason would still see the losses."""
    folder, begins, ends = history(tmp_path / "ours", kind, seed, OURS)
    life = lived(folder, until=datetime.combine(ends, BEGIN.timetz()) + WATCHED + WEEK)
    assert [moment for moment in life.builds if begins <= moment.date() <= ends + WATCHED] == []
    assert {"fix upstream", "quarantine and wait"} & set(life.acts)
