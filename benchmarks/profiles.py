"""Profiles and comparisons beside other libraries, in one run: CPU seconds, peak memory, what was flagged; writes docs/profiles.md's table.

    python benchmarks/profiles.py                                      # Keepwell and a bare scan, 1Mx20
    python benchmarks/profiles.py --peers scan,keepwell,whylogs --sizes 1Mx20,10Mx50 --runs 5
    python benchmarks/profiles.py --peers all --sizes all --write      # a quarter of an hour; also writes the table into docs/profiles.md

Each figure is a fresh process, started as a user would: CPU seconds are user and system time of it and its children, from its start to
its end, so that importing and reading count. Tasks: `drift` compares the current table with the reference one; `day` adds one day to
a reference of a year that is already in memory (only that step is timed, as the libraries differ in how they keep their state).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import venv
from datetime import UTC, datetime
from pathlib import Path

import profile_data

HERE = Path(__file__).parent
ROOT = HERE.parent
DATA, PEERS = ROOT / "build" / "profiles", ROOT / "build" / "peers"
PAGE = ROOT / "docs" / "profiles.md"
MARKS = "<!-- figures -->", "<!-- /figures -->"
OWN = ("scan", "keepwell")
FOREIGN = {"nannyml": "nannyml", "evidently-columns": "evidently", "evidently-preset": "evidently", "whylogs": "whylogs"}
ALL_SIZES = ["1Mx20", "1Mx100", "10Mx50"]
SLOW = {"evidently-preset", "evidently-columns", "whylogs"}  # once or twice is enough for a factor of ten
# (task, size, peer, most times what, of whom)
TARGETS = (
    ("drift", "1Mx20", 1 / 6, "nannyml"),
    ("drift", "1Mx20", 1 / 15, "evidently-columns"),
    ("drift", "1Mx20", 1 / 40, "evidently-preset"),
    ("drift", "1Mx20", 2.5, "scan"),
    ("drift", "10Mx50", 2.5, "scan"),
    ("drift", "1Mx100", 4.0, "scan"),
    ("day", "1Mx20", 1.0, "whylogs"),
)
MEMORY_MB = ("10Mx50", 1000)


def python_of(peer: str) -> str:
    """The interpreter that has the peer; a venv is made for each on first use."""
    if peer in OWN:
        return sys.executable
    home = PEERS / FOREIGN[peer]
    interpreter = home / "bin" / "python"
    if not (home / ".done").exists():
        venv.create(home, with_pip=True, clear=True)
        pins = HERE / "peers" / f"requirements-{FOREIGN[peer]}.txt"
        subprocess.run([interpreter, "-m", "pip", "install", "-q", "-r", pins], check=True)
        (home / ".done").touch()
    return str(interpreter)


def measured(peer: str, task: str, size: str, limit: int) -> dict:
    """One run in a process of its own: its CPU seconds and peak memory, and what it said."""
    reference, current = profile_data.make(DATA, size)
    command = [python_of(peer), str(HERE / "peers" / "work.py"), peer, task, str(reference), str(current)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, env={**os.environ, "DO_NOT_TRACK": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{peer} {task} {size}: {done.stderr[-2000:]}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"peer": peer, "task": task, "size": size, **said, "cpu": said.get("cpu", cpu)}


def main() -> None:
    """Measure, print, and with --write put the table where people read it."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--peers", default=",".join(OWN), help="names, or all; others are installed under build/peers")
    asked.add_argument("--sizes", default="1Mx20", help="or all")
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--limit", type=int, default=900, help="seconds for one run")
    asked.add_argument("--kept", type=Path, default=ROOT / "build" / "profiles.jsonl", help="raw figures are added here")
    asked.add_argument("--write", action="store_true")
    asked.add_argument("--only-write", action="store_true", help="from the figures that are kept")
    chosen = asked.parse_args()
    if not chosen.only_write:
        chosen.kept.unlink(missing_ok=True)
        peers = [*OWN, *FOREIGN] if chosen.peers == "all" else chosen.peers.split(",")
        sizes = ALL_SIZES if chosen.sizes == "all" else chosen.sizes.split(",")
        jobs = [(peer, "drift", size) for size in sizes for peer in peers if peer in OWN or size == "1Mx20"]
        jobs += [(peer, "day", "1Mx20") for peer in peers if peer in ("keepwell", "whylogs", "nannyml") and "1Mx20" in sizes]
        for turn in range(chosen.runs):  # all peers in each turn, so that a busy minute meets all of them
            for peer, task, size in jobs:
                if peer in SLOW and turn >= 2 and task == "drift":
                    continue
                found = measured(peer, task, size, chosen.limit) | {"load": round(os.getloadavg()[0], 1)}
                with chosen.kept.open("a") as file:
                    file.write(json.dumps(found) + "\n")
                print(f"{task:6} {size:7} {peer:18} {found['cpu']:8.2f} CPU s {found['rss']:7.0f} MB  load {found['load']}", flush=True)
    runs = [json.loads(line) for line in chosen.kept.read_text().splitlines()]
    lines = report(runs)
    print("\n".join(lines))
    if chosen.write or chosen.only_write:
        page = PAGE.read_text("utf-8")
        first, last = (page.index(mark) for mark in MARKS)
        PAGE.write_text(page[: first + len(MARKS[0])] + "\n" + "\n".join(lines) + "\n" + page[last:], "utf-8")


