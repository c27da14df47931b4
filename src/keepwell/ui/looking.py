"""Pages that answer: is it well, since when not, why, and what comes next?"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keepwell.changes import BEFORE
from keepwell.deployment import way_back
from keepwell.incidents import words_of
from keepwell.orchestration import CycleRecord
from keepwell.registry import CHALLENGER, CHAMPION
from keepwell.retraining import list_decisions
from keepwell.rounds import WORST, neighbours
from keepwell.ui.desk import Desk, whole
from keepwell.ui.pictures import charts_of, performance
from keepwell.ui.rendering import show
from keepwell.why import Told

TWO_YEARS = timedelta(days=730)
LINES = 12  # of the timeline on the model's page
DECISIONS = 20
MODELS = 100  # a page of the rounds
OTHERS_S = 10  # what is known of other models may be so old


def rounds(desk: Desk, request: Request) -> Response:
    """All models in the record, the worst first, each with what one would ask of it."""
    mark = desk.mark()
    newest = desk.once(mark, "cycles", 1, make=lambda: desk.project.cycles(1))
    return show_rounds(desk, request, mark, [row_of(desk, mark), *others(desk)], newest)


def others(desk: Desk) -> list[dict[str, Any]]:
    """A row for each other model of the record. Their news changes no mark of this one: they are asked for anew every few seconds."""
    with desk.asking:
        if desk.others is None or time.monotonic() - desk.others[0] > OTHERS_S:
            desk.others = time.monotonic(), neighbours(desk.project.context, datetime.now(UTC))
        found = desk.others[1]
    return [{"status": one, "cause": None} for one in found]


def show_rounds(desk: Desk, request: Request, mark: str, rows: list[dict[str, Any]], newest: list[CycleRecord]) -> Response:
    """One row tells all; of many the worst come first, a hundred a page."""
    skip = whole(request, "skip", 0, 10**6) if request.query_params.get("skip", "0") != "0" else 0
    ordered = sorted(rows, key=lambda row: (WORST.index(row["status"].word), row["status"].model))
    counts = {word: n for word in WORST if (n := sum(row["status"].word == word for row in rows))}
    facts: dict[str, Any] = {"counts": counts, "skip": skip, "lines": MODELS, "newest": newest, "source": desk.source}
    return show(desk, request, "rounds", mark=mark, rows=ordered[skip : skip + MODELS], total=len(rows), **facts)


def row_of(desk: Desk, mark: str) -> dict[str, Any]:
    """A model's row in the rounds."""
    status, why = desk.status(mark), desk.why(mark)
    lasting = next((one for one in why.declines if one.ended is None), None)
    checkups = desk.once(mark, "checkups", make=desk.project.checkups)
    past = desk.once(mark, "past", make=lambda: next(iter(desk.project.incidents(("closed",), 1)), None))
    return {
        "status": status,
        "decline": lasting,
        "coming": desk.coming(mark),
        "back": desk.once(mark, "way back", make=lambda: way_back_of(desk)),
        "past": past,
        "past_words": words_of(past) if past is not None else "",
        "cause": lasting.ranked[0].sentence if lasting and lasting.ranked else None,
        "checkup": checkups[-1] if checkups else None,
    }


def way_back_of(desk: Desk) -> int | None:
    """The version that a rollback would go to; None when it would be refused."""
    with desk.project.context.database.read() as connection:
        return way_back(connection, desk.name)


def model(desk: Desk, request: Request) -> Response:
    """One model: its sentence, how it performed, why, what serves, what comes, and what happened."""
    desk.known(request)
    mark = desk.mark()
    span = desk.range(request, mark, TWO_YEARS)
    why = desk.why(mark)
    aliases = desk.aliases(mark)
    events = desk.once(mark, "newest events", *span.key, make=lambda: desk.project.history(since=span.begins, until=span.ends, limit=LINES))
    facts = performance(desk, mark, span)
    return show(
        desk,
        request,
        "model",
        mark=mark,
        span=span,
        tab="Model",
        found=desk.status(mark),
        facts=facts,
        coming=desk.coming(mark),
        why=why,
        decline=why.declines[0] if why.declines else None,
        around=BEFORE,
        champion=aliases.get(CHAMPION),
        challenger=aliases.get(CHALLENGER),
        newest=next(reversed(desk.versions(mark)), None),
        source=desk.source,
        previous=desk.once(mark, "way back", make=lambda: way_back_of(desk)),
        events=list(reversed(events)),
    )


def why(desk: Desk, request: Request) -> Response:
    """Every decline with its onset, its causes, where the rise of the loss went, and the blamed column."""
    desk.known(request)
    mark = desk.mark()
    span = desk.range(request, mark)
    found, most = desk.why(mark), whole(request, "limit", 3, 100)
    numbered = [(number, told) for number, told in enumerate(found.declines, 1) if _touches(told, span.since, span.until)]
    shown = [(number, told, charts_of(desk, told)) for number, told in numbered[:most]]
    notes = [(moment, text) for moment, text in found.notes if span.since <= moment <= span.until]
    plan = desk.once(mark, "plan", make=desk.project.plan)
    return show(
        desk,
        request,
        "why",
        mark=mark,
        span=span,
        tab="Why",
        found=found,
        shown=shown,
        more=len(numbered) - len(shown),
        notes=notes,
        plan=plan,
        budget=desk.project.settings.watch.false_alarms,
        around=BEFORE,
    )


def _touches(told: Told, since: Any, until: Any) -> bool:
    began = told.explanation.began
    return began.low <= until and (told.ended is None or told.ended >= since)


def plan(desk: Desk, request: Request) -> Response:
    """What will happen next, and why a new version has not come yet."""
    desk.known(request)
    mark = desk.mark()

    def decided() -> Any:
        with desk.project.context.database.read() as connection:
            return list_decisions(connection, desk.name, DECISIONS)

    settings = desk.project.settings
    challenger = desk.aliases(mark).get(CHALLENGER)
    waiting = next((one for one in desk.versions(mark) if one.number == challenger), None)
    return show(
        desk,
        request,
        "plan",
        mark=mark,
        tab="Plan",
        found=desk.status(mark),
        coming=desk.coming(mark),
        trials=desk.once(mark, "trials", make=desk.project.trials),
        decisions=desk.once(mark, "decisions", make=decided),
        retrain=settings.retrain,
        schedule=settings.schedule,
        build=settings.build,
        mode=settings.promotion.mode,
        challenger=waiting if waiting is not None and waiting.passed else None,
        every=settings.report.every,
        proofs=desk.once(mark, "plan", make=desk.project.plan),
        budget=settings.watch.false_alarms,
    )
