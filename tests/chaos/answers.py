"""`make chaos-answers`: a server under load, killed, out of disk, swapped. What it acknowledged must be in its ledger, once.

PYTHONPATH=tests python tests/chaos/answers.py --seed 7 --kills 30 --only kills
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from answering import KEEPER, SHIPPER, STEPS, WORKER, WRITER, killed, starved
from disks import mounted
from projects import BUILT_AT, tiny_project
from rich.console import Console
from swapping import swapped, two_versions

from keepwell import Project


def kills(place: Path, console: Console, seed: int, given: argparse.Namespace) -> bool:
    """Half of them against one process that does all, half against two that answer beside it."""
    well = True
    for workers in (0, 2):
        folder = _built(place / f"kills-{workers}")
        draw = random.Random(seed + workers)
        shippers = [f"{SHIPPER} {step}" for step in STEPS]
        others = [KEEPER] if not workers else [KEEPER, WORKER, WRITER]
        victims = shippers + [draw.choice(others) for _ in range(given.kills // 2 - len(shippers))]
        draw.shuffle(victims)
        begin = time.monotonic()
        ending = killed(folder, victims, workers=workers, seed=seed, tell=lambda text: console.print(f"  {text}"))
        well = well and ending.is_right
        console.print(f"workers = {workers}, {time.monotonic() - begin:.0f} s: {ending}")
    return well


def disks(place: Path, console: Console, seed: int, given: argparse.Namespace) -> bool:
    """The journal's disk gets full, then read-only."""
    well = True
    for workers in (0, 2):
        with mounted(place / f"disk-{workers}") as disk:
            begin = time.monotonic()
            ending, refusals = starved(_built(place / f"disks-{workers}"), disk, workers=workers)
        well = well and ending.is_right and not ending.broken and refusals == {(503, "1")}
        console.print(f"workers = {workers}, {time.monotonic() - begin:.0f} s: {ending}")
    return well


def swaps(place: Path, console: Console, seed: int, given: argparse.Namespace) -> bool:
    """Promote, roll back, begin and end a trial, again and again."""
    well = True
    for workers in (0, 2):
        folder = two_versions(_built(place / f"swaps-{workers}"))
        begin = time.monotonic()
        found = swapped(folder, requests=given.requests, swaps=given.swaps, workers=workers, connections=64)
        well = well and not found.failed and not found.wrong
        console.print(f"workers = {workers}, {time.monotonic() - begin:.0f} s: {found}")
    return well


def _built(folder: Path) -> Path:
    tiny_project(folder)
    with Project(folder) as project:
        project.run(BUILT_AT)
    return folder


ACTS: dict[str, Callable[[Path, Console, int, argparse.Namespace], bool]] = {
    "kills": kills,
    "disks": disks,
    "swaps": swaps,
}


def main() -> int:
    """Exit code 0 when all of it went right."""
    asked = argparse.ArgumentParser(description="Kill and starve a server under load, and compare its ledger with what it acknowledged.")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--kills", type=int, default=30)
    asked.add_argument("--requests", type=int, default=10_000)
    asked.add_argument("--swaps", type=int, default=20)
    asked.add_argument("--only", choices=list(ACTS), action="append")
    given = asked.parse_args()
    console, well = Console(highlight=False, width=160), True
    with tempfile.TemporaryDirectory(prefix="keepwell-chaos-") as place:
        for name in given.only or ACTS:
            console.print(f"{name}, seed {given.seed}")
            is_right = ACTS[name](Path(place), console, given.seed, given)
            console.print(f"{name}: {'right' if is_right else 'WRONG'}")
            well = well and is_right
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
