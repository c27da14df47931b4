"""The whole record of a project as plain values, without what a clock said: two lives that did the same have equal ones."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from projects import BUILT_AT

from keepwell import Project
from keepwell.keeping import tables
from keepwell.training import content_digest

# Clocks, and files that are written otherwise each time though they say the same (a version's canonical digest stays).
CLOCKS = {
    "created",
    "planned",
    "changed",
    "next_try",
    "holder",
    "held_until",
    "recorded_at",
    "begun",
    "ended",
    "at",
    "seconds",
    "latency_ms",
    "known_at",
}
BYTES = {"model_file", "size_bytes", "card", "payload", "artifact", "flushed", "sum", "digest", "hash"}
Record = dict[str, Any]


def record_of(folder: Path) -> Record:
    """Every SQL row and the content of every versioned table."""
    with Project(folder) as project:
        context = project.context
        with context.database.read() as connection:
            record: Record = {name: [_thin(name, row) for row in tables.rows(connection, name, project.name)] for name in tables.names()}
        for table in context.tables:
            rows = table.rows()
            record[f"rows of {table.name}"] = {"count": rows.height, "content": content_digest(rows.drop("_known", strict=False))}
    return record


def answer(number: int, size: int = 2) -> bytes:
    """What a server writes into the journal for one answer."""
    moment = (BUILT_AT + timedelta(seconds=number)).isoformat()
    row = {"prediction_id": f"asked-{number}", "entity": "", "time": moment, "version": 1, "answer": 0.5, "made_at": moment}
    return json.dumps({**row, "origin": "api", "inputs": "x" * size}).encode()


def decided(folder: Path) -> dict[str, Any]:
    """What a project has decided and kept, however often it had to be asked."""
    with Project(folder) as project:
        return {
            "cycles": [(cycle.as_of, cycle.status) for cycle in project.cycles()],
            "versions": [(version.passed, version.training_set, version.facts["canonical"]) for version in project.versions()],
            "champion": project.aliases()["champion"],
            "rows": {table.name: table.rows().drop("_commit", "_known", strict=False).to_dicts() for table in project.context.tables},
        }


def first_difference(before: Record, after: Record) -> str | None:
    """Where two records part, in words; None when they are the same."""
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, list) and isinstance(new, list):
            for place, (one, other) in enumerate(zip(old, new, strict=False)):
                if one != other:
                    fields = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
                    key = fields[0]
                    return f"{name}, row {place}: {', '.join(sorted(fields))}: {one.get(key)!r:.300} / {other.get(key)!r:.300}"
            return f"{name}: {len(old)} rows / {len(new)} rows"
        return f"{name}: {old} / {new}"
    return None


def _thin(name: str, row: dict[str, Any]) -> dict[str, Any]:
    thin: dict[str, Any] = _without(row)
    if name == "steps" and row["name"] == "gate":
        del thin["identity"]  # it looks at the measured latency
    return thin


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(part) for key, part in value.items() if key not in CLOCKS | BYTES}
    return [_without(part) for part in value] if isinstance(value, list) else value
