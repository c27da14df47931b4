"""Keepwell, with its durable log, beside other servers: the same models, the same rows, one run. Writes docs/serving-benchmark.md.

    python benchmarks/serving/run.py --install        # once: a virtual environment for each peer, under build/serving
    python benchmarks/serving/run.py                  # all of it, about ten minutes
    python benchmarks/serving/run.py --only Keepwell --only FastAPI --repeats 1 --no-page

wrk drives (`apt-get install wrk`), on the same machine. One worker each, no access log, single-threaded BLAS and OpenMP. CPU a request is
what the server's processes used, so it is the steadier figure where others work on the machine at the same time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from load import Load, drive, free_port, post, read_rows, started
from page import write_page
from peers import HERE, PEERS, Peer, value_in
from served_models import KINDS, build

CONCURRENCY = (1, 16, 64)
ROOT = HERE.parents[1]


def main() -> None:
    arguments = _arguments()
    if arguments.install:
        install(arguments.environments)
        return
    results: dict[str, Any] = {"machine": machine(), "seconds": arguments.seconds, "repeats": arguments.repeats, "servers": []}
    for kind in arguments.kind or KINDS:
        folder = build(kind, arguments.work / kind)
        for peer in PEERS:
            if kind not in peer.kinds or (arguments.only and not any(peer.name.startswith(name) for name in arguments.only)):
                continue
            python = sys.executable if peer.environment is None else str(arguments.environments / peer.environment / "bin" / "python")
            if not Path(python).exists():
                print(f"{peer.name}: not installed", flush=True)
                continue
            try:
                found = measure(peer, kind, folder, python, arguments.seconds, arguments.repeats)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                print(f"{peer.name}, {kind}: {str(error)[-800:]}", flush=True)
                continue
            results["servers"].append(found)
            cpu = {one["concurrency"]: round(one["cpu_ms"], 3) for one in found["loads"]}
            print(f"{kind:9} {peer.name:30} CPU ms {cpu} MiB {found['memory_mib']:.0f} start {found['start_s']:.1f} s", flush=True)
            (arguments.work / "results.json").write_text(json.dumps(results, indent=1))
    if arguments.page:
        write_page(results, ROOT / "docs" / "serving-benchmark.md")


def measure(peer: Peer, kind: str, folder: Path, python: str, seconds: float, repeats: int) -> dict[str, Any]:
    """One server: medians over the repeats at each concurrency."""
    rows = read_rows(folder)
    bodies = [peer.body(kind, row) for row in rows]
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **peer.more(folder, kind, port)}
    environment["PATH"] = f"{Path(python).parent}{os.pathsep}{environment['PATH']}"
    command = peer.command(folder, kind, port, python)
    with started(command, port, peer.path(kind), bodies[0], folder=folder, environment=environment) as server:
        values = [value_in(post(server.url, body)) for body in bodies[:3]]
        loads = [_middle([drive(server, bodies, at, seconds) for _ in range(repeats)]) for at in CONCURRENCY]
        found = {"memory_mib": server.memory_mib(), "start_s": server.start_s, "loads": [vars(load) for load in loads]}
    return {"name": peer.name, "kind": kind, "note": peer.note, "values": values, **found}


def _middle(loads: list[Load]) -> Load:
    """Each figure's median over the repeats; what failed is added up."""
    figures = {name: median(getattr(load, name) for load in loads) for name in ("per_s", "p50_ms", "p99_ms", "cpu_ms", "other_cpu")}
    return Load(concurrency=loads[0].concurrency, failed=sum(load.failed for load in loads), **figures)


def install(environments: Path) -> None:
    """A virtual environment for each peer, from its requirement file."""
    for name in sorted({peer.environment for peer in PEERS if peer.environment}):
        target = environments / name
        if not (target / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
        requirements = HERE / f"requirements-{name}.txt"
        subprocess.run([str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, Python {platform.python_version()}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="make the peers' environments and end")
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "serving", help="where they are")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "serving-work", help="where the projects and results are kept")
    parser.add_argument("--only", action="append", help="servers whose names begin so")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-page", dest="page", action="store_false")
    found = parser.parse_args()
    found.work.mkdir(parents=True, exist_ok=True)
    return found


if __name__ == "__main__":
    main()
