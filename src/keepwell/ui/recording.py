"""Pages of what happened: the timeline of a model, the whole record, runs, written check-ups."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from keepwell.charts import performance_caption
from keepwell.errors import InputInvalid
from keepwell.reporting import FORMATS, list_reports, period_of, render, rows_of
from keepwell.ui.desk import Desk, whole
from keepwell.ui.rendering import HEADERS, show

LINES = 100  # a page of the timeline
RUNS = 50
KINDS = {"md": "text/markdown; charset=utf-8", "json": "application/json", "pdf": "application/pdf", "html": "text/html; charset=utf-8"}


def history(desk: Desk, request: Request) -> Response:
    """What changed: one timeline, the newest first."""
    desk.known(request)
    return _timeline(desk, request, "history", "Changes")


def record(desk: Desk, request: Request) -> Response:
    """Every line on record, with its facts."""
    return _timeline(desk, request, "record", "")


def _timeline(desk: Desk, request: Request, template: str, tab: str) -> Response:
    mark = desk.mark()
    span = desk.range(request, mark)
    kinds = [kind[:60] for kind in request.query_params.getlist("kind") if kind]
    words = request.query_params.get("words", "")[:200]
    skip = whole(request, "skip", 0, 10**8) if request.query_params.get("skip", "0") != "0" else 0
    events = desk.once(mark, "events", *span.key, make=lambda: desk.project.history(since=span.begins, until=span.ends))
    found = [
        event
        for event in reversed(events)
        if (not kinds or event.kind in kinds) and words.lower() in f"{event.kind} {event.sentence}".lower()
    ]
    known = desk.once(mark, "kinds", make=lambda: sorted({event.kind for event in desk.project.history()}))
    fields = {**span.fields, **({"words": words} if words else {})}
    carried = urlencode([*fields.items(), *(("kind", kind) for kind in kinds)])
    return show(
        desk,
        request,
        template,
        mark=mark,
        span=span,
        tab=tab,
        events=found[skip : skip + LINES],
        total=len(found),
        skip=skip,
        lines=LINES,
        carried=carried,
        kinds=kinds,
        known=known,
        words=words,
    )


def runs(desk: Desk, request: Request) -> Response:
    """Builds, the newest first."""
    mark = desk.mark()
    span = desk.range(request, mark)
    listed = desk.once(mark, "runs", make=lambda: desk.project.runs(None))
    found = [run for run in listed if span.since <= run.as_of <= span.until]
    return show(desk, request, "runs", mark=mark, span=span, tab="Runs", runs=found[:RUNS], total=len(found))


def run(desk: Desk, request: Request) -> Response:
    """One build: each step, what it was made of, and why it ran or was reused."""
    mark, name = desk.mark(), request.path_params["run"]
    found, steps = desk.project.run_steps(name)
    version = next((one for one in desk.versions(mark) if one.run == name), None)
    return show(desk, request, "run", mark=mark, tab="Runs", run=found, steps=steps, version=version, proofs=desk.project.proofs(name))


def checkups(desk: Desk, request: Request) -> Response:
    """The written check-ups that were kept."""
    desk.known(request)
    if asked := request.query_params.get("period", "").strip():
        period_of(asked, desk.newest(desk.mark()))  # refused in its own words before anything is made
        return Response(status_code=303, headers={"Location": _address(desk, asked)})
    mark = desk.mark()
    kept = desk.once(mark, "checkups", make=lambda: list_reports(desk.project.context))
    return show(desk, request, "checkups", mark=mark, tab="Check-ups", kept=list(reversed(kept)), every=desk.project.settings.report.every)


def _address(desk: Desk, period: str) -> str:
    from urllib.parse import quote

    return f"/checkups/{quote(desk.name, safe='')}/{quote(period, safe='')}"


def checkup(desk: Desk, request: Request) -> Response:
    """One written check-up; `?format=` gives it as a file."""
    desk.known(request)
    mark, period = desk.mark(), request.path_params["period"]
    report = desk.once(mark, "report", period, make=lambda: desk.project.checkup(period))
    form = request.query_params.get("format")
    if form is None:
        kept = any(event.facts.get("period") == report.period for event in desk.once(mark, "checkups", make=desk.project.checkups))
        words = performance_caption(report.metric, has_period=True, has_declines=bool(report.declines))
        return show(
            desk,
            request,
            "checkup",
            words=words,
            asked=period,
            mark=mark,
            tab="Check-ups",
            report=report,
            rows=rows_of(report.vitals),
            kept=kept,
        )
    if form not in FORMATS:
        raise InputInvalid(f"'{form[:20]}' is no form of a check-up", f"There are {', '.join(FORMATS)}.")
    headers: dict[str, Any] = {**HEADERS, "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    if form in ("pdf", "md"):
        headers["Content-Disposition"] = f'attachment; filename="checkup-{_plain(report.period)}.{form}"'
    return Response(render(report, form), media_type=KINDS[form], headers=headers)


def _plain(text: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in text)
