"""Pages of what goes in and comes out: the data source, and the ledger of answers with their labels."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from keepwell.errors import KeepwellError, PredictionNotFound, RouteNotFound
from keepwell.ingestion import list_gathers
from keepwell.ui.desk import Desk, whole, with_session
from keepwell.ui.rendering import show
from keepwell.validation import Contract, contract_in_force

GATHERS = 20
WAITING = 200  # quarantined rows on a page
LATEST = 25
CELL, GAP = 11, 2  # of the calendar
LEVELS = 4


@dataclass(frozen=True)
class Calendar:
    """How many rows each day of a year has: `paths` holds a shape for each level (0: none came), the rest is for words."""

    year: int
    paths: tuple[str, ...]
    months: tuple[tuple[int, str], ...]
    days: int
    missing: tuple[date, ...]
    rows: int
    most: int
    width: int
    height: int


def source(desk: Desk, request: Request) -> Response:
    """Where observations come from: what came when, what was promised, what was set aside."""
    if request.path_params["name"] != desk.source:
        raise RouteNotFound("GET", request.url.path[:200])
    mark = desk.mark()
    span = desk.range(request, mark)
    context = desk.project.context

    def look() -> dict[str, Any]:
        with context.database.read() as connection:
            gathers = list_gathers(connection, desk.name, GATHERS)
            in_force = contract_in_force(connection, desk.name)
        contract: Contract | None = context.contract(in_force.digest) if in_force else None
        return {"gathers": gathers, "contract": contract, "in_force": in_force}

    days = desk.once(mark, "arrivals", make=lambda: _arrivals(desk))
    years = sorted({day.year for day in days})
    newest = min(span.until.year, years[-1]) if years else 0
    year = whole(request, "year", max(newest, years[0]) if years else 1, 9999)
    state = request.query_params.get("state", "waiting")
    rows = desk.once(mark, "quarantine", state, make=lambda: desk.project.quarantine(None if state == "any" else state))
    inside = [row for row in rows if span.since <= row["time"] <= span.until]
    return show(
        desk,
        request,
        "source",
        mark=mark,
        span=span,
        tab="Data",
        name=desk.source,
        calendar=calendar_of(days, year) if years else None,
        years=years,
        rows=inside[:WAITING],
        total=len(inside),
        chosen=state,
        entity=context.outline.entity,
        **desk.once(mark, "source", make=look),
    )


def _arrivals(desk: Desk) -> dict[date, int]:
    context = desk.project.context
    rows = context.observations.rows()
    if rows.is_empty():
        return {}
    counts = rows.group_by(day=pl.col(context.outline.time).dt.date()).len()
    return dict(counts.rows())


def calendar_of(days: dict[date, int], year: int) -> Calendar:
    """A year of days, week by week, drawn as one shape a level.

    Examples
    --------
    >>> found = calendar_of({date(2026, 1, 1): 2, date(2026, 1, 3): 1}, 2026)
    >>> found.missing, found.days, found.rows
    ((datetime.date(2026, 1, 2),), 2, 3)
    """
    first, last = min(days), max(days)
    mine = {day: n for day, n in days.items() if day.year == year}
    most = max(mine.values(), default=0)
    paths: list[list[str]] = [[] for _ in range(LEVELS + 1)]
    missing, offset = [], date(year, 1, 1).weekday()
    for place in range(366 if calendar.isleap(year) else 365):
        day = date(year, 1, 1) + timedelta(days=place)
        if not first <= day <= last:
            continue
        n = mine.get(day, 0)
        level = 0 if not n else 1 + min(int((n - 1) / max(most, 1) * LEVELS), LEVELS - 1) if most > 1 else LEVELS
        if not n:
            missing.append(day)
        x, y = (place + offset) // 7 * (CELL + GAP), (place + offset) % 7 * (CELL + GAP)
        paths[level].append(f"M{x} {y}h{CELL}v{CELL}h-{CELL}z")
    months = tuple(
        ((((date(year, month, 1) - date(year, 1, 1)).days + offset) // 7) * (CELL + GAP), calendar.month_abbr[month])
        for month in range(1, 13)
    )
    return Calendar(
        year,
        tuple("".join(path) for path in paths),
        months,
        len(mine),
        tuple(missing),
        sum(mine.values()),
        most,
        54 * (CELL + GAP),
        7 * (CELL + GAP),
    )


def ledger(desk: Desk, request: Request) -> Response:
    """Answers and labels: search by id, the newest, how much of the truth is in, and a form to ask."""
    desk.known(request)
    if asked := request.query_params.get("id", "").strip():
        return Response(status_code=303, headers={"Location": prediction_address(desk, asked[:200])})
    return ledger_page(desk, request)


def ledger_page(desk: Desk, request: Request, *, problem: KeepwellError | None = None, given: dict[str, str] | None = None) -> Response:
    """The ledger; after a try that was refused with why, and with what was given."""
    mark = desk.mark()
    span = desk.range(request, mark)
    fields, silent = _fields(desk)
    session = desk.session(request)
    headers: dict[str, str] = {}
    if session is None and not desk.sessions.asks:
        session, headers = with_session(desk, request)
    return show(
        desk,
        request,
        "ledger",
        mark="" if problem else mark,
        span=span,
        tab="Predictions",
        status=problem.status if problem else 200,
        headers=headers,
        token=session.token if session else "",
        latest=desk.once(mark, "latest", *span.key, make=lambda: list(_latest(desk, span.begins, span.ends))),
        years=[row for row in desk.once(mark, "maturity", make=desk.project.maturity) if span.since.year <= row["year"] <= span.until.year],
        fields=fields,
        silent=silent,
        problem=problem,
        given=given or {},
        binary=desk.project.context.outline.task == "binary",
    )


def _latest(desk: Desk, since: datetime | None, until: datetime | None) -> Iterator[dict[str, Any]]:
    from keepwell.serving import joined

    context = desk.project.context
    rows = context.predictions.rows(since=since, until=until)
    newest = rows.sort("time", "made_at", descending=True).head(LATEST) if rows.height else rows
    if newest.is_empty():
        return
    found = joined(newest, context.labels.rows(since=newest["time"].min(), until=newest["time"].max()))  # type: ignore[arg-type]
    yield from found.sort("time", "made_at", descending=True).drop("inputs").to_dicts()


def _fields(desk: Desk) -> tuple[list[tuple[str, str]], str]:
    """(name, kind) of what the champion wants to know, or why it cannot be asked."""
    number = desk.project.context.champion()
    if number is None:
        return [], "No version serves yet, so nothing can be asked."
    try:
        return list(desk.project.context.predictor(number).signature.items()), ""
    except KeepwellError as error:
        return [], error.message


def prediction_address(desk: Desk, prediction_id: str) -> str:
    """Where one prediction is followed."""
    return f"/models/{quote(desk.name, safe='')}/predictions/{quote(prediction_id, safe='')}"


def prediction(desk: Desk, request: Request) -> Response:
    """One answer, followed: who asked, with what, who answered, and what came true."""
    desk.known(request)
    asked = request.path_params["prediction_id"]
    try:
        found = desk.project.explain(asked)
    except PredictionNotFound:
        if not desk.ship():  # it may still have been in the journal
            raise
        found = desk.project.explain(asked)
    return show(desk, request, "prediction", mark=desk.mark(), tab="Predictions", found=found, steps={one.name: one for one in found.steps})
