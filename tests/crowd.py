"""A record with many models, cheaply: what one model has on record, copied under other names and in all five words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from keepwell import Project
from keepwell.storage.schema import metadata

HOSTILE = "<script>alert(1)</script>"
VERDICTS = ("well", "watch", "unwell", "unknown")


def names(n: int) -> list[str]:
    """What the others are called; the last one's name is hostile."""
    return [*(f"model-{place:04}" for place in range(n - 1)), HOSTILE][:n] if n > 1 else [f"model-{place:04}" for place in range(n)]


def crowd(project: Project, n: int, *, cycles: int = 2, now: datetime | None = None) -> None:
    """Put `n` models beside the project's own, each with so many daily cycles and check-ups up to an hour ago.

    Every 20th is paused, every 10th has an open incident where the project's own has one, every 50th a version that waits for a person.
    """
    moment = (now or datetime.now(UTC)).replace(microsecond=0) - timedelta(hours=1)
    tables = {name: metadata.tables[name] for name in ("chains", "cycles", "checkups", "aliases", "incidents", "pauses", "trials")}
    with project.context.database.begin() as connection:
        mine = {name: _rows(connection, table, project.name) for name, table in tables.items() if name != "pauses"}
        made: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
        for place, model in enumerate(names(n)):
            made["chains"] += [{**row, "model": model} for row in mine["chains"][:1]]
            for day in range(cycles):
                at, key = moment - timedelta(days=day), f"day-{day}"
                cycle, checkup = mine["cycles"][-1], mine["checkups"][-1]
                made["cycles"].append({**cycle, "model": model, "cycle": key, "as_of": at, "begun": at, "ended": at})
                made["checkups"].append(
                    {**checkup, "model": model, "cycle": key, "as_of": at, "verdict": VERDICTS[place % 4], "place": cycles - day}
                )
            champion = next(row for row in mine["aliases"] if row["alias"] == "champion")
            made["aliases"].append({**champion, "model": model, "since": moment})
            if place % 10 == 0:
                made["incidents"] += [{**row, "model": model} for row in mine["incidents"][:1]]
            if place % 20 == 0:
                made["pauses"].append({"model": model, "since": moment, "until": None, "by": "Mira", "reason": HOSTILE})
            if place % 50 == 0:
                trial = {"key": "trial", "kind": "shadow", "version": 2, "beside": 1, "since": moment, "until": moment, "status": "waiting"}
                made["trials"].append({**trial, "model": model, "facts": {}})
        for name, rows in made.items():
            if rows:
                connection.execute(sa.insert(tables[name]), rows)


def _rows(connection: sa.Connection, table: sa.Table, model: str) -> list[dict[str, Any]]:
    found = connection.execute(sa.select(table).where(table.c.model == model)).mappings()
    return [{name: value for name, value in row.items() if name != "seq"} for row in found]
