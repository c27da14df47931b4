"""Two workers of one model, each a process of its own, on one record."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from crashing import run_clean, start
from projects import BUILT_AT

from keepwell import Project

DAY = timedelta(days=1)


def test_cycles_of_different_moments_begun_at_once_run_one_after_the_other(tiny: Path) -> None:
    """Whichever begins first; the earlier moment is done first or refused, never behind the later one."""
    processes = [start(run_clean, tiny, BUILT_AT + day * DAY) for day in (3, 1, 2)]
    for process in processes:
        process.join(120)
    with Project(tiny) as project:
        cycles = sorted(project.cycles(), key=lambda cycle: cycle.begun)
    assert {cycle.status for cycle in cycles} == {"done"}
    assert BUILT_AT + 3 * DAY in [cycle.as_of for cycle in cycles]
    assert [cycle.as_of for cycle in cycles] == sorted(cycle.as_of for cycle in cycles)
    assert all(before.ended <= after.begun for before, after in pairwise(cycles))
