"""Other tools in environments of their own: made from pinned requirements under build/, fed with files, read as JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PEERS = HERE.parents[1] / "build" / "peers"
ENVIRONMENT = {"psi": "river", "adwin": "river", "page_hinkley": "river", "nannyml": "nannyml", "evidently": "evidently"}
SILENT = {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}  # two of them report their use over the network otherwise
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


def python_of(monitor: str) -> Path:
    """The interpreter that has the tool; its environment is made when it is not there or when its requirements have changed."""
    name = ENVIRONMENT[monitor]
    wanted, folder = (HERE / f"requirements-{name}.txt").read_text("utf-8"), PEERS / name
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        print(f"Making build/peers/{name} ...", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-r", str(HERE / f"requirements-{name}.txt")], check=True)
        stamp.write_text(wanted, "utf-8")
    return python


def run_peer(
    monitor: str, folders: Sequence[Path], *, labels: bool, workers: int, progress: Callable[[str], None]
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Versions, and for each scenario what the tool said; `workers` processes share the scenarios."""
    command = [str(python_of(monitor)), str(HERE / "peer_monitors.py"), "--monitor", monitor, "--labels", "with" if labels else "without"]
    versions: dict[str, str] = {}
    results: list[dict[str, Any]] = []

    def run(part: Sequence[Path]) -> None:
        environment = {**os.environ, **SILENT, **ONE_CORE}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("".join(f"{folder}\n" for folder in part))
            process.stdin.close()
            for line in process.stdout:
                if not line.startswith("{"):
                    continue  # a tool's own chatter
                said = json.loads(line)
                if "versions" in said:
                    versions.update(said["versions"])
                else:
                    results.append(said)
                    progress(monitor)
        if process.returncode:
            raise SystemExit(f"{monitor} ended with {process.returncode}; what it printed stands above.")

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, [folders[k::workers] for k in range(workers) if folders[k::workers]]))
    return versions, results
