"""`make chaos`: fifty years of daily weather, killed with -9 at random moments, on both databases. The record must be the same.

PYTHONPATH=tests python tests/chaos --seed 7 --kills 20 --database sqlite --until 1998-09-19
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import stores
from harness import Ending, disturbed, undisturbed, weather
from rich.console import Console
from rich.table import Table

from keepwell.demo import LAST


def main() -> int:
    """Exit code 0 when every record came out the same."""
    asked = argparse.ArgumentParser(description="Kill a life of fifty years at random moments, and compare its record.")
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--kills", type=int, default=20)
    asked.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    asked.add_argument("--until", type=lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC), default=LAST, metavar="DATE")
    given = asked.parse_args()
    console = Console(highlight=False)

    def say(text: str) -> None:
        console.print(f"  {text}")

    with tempfile.TemporaryDirectory(prefix="keepwell-chaos-") as place:
        console.print(f"Living undisturbed until {given.until:%Y-%m-%d} ...")
        expected, seconds = undisturbed(weather(Path(place, "undisturbed", "rain")), given.until)
        console.print(f"{len(expected['cycles'])} cycles and {len(expected['versions'])} versions in {seconds:.0f} s")
        endings: dict[str, Ending] = {}
        for name in ["sqlite", "postgresql"] if given.database == "both" else [given.database]:
            console.print(f"{name}: {given.kills} kills, seed {given.seed}")
            url = stores.fresh_postgres() if name == "postgresql" else None
            folder = weather(Path(place, name, "rain"), url)
            endings[name] = disturbed(folder, given.until, seed=given.seed, kills=given.kills, expected=expected, tell=say)
    table = Table("Database", "Seed", "Kills", "Seconds", "Record")
    for name, ending in endings.items():
        table.add_row(name, str(given.seed), str(len(ending.kills)), f"{ending.seconds:.0f}", ending.difference or "the same")
    console.print(table)
    return int(any(ending.difference for ending in endings.values()))


if __name__ == "__main__":
    sys.exit(main())
