"""Why small commits wait in the database before they go to Delta: one day's row a commit, both ways, in one run.

python benchmarks/tables.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from deltalake import DeltaTable, write_deltalake

from keepwell.storage import ArtifactStore, Database, Table

START, COMMITS, LAST = datetime(1949, 1, 1, tzinfo=UTC), 600, 100


def row(number: int) -> pl.DataFrame:
    time = pl.Series([START + timedelta(days=number)], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"station": ["KOFF"], "day": time, **{f"x{place}": [float(number)] for place in range(9)}})


def main() -> None:
    straight, waiting = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_deltalake(str(folder / "straight"), row(0))
        delta = DeltaTable(str(folder / "straight"))
        database = Database("sqlite:///record.db", folder)
        table = Table(database, ArtifactStore("artifacts", folder), str(folder / "tables"), "rain/observations", ("station", "day"), "day")
        for number in range(1, COMMITS):
            begun = time.perf_counter()
            write_deltalake(delta, row(number), mode="append")
            straight.append((time.perf_counter() - begun) * 1e3)
            begun = time.perf_counter()
            with database.begin() as connection:
                table.append(connection, f"c{number}", row(number), START)
            if number % 64 == 0:
                table.flush()
            waiting.append((time.perf_counter() - begun) * 1e3)
    for name, costs in (("straight to Delta", straight), ("waiting, then Delta", waiting)):
        first, last = statistics.mean(costs[:LAST]), statistics.mean(costs[-LAST:])
        print(f"{name:22} first {LAST}: {first:6.1f} ms a commit   last {LAST} of {COMMITS}: {last:6.1f} ms")
    print(f"ratio at the end       {statistics.mean(straight[-LAST:]) / statistics.mean(waiting[-LAST:]):.0f}")


if __name__ == "__main__":
    main()
