"""The embedded record under many threads and processes: nobody is refused, nothing is lost or doubled."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks/contention.py"


@pytest.mark.sqlite("the benchmark makes its own record, on SQLite")
@pytest.mark.parametrize(("processes", "threads"), [(1, 50), (4, 5)])
def test_writers_take_turns_without_a_lock_error(processes: int, threads: int) -> None:
    command = [sys.executable, str(BENCHMARK), "--processes", str(processes), "--threads", str(threads), "--rounds", "3"]
    seen = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "errors: 0; every commit kept once: True" in seen.stdout
