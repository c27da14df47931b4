"""Does the record still say what it said when it was backed up? No database notices a changed letter inside a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from keepwell.keeping import tables
from keepwell.keeping.records import Copy, Finding
from keepwell.orchestration import Context

COUNTS = {"tables", "chains"}  # how far each versioned table and each chain is: changes all the time
MAY_CHANGE = {"commits": {"payload"}, "steps": {"identity"}}  # what a flush or a clean-up changes
MOST = 20  # findings; more say no more


def against(context: Context, copy: Copy) -> Iterator[Finding]:
    """Rows of a backup that the record has no more, or has otherwise. Rows are added and never changed, so there are none.

    What had not ended by then (a cycle, a build) may have ended since, and a cycle that had failed may have been tried again.
    """
    record = tables.upgraded(copy.record(), copy.manifest.model, copy.manifest.schema)
    compared, wrong = 0, 0
    with context.database.read() as connection:
        for name, then in record.items():
            keys = tables.keys(name)
            now = {tuple(row[key] for key in keys): row for row in tables.rows(connection, name, context.name)}
            for row in then:
                if name in COUNTS or row.get("status") in ("running", "failed"):
                    continue
                compared += 1
                differ = _changed(row, now.get(tuple(row[key] for key in keys)), MAY_CHANGE.get(name, set()))
                if differ and (wrong := wrong + 1) <= MOST:
                    which = " ".join(str(row[key]) for key in keys if key != "model")
                    cure = "Restore that backup into another folder and compare; if this was not meant, go on from there."
                    message = f"{name} {which}: {differ} since the backup of {copy.manifest.made_at:%Y-%m-%d %H:%M}"
                    yield Finding("record", "wrong", message, cure)
    if not wrong:
        yield Finding("record", "ok", f"{compared:,} rows are as they were when {copy.where} was made")


def _changed(then: Mapping[str, object], now: Mapping[str, object] | None, but: set[str]) -> str:
    if now is None:
        return "it is gone"
    names = [name for name, value in then.items() if name not in but and json.dumps(now.get(name)) != json.dumps(value)]
    return f"{', '.join(names)} changed" if names else ""
