"""Keepwell's watch and other tools on the same declines: did each notice, since when, why, and how often was it wrong?

python benchmarks/decline/run.py                                    all monitors, labels come in
python benchmarks/decline/run.py --labels without                   the same when no label ever comes
python benchmarks/decline/run.py --monitors keepwell --limit 12     a quick look
python benchmarks/decline/run.py --write                            all, and docs/decline-benchmark.md
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from peers import ENVIRONMENT, ONE_CORE, run_peer

os.environ.update(ONE_CORE)  # before numpy is there: each process keeps to one core

import bound
import numpy as np
import replay
from page import write_page
from scenarios import Scenario, Spec, make_scenario, specs
from scoring import Grade, cells, grade, summary

CASES = Path(__file__).parents[2] / "build" / "decline"
MONITORS = ("keepwell", *ENVIRONMENT)


def one_scenario(spec: Spec, modes: tuple[bool, ...], with_keepwell: bool) -> dict[str, Any]:
    """Build it, keep its files for the peers, and lead Keepwell's watch through it."""
    scenario: Scenario = make_scenario(spec)
    folder, stream = CASES / spec.id, scenario.stream
    replay.save(scenario, folder)
    told: dict[str, Any] = {}
    if with_keepwell:
        from keepwell_monitor import KeepwellMonitor

        for labels in modes:
            told["with" if labels else "without"] = replay.play(replay.load(folder, stream.model), KeepwellMonitor(), labels=labels)
    end = stream.end.astype("datetime64[ns]")
    span = (stream.start, end, stream.batch)
    return {"folder": folder, "truth": scenario.truth, "span": span, "keepwell": told, "bound": bound.delays(scenario)}


class Progress:
    """One line on the terminal that counts; nothing where nobody looks."""

    def __init__(self) -> None:
        self.began, self.counts = time.monotonic(), defaultdict(int)

    def __call__(self, name: str, total: int = 0) -> None:
        self.counts[name] += 1
        if sys.stderr.isatty():
            of = f" of {total}" if total else ""
            print(f"\r{name}: {self.counts[name]}{of}, {time.monotonic() - self.began:.0f} s ", end="", file=sys.stderr, flush=True)
        elif self.counts[name] % 20 == 0:
            print(f"{name}: {self.counts[name]}, {time.monotonic() - self.began:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    given = arguments()
    began, progress = time.monotonic(), Progress()
    modes = (True, False) if given.labels == "both" else (given.labels == "with",)
    chosen = specs(given.seeds)[: given.limit]
    built: dict[str, dict[str, Any]] = {}
    with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(one_scenario, spec, modes, "keepwell" in given.monitors): spec for spec in chosen}
        for job in as_completed(jobs):
            built[jobs[job].id] = job.result()
            progress("keepwell" if "keepwell" in given.monitors else "scenarios", len(chosen))
    outcome: dict[str, Any] = {"versions": {"python": sys.version.split()[0], "numpy": np.__version__}, "with": {}, "without": {}}
    outcome["bound"] = {name: one["bound"] for name, one in built.items() if one["bound"]}
    for labels in modes:
        mode = "with" if labels else "without"
        told = {spec.id: built[spec.id]["keepwell"].get(mode) for spec in chosen}
        grades: dict[str, list[tuple[str, Grade, float]]] = {}
        if "keepwell" in given.monitors:
            grades["keepwell"] = [graded(name, built[name], *told[name]) for name in told]
        for monitor in given.monitors:
            if monitor == "keepwell":
                continue
            every = given.evidently_every if monitor == "evidently" else 1
            folders = [built[spec.id]["folder"] for spec in chosen[::every]]
            versions, results = run_peer(monitor, folders, labels=labels, workers=given.workers, progress=progress)
            outcome["versions"].update(versions)
            for result in sorted(results, key=lambda one: one["id"]):
                for rule, said in result["said"].items():
                    grades.setdefault(rule, []).append(graded(result["id"], built[result["id"]], said, result["seconds"]))
        outcome[mode] = {name: [{"id": key, **vars(one), "seconds": took} for key, one, took in rows] for name, rows in grades.items()}
        columns = {name: ([one for _, one, _ in rows], [took for *_, took in rows]) for name, rows in grades.items()}
        outcome[f"summary_{mode}"] = {name: summary(*both) for name, both in columns.items()}
    if sys.stderr.isatty():
        print(file=sys.stderr)
    outcome["load"] = os.getloadavg()[2]
    outcome["minutes"] = (time.monotonic() - began) / 60
    limit = f" --limit {given.limit}" if given.limit else ""
    outcome["command"] = f"python benchmarks/decline/run.py --seeds {','.join(map(str, given.seeds))} --labels {given.labels}{limit}"
    outcome["evidently_every"] = given.evidently_every
    CASES.mkdir(parents=True, exist_ok=True)
    (CASES / "outcome.json").write_text(json.dumps(outcome, indent=1, default=float), "utf-8")
    print(json.dumps(outcome, default=float) if given.json else told_plainly(outcome))
    if given.write:
        write_page(outcome)


def graded(name: str, built: dict[str, Any], said: Any, seconds: float) -> tuple[str, Grade, float]:
    return name, grade(built["truth"], said, *built["span"]), seconds


def told_plainly(outcome: dict[str, Any]) -> str:
    lines = []
    for mode in ("with", "without"):
        if outcome[mode]:
            lines += [f"{mode} labels"]
            for row in cells(outcome[f"summary_{mode}"]):
                lines.append(row[0].ljust(38) + "".join(cell.rjust(17) for cell in row[1:]))
    return "\n".join([*lines, f"{outcome['minutes']:.1f} minutes; all of it in build/decline/outcome.json"])


def arguments() -> argparse.Namespace:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[1], help="each makes 120 scenarios")
    ask.add_argument("--monitors", type=lambda text: text.split(","), default=list(MONITORS), help=", ".join(MONITORS))
    ask.add_argument("--labels", choices=("with", "without", "both"), default="with", help="without: no label ever comes")
    ask.add_argument("--limit", type=int, help="only the first ones, of an order that was shuffled once")
    ask.add_argument("--evidently-every", type=int, default=6, help="Evidently is slow: it gets every n-th scenario")
    ask.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    ask.add_argument("--json", action="store_true")
    ask.add_argument("--write", action="store_true", help="write docs/decline-benchmark.md")
    given = ask.parse_args()
    if unknown := set(given.monitors) - set(MONITORS):
        ask.error(f"no monitor is called {', '.join(sorted(unknown))}; there are {', '.join(MONITORS)}")
    return given


if __name__ == "__main__":
    main()
