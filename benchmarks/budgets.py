"""Write docs/performance.md: each budget, what was measured on both databases, and the command that measures it.

python benchmarks/budgets.py
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
LINE = re.compile(r"^(?P<what>.+?)\s{2,}(?P<value>[\d.]+) ms\s+\((?:budget (?P<budget>[\d.]+))")


def measured(database: str) -> dict[str, tuple[float, float]]:
    """What -> (milliseconds, budget), of benchmarks/cycle.py with the record in that database."""
    command = [sys.executable, str(HERE / "cycle.py"), "--database", database]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sys.stdout.write(said)
    found = [LINE.match(line) for line in said.splitlines()]
    return {one["what"]: (float(one["value"]), float(one["budget"])) for one in found if one}


def main() -> None:
    """Measure, and write the page."""
    columns = {name: measured(name) for name in ("sqlite", "postgresql")}
    machine = f"{os.cpu_count()} processors, Python {platform.python_version()}"
    lines = [
        "# Performance",
        "",
        f"Written by `python benchmarks/budgets.py` on {datetime.now(UTC):%Y-%m-%d}. {machine}. Medians of one run.",
        "",
        "| What | Budget, ms | SQLite, ms | PostgreSQL, ms | Within |",
        "| --- | --: | --: | --: | --- |",
    ]
    for what, (value, budget) in columns["sqlite"].items():
        other = columns["postgresql"][what][0]
        verdict = "yes" if max(value, other) <= budget else "**no**"
        lines.append(f"| {what} | {budget:g} | {value:g} | {other:g} | {verdict} |")
    lines += ["", "By `python benchmarks/cycle.py --database sqlite` and `--database postgresql` (a server on the same machine).", ""]
    PAGE.write_text("\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
