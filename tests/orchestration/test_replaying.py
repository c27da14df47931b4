"""A build makes the champion's kept answers again: the same where the data is the same, and told where they are not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
from projects import BUILT_AT, DAYS, tiny_rows

from keepwell import Project
from keepwell.orchestration.replaying import replay

ANSWERED = BUILT_AT + timedelta(days=5)
NEXT = BUILT_AT + timedelta(days=8)


def test_kept_answers_come_out_the_same_when_a_build_makes_them_again(tiny: Path) -> None:
    with Project(tiny) as project:
        project.run(ANSWERED)
        project.run(NEXT, build=True)
        told = project.history(kinds=["replayed"])
        points = {point.id: point.points for point in project.score(NEXT).points}
    assert len(told) == 1 and told[0].facts["rows"] >= 4 and told[0].facts["differ"] == 0
    assert "all are the same" in told[0].sentence
    assert points["W3"] == points["I5"] == 1


def test_rows_whose_data_was_restated_since_are_left_out(tiny: Path) -> None:
    with Project(tiny) as project:
        project.run(ANSWERED)
    late = (ANSWERED - timedelta(days=1)).date()
    cloud = pl.when(pl.col("day") == late).then(pl.lit(0.01)).otherwise("cloud")
    tiny_rows(DAYS).with_columns(cloud=cloud).write_csv(tiny / "rows.csv")
    with Project(tiny) as project:
        project.run(NEXT, build=True)
        told = project.history(kinds=["replayed"])
    assert told[0].facts["restated"] >= 1 and told[0].facts["differ"] == 0


def test_answers_that_differ_are_counted(tiny: Path) -> None:
    with Project(tiny) as project:
        project.run(ANSWERED)
        kept = project.context.predictions.rows().sort("time")
        keys, answers = kept.select("entity", "time"), kept["answer"].to_numpy()
        assert replay(project.context, 1, keys, answers, NEXT) == {
            "version": 1,
            "rows": kept.height,
            "differ": 0,
            "largest": 0.0,
            "restated": 0,
        }
        moved = answers.copy()
        moved[0] += 0.25
        moved[1] = float("nan")
        found = replay(project.context, 1, keys, moved, NEXT)
    assert found is not None and found["differ"] == 2 and abs(found["largest"] - 0.25) < 1e-12
