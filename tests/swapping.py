"""Promote, roll back, open and end a trial while requests come in: what a server answered meanwhile, and by which version."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from loading import Given, loading
from processes import running
from projects import BUILT_AT

from keepwell import Project
from keepwell.deployment import OPEN, SHADOW, Trial, begin_trial, keep_trial, living_trials
from keepwell.serving import made_ready

PATH = "/models/tiny/predict"
ROWS = [{"warmth": round(place * 0.37 - 5, 2), "cloud": round(place % 11 / 11, 3)} for place in range(60)]
BODIES: list[list[dict[str, Any]]] = [ROWS[at : at + 1 + at % 4] for at in range(50)]
SHARE = 0.5


@dataclass(frozen=True)
class Swapped:
    """`wrong` counts predictions that are not, bit by bit, what the version they name answers; `late_s` is the slowest swap."""

    requests: int
    failed: int
    wrong: int
    versions: dict[int, int]
    swaps: Counter[str]
    late_s: float


def two_versions(folder: Path) -> Path:
    """Version 2 beside version 1 of a built tiny project; they answer differently, and a trial of version 2 would get its share."""
    with Project(folder, {"build": {"holdout_days": 60}, "promotion": {"mode": "auto"}}) as project:
        project.run(BUILT_AT + timedelta(days=1), build=True)
        if project.aliases()["champion"] != 1:
            project.rollback(1, reason="to begin with")
    with (folder / "keepwell.toml").open("a") as settings:
        settings.write(f"\n[promotion]\ncanary_share = {SHARE}\nprobation_days = 0\n")
    return folder


def promote(project: Project) -> set[int]:
    project.promote(2, reason="a swap", override=True)
    return {2}


def roll_back(project: Project) -> set[int]:
    project.rollback(reason="a swap")
    return {1}


def open_trial(project: Project) -> set[int]:
    now = datetime.now(UTC)
    with project.context.database.begin() as connection:
        begin_trial(connection, project.name, Trial(f"trial/{now}", SHADOW, 2, 1, now, now + timedelta(days=9), OPEN, {}))
    return {1, 2}


def end_trial(project: Project) -> set[int]:
    with project.context.database.begin() as connection:
        for trial in living_trials(connection, project.name, SHADOW):
            keep_trial(connection, project.name, trial.key, "let go", {})
    return {1}


SWAPS: tuple[Callable[[Project], set[int]], ...] = (promote, roll_back, open_trial, end_trial)


def swapped(folder: Path, *, requests: int, swaps: int, workers: int = 0, connections: int = 8, within_s: float = 30.0) -> Swapped:
    """Send so many requests while so many swaps are made, one after the other, each seen in the answers before the next."""
    with Project(folder) as project:
        answer = {number: made_ready(project.context.load(number)).answer for number in (1, 2)}
        expected = {number: {tuple(row.values()): by([tuple(row.values())])[0] for row in ROWS} for number, by in answer.items()}
        late_s = 0.0
        with running(folder, "serve", workers=workers) as (_, line), loading(line, PATH, BODIES, connections=connections) as load:
            load.wait(1)
            for swap in islice(cycle(SWAPS), swaps):
                wanted, begin, at = swap(project), time.monotonic(), len(load.answered)
                while {one["version"] for given in load.answered[-20:] for one in given.predictions} != wanted:
                    assert time.monotonic() - begin < within_s, f"{swap.__name__} is not seen"
                    time.sleep(0.005)
                late_s = max(late_s, time.monotonic() - begin)
                load.wait(max(0, requests // swaps - (len(load.answered) - at)), 600)
    versions = Counter(one["version"] for given in load.answered for one in given.predictions)
    return Swapped(
        requests=len(load.answered) + len(load.refused) + len(load.broken),
        failed=len(load.refused) + len(load.broken),
        wrong=sum(_wrong(given, expected) for given in load.answered),
        versions=dict(sorted(versions.items())),
        swaps=Counter(swap.__name__ for swap in islice(cycle(SWAPS), swaps)),
        late_s=round(late_s, 2),
    )


def _wrong(given: Given, expected: dict[int, dict[tuple[float, ...], float]]) -> int:
    rows = BODIES[given.body]
    assert len(rows) == len(given.predictions)
    return sum(
        one["probability"] != expected[one["version"]][tuple(row.values())] for row, one in zip(rows, given.predictions, strict=True)
    )
