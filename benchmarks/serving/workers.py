"""What `[serve] workers` costs and brings: one process that does all, against processes that answer beside the one that keeps the model.

    python benchmarks/serving/workers.py              # about two minutes; needs wrk
    python benchmarks/serving/workers.py --seconds 8 --workers 0 --workers 2

The same LightGBM project as `run.py`. Each is driven at 1, 16 and 64 connections, and at 16 once more while the process that keeps the
model builds versions, as it does in a cycle. CPU and memory are those of all processes of the server together.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from load import drive, free_port, read_rows, started
from served_models import build

HERE = Path(__file__).parent
CONCURRENCY = (1, 16, 64)
SERVER = """
import sys, threading, time
from datetime import timedelta
from pathlib import Path
from keepwell import Project
from keepwell.api import serve_forever

def main():
    folder, port, workers, builds_when = sys.argv[1:5]
    project = Project(folder, {"serve": {"port": int(port), "workers": int(workers)}, "promotion": {"mode": "shadow"}})

    def build():
        with Project(folder) as mine:
            moment = max(cycle.as_of for cycle in mine.cycles())
            while True:
                time.sleep(0.05)
                if Path(builds_when).exists():
                    moment += timedelta(hours=1)
                    print(mine.run(moment, build=True).sentence, flush=True)

    threading.Thread(target=build, daemon=True).start()
    serve_forever(project, serve=True, work=False)

if __name__ == "__main__":
    main()
"""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=4)
    asked.add_argument("--workers", type=int, action="append")
    asked.add_argument("--work", type=Path, default=HERE.parents[1] / "build" / "serving-work")
    given = asked.parse_args()
    folder = build("lightgbm", given.work / "lightgbm")
    bodies = [json.dumps({"rows": [row]}).encode() for row in read_rows(folder)]
    script, flag = folder / "server.py", folder / "builds"
    script.write_text(SERVER)
    flag.unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parents[1] / "src")}
    print("| workers | connections | requests a second | p50 / p99 ms | CPU ms a request | failed |\n| --: | --: | --: | --: | --: | --: |")
    for workers in given.workers or (0, 1, 2):
        port = free_port()
        command = [sys.executable, str(script), str(folder), str(port), str(workers), str(flag)]
        with started(command, port, "/models/lightgbm/predict", bodies[0], folder=folder, environment=environment) as server:
            drive(server, bodies, 16, 1)
            for connections in (*CONCURRENCY, 16):
                is_building = connections == 16 and flag.exists()
                load = drive(server, bodies, connections, given.seconds)
                note = " beside builds" if is_building else ""
                figures = f"{load.per_s:,.0f} | {load.p50_ms:.1f} / {load.p99_ms:.0f} | {load.cpu_ms:.3f} | {load.failed}"
                print(f"| {workers} | {connections}{note} | {figures} |", flush=True)
                if connections == 64:
                    flag.touch()
            flag.unlink()
            print(f"  workers = {workers}: {server.memory_mib():.0f} MiB, {server.start_s:.1f} s to start", flush=True)


if __name__ == "__main__":
    main()
