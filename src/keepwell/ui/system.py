"""Is Keepwell itself well?"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keepwell.keeping import examine
from keepwell.ui.desk import Desk
from keepwell.ui.rendering import show
from keepwell.wording import count

CYCLES = 30


def system(desk: Desk, request: Request) -> Response:
    """What `keepwell doctor` finds, and the newest cycles. It looks once in ten minutes, or when asked again, for it opens everything."""
    mark, now = desk.mark(), datetime.now(UTC)
    tenth = f"{now:%Y-%m-%dT%H}:{now.minute // 10}"

    def look() -> dict[str, Any]:
        findings = examine(desk.project.folder)
        counts = Counter(finding.state for finding in findings)
        told = [
            count(counts[state], *names) for state, names in (("wrong", ("fault", "faults")), ("note", ("note", "notes"))) if counts[state]
        ]
        sentence = f"{' and '.join(told)}." if told else "Everything is as it should be."
        return {"findings": findings, "sentence": sentence, "healthy": not counts["wrong"], "looked": datetime.now(UTC)}

    found = look() if "again" in request.query_params else desk.once(mark, "doctor", tenth, make=look)
    return show(
        desk,
        request,
        "system",
        mark=mark,
        cycles=desk.once(mark, "cycles", CYCLES, make=lambda: desk.project.cycles(CYCLES)),
        folder=str(desk.project.folder),
        database=desk.project.context.database.shown_url,
        store=desk.project.settings.store,
        now=now,
        **found,
    )
