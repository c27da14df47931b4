"""Write docs/decline-benchmark.md from what the last run left in build/decline/outcome.json.

python benchmarks/decline/page.py
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from scoring import Grade, cells, share, summary

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "decline-benchmark.md"
OUTCOME = ROOT / "build" / "decline" / "outcome.json"
NAMES = {
    "keepwell": "Keepwell",
    "psi": "PSI > 0.2",
    "adwin": "ADWIN",
    "page_hinkley": "Page-Hinkley",
    "nannyml": "NannyML, AUC",
    "nannyml_drift": "NannyML, drift",
    "evidently": "Evidently, a column",
    "evidently_share": "Evidently, half of them",
}
HEAD = """# Decline benchmark

A model in production declines, or does not. Does a monitor notice, does it say since when and why, and how often does it cry wolf?
No data from outside this repository is needed to ask again (`make lint` makes `.venv`; the other tools are installed into `build/peers/`
from pinned requirements, which needs a package index once):

```sh
.venv/bin/{command} --write
```

Written {day}, {minutes:.0f} minutes on {machine}, load average {load:.1f} over the last quarter of an hour.
{versions}.

## What was run

{scenarios} scenarios. In each a small model, trained on the first years of a stream, meets 100 batches after a reference that is new to it:

| stream | rows | batch |
| --- | --- | --- |
| bundled | the weather readings that come with Keepwell, until an instrument changed: did it rain? | 30 days, about 30 rows |
| machines | generated: 12 machines, will one fail its inspection? | 7 days, about 60 rows |
| deliveries | generated: 6 depots, will a parcel be late? | 7 days, about 300 rows |

Each has seasons, columns that go together and two columns that the model ignores. One fault or none is put in at a known moment, after
28 to 60 batches, small, medium or large: unit change, scaled, bias ramp, stuck, noise, missing, new category, swapped columns, label
shift, concept shift (at once or growing), covariate shift (other entities: mix; other rows: tilt), none, and harmless: a fault on a
column that the model ignores.

The harm is measured on the same rows without the fault. *Harmful*: log loss up by 4 % and by twice its standard error, or AUC down by
0.02 and log loss up by 1 %. *Quiet*: no fault, or log loss up by less than 1 % and AUC down by less than 0.005. Between the two only
alarms before the onset count.

*Solved*: on a harmful stream an alarm and none before the onset, the onset within 3 batches, the right class (data quality, label,
concept or covariate shift) and, where there is one, the right column first; on a quiet stream no alarm at all. The diagnosis is that of
the last alarm within 4 batches of the first. A tool that names no class has a dash there, and a line further down leaves the class out.

"""
BOUND = """## How soon at best

In {count} of the harmful scenarios it is the label that changes: its share, or how it follows from a column. An oracle that is told on
which column the change sits, how the label follows from it afterwards and how it grows, and must prove only that it has happened, at
one false alarm in 1,000 batches, needs {told:.1f} batches (median; {guessed:.1f} when it must choose among twenty directions). Keepwell,
which is told nothing, needs {own:.1f} where it finds them ({found} of {count}). `python benchmarks/decline/bound.py` prints each.
On readings of two weather services, with smaller changes and labels that come up to three batches late, the same oracle needs 7.1 batches
in the median of 72 changes (8.1 among twenty directions). There Keepwell's label channels first ring after 8.6, and what rings must then
be shown to cost something. No monitor can know sooner than the oracle, so six batches in the median are out of reach there.

"""
LIMITS = """## How to read it

- Keepwell's authors wrote the scenarios, and Keepwell was made with faults of the same kinds in mind. Take the order of magnitude, not
  the digit.
- Other tools run with their defaults; what had to be chosen for them is at the top of `benchmarks/decline/peer_monitors.py`. Batches of
  30 and 60 rows in streams with seasons are hard for a rule that compares distributions: it sees winter as a change. Tuned by hand, with
  references of the same season and larger windows, they would do better.
- PSI, Evidently and NannyML's drift do not claim harm: counting each flag as an alarm is how they are used, not what they promise.
  ADWIN, Page-Hinkley and NannyML's AUC watch the outcome alone and name no column of their own (NannyML's are those that drift then).