def report(runs: list[dict]) -> list[str]:
    """The tables, and each target against what was seen."""
    groups: dict[tuple[str, str, str], list[dict]] = {}
    for run in runs:
        groups.setdefault((run["task"], run["size"], run["peer"]), []).append(run)
    cpu = {key: statistics.median(run["cpu"] for run in found) for key, found in groups.items()}
    loads = [run["load"] for run in runs]
    lines = [
        f"Written by `python benchmarks/profiles.py --peers all --sizes all --write` on {datetime.now(UTC):%Y-%m-%d}.",
        f"{os.cpu_count()} processors, Python {platform.python_version()}; other work beside it: load {min(loads):g} to {max(loads):g}.",
        "Medians; CPU seconds of whole processes, importing and reading included (a new day: that step only).",
        "",
        "| Task | Table | With | Runs | CPU s (least to most) | Times Keepwell | Peak MB | Flagged |",
        "| --- | --- | --- | --: | --: | --: | --: | --- |",
    ]
    for (task, size, peer), found in sorted(groups.items(), key=lambda pair: (pair[0][:2], cpu[pair[0]])):
        seconds = [run["cpu"] for run in found]
        ours = cpu.get((task, size, "keepwell"))
        times = f"{cpu[task, size, peer] / ours:.2g}" if ours else "–"
        name = " ".join(filter(None, (peer, found[0].get("version", ""))))
        what = {"drift": "compare two tables", "day": "one new day"}[task]
        rss = statistics.median(run["rss"] for run in found)
        lines.append(
            f"| {what} | {size} | {name} | {len(found)} | {cpu[task, size, peer]:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) "
            f"| {times} | {rss:,.0f} | {found[0].get('flagged', '')} |"
        )
    lines += ["", "| Target | Wanted | Seen | Met |", "| --- | --: | --: | --- |"]
    for task, size, most, whom in TARGETS:
        if (task, size, whom) in cpu and (task, size, "keepwell") in cpu:
            seen = cpu[task, size, "keepwell"] / cpu[task, size, whom]
            wanted = f"1/{1 / most:.0f}" if most < 1 else f"{most:g}"
            shown = f"1/{1 / seen:.1f}" if seen < 0.5 else f"{seen:.2f}"
            lines.append(f"| {task} {size}, CPU against {whom} | {wanted} | {shown} | {'yes' if seen <= most else '**no**'} |")
    size, most_mb = MEMORY_MB
    if ("drift", size, "keepwell") in groups:
        rss = statistics.median(run["rss"] for run in groups["drift", size, "keepwell"])
        lines.append(f"| peak memory at {size}, MB | {most_mb} | {rss:.0f} | {'yes' if rss <= most_mb else '**no**'} |")
    return lines


if __name__ == "__main__":
    main()
