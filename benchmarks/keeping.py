"""What keeping costs: `python benchmarks/keeping.py [rows]` on a record with that many observations (default a million).

Prints seconds and megabytes of a first and a second backup, its check, a verified restore, an export, both doctors and a
clean-up, beside what copying the same bytes takes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from projects import BUILT_AT, tiny_project

from keepwell import Project
from keepwell.keeping import examine, flaws_of, open_archive, open_backup, restore

COMMITS = 20


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        folder = tiny_project(home / "tiny")
        with Project(folder) as project:
            project.run(BUILT_AT)
            fill(project, rows)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            print(f"{rows:,} observations, {size / 1e6:.0f} MB of files")
            timed("copy the folder", lambda: shutil.copytree(folder, home / "copy"))
            first = timed("backup", lambda: project.backup(home / "backups"))
            print(f"  wrote {first.written / 1e6:.1f} MB of {first.size / 1e6:.1f}")
            project.run(BUILT_AT + timedelta(days=1))
            second = timed("second backup", lambda: project.backup(home / "backups"))
            print(f"  wrote {second.written / 1e6:.1f} MB of {second.size / 1e6:.1f}")
            timed("export", lambda: project.export(home / "tiny.zip"))
            timed("gc", project.clean)
        copy = open_backup(str(home / "backups"))
        timed("check", lambda: flaws_of(copy))
        timed("restore, verified", lambda: restore(copy, home / "again", check=True))
        timed("import", lambda: restore(open_archive(home / "tiny.zip"), home / "elsewhere"))
        timed("doctor", lambda: examine(folder))
        timed("doctor --deep", lambda: examine(folder, deep=True))


def fill(project: Project, rows: int) -> None:
    """Observations of the far past, in some large commits, moved into Delta."""
    draw = np.random.default_rng(1)
    per = rows // COMMITS
    for place in range(COMMITS):
        start = datetime(1900, 1, 1, tzinfo=UTC) + timedelta(minutes=place * per)
        times = pl.datetime_range(start, start + timedelta(minutes=per - 1), "1m", time_unit="us", eager=True)
        frame = pl.DataFrame(
            {
                "site": ["north"] * per,
                "day": times,
                "warmth": draw.normal(10, 5, per).round(2),
                "cloud": draw.uniform(0, 1, per).round(3),
                "rain": draw.integers(0, 2, per),
            }
        )
        with project.context.database.begin() as connection:
            project.context.observations.append(connection, f"filled/{place}", frame, BUILT_AT)
        project.context.observations.flush()


def timed(what: str, act: Callable[[], Any]) -> Any:
    """Run it and print how long it took."""
    begun, cpu = time.perf_counter(), time.process_time()
    result = act()
    print(f"{what:>20}  {time.perf_counter() - begun:6.2f} s  ({time.process_time() - cpu:.2f} CPU s)", flush=True)
    return result


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