- Recall alone says little: who always cries has all of it. Read it with the line after it and with the quiet streams.
- Evidently gets every {every}th scenario, because it is slow; the last table has all monitors on those.
- Seconds are processor seconds of one core, without building the scenario.
- Two of three streams are generated, and gentler than life: what is not put in does not happen. The bundled one drifts a little by
  itself (a draw whose clean production is over 5 % worse than its reference is drawn again, at most 12 times), so that some "false"
  alarms there may be true.
- The bundled scenarios share their rows (their first days differ by up to 520), so they are not independent.
- Shares of about {scenarios} scenarios are known to within {margin:.0f} points or so (95 %), of {few} to within {wide:.0f}.
"""


def write_page(outcome: dict[str, Any]) -> None:
    """The page, anew."""
    modes = [mode for mode in ("with", "without") if outcome[mode]]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(outcome["versions"].items()))
    size = max(len(rows) for rows in outcome[modes[0]].values())
    few = len(outcome[modes[0]].get("evidently", []))
    known = {
        "command": outcome["command"],
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "minutes": outcome["minutes"],
        "load": outcome["load"],
        "machine": f"{os.cpu_count()} processors ({platform.machine()}), {platform.system()}",
        "versions": versions,
        "scenarios": size,
    }
    text = HEAD.format(**known)
    for mode in modes:
        text += f"## {'Labels come in' if mode == 'with' else 'No label ever comes'}\n\n{table(outcome[mode])}\n"
    text += f"## Keepwell by fault\n\n{by_fault(outcome[modes[0]]['keepwell'])}\n"
    if few:
        same = {row["id"] for row in outcome[modes[0]]["evidently"]}
        part = {name: [row for row in rows if row["id"] in same] for name, rows in outcome[modes[0]].items()}
        text += f"## The scenarios that Evidently got\n\n{table(part)}\n"
    if outcome["with"] and outcome.get("bound"):
        own = [row["delay"] for row in outcome["with"]["keepwell"] if row["id"] in outcome["bound"]]
        known = [one for one in own if one is not None]
        told, guessed = (median(both[place] for both in outcome["bound"].values()) for place in (0, 1))
        text += BOUND.format(count=len(own), told=told, guessed=guessed, own=median(known), found=len(known))
    margins = {"margin": 196 * 0.5 / size**0.5, "few": few, "wide": 196 * 0.5 / max(1, few) ** 0.5}
    text += LIMITS.format(every=outcome["evidently_every"], scenarios=size, **margins)
    PAGE.write_text(text, "utf-8")
    print(f"Written: {PAGE.relative_to(ROOT)}")


def grades_of(rows: Sequence[dict[str, Any]]) -> list[Grade]:
    names = [one.name for one in fields(Grade)]
    return [Grade(**{name: row[name] for name in names}) for row in rows]


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Monitors side by side."""
    summaries = {NAMES[name]: summary(grades_of(some), [row["seconds"] for row in some]) for name, some in rows.items() if some}
    return markdown(cells(summaries))


def by_fault(rows: Sequence[dict[str, Any]]) -> str:
    """What is found and what is not, over the harmful scenarios of each fault."""
    lines = [["fault", "harmful", "detected", "onset within 3 batches", "class right", "column right", "solved"]]
    grades = [one for one in grades_of(rows) if one.expect == "alarm"]
    for fault in sorted({one.fault for one in grades}):
        some = [one for one in grades if one.fault == fault]
        asked = [one for one in some if one.is_column is not None]
        shares = (
            share(some, lambda one: one.is_detected),
            share(some, lambda one: one.onset_error is not None and one.onset_error <= 3),
            share(some, lambda one: one.is_class),
            share(asked, lambda one: bool(one.is_column)),
            share(some, lambda one: one.is_solved),
        )
        lines.append([fault.replace("_", " "), str(len(some)), *("-" if value is None else f"{value:.0%}" for value in shares)])
    return markdown(lines)


def markdown(rows: list[list[str]]) -> str:
    """A table, numbers to the right."""
    head, *rest = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "| --- " + "| --: " * (len(rows[0]) - 1) + "|", *rest, ""])


if __name__ == "__main__":
    write_page(json.loads(OUTCOME.read_text("utf-8")))
