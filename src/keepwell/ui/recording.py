"""Pages of what happened: the timeline of a model, the whole record, runs, written check-ups."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from keepwell.changes import KINDS, LONGEST
from keepwell.charts import performance_caption
from keepwell.errors import InputInvalid
from keepwell.reporting import FORMATS, list_reports, period_of, render, rows_of
from keepwell.ui.desk import Desk, whole
from keepwell.ui.ranges import Range, moment_of
from keepwell.ui.rendering import HEADERS, show

LINES = 100  # a page of the timeline
RUNS = 50
CHANGES = 500
NEWEST = timedelta(days=90)  # of changes, where nobody chose a range
MEDIA = {"md": "text/markdown; charset=utf-8", "json": "application/json", "pdf": "application/pdf", "html": "text/html; charset=utf-8"}


def changes(desk: Desk, request: Request) -> Response:
    """What changed: data, contract, code, packages, settings, model and traffic, in a span or around an onset."""
    desk.known(request)
    mark, asked = desk.mark(), request.query_params.get("around", "")
    span = desk.range(request, mark, NEWEST)
    around = asked if asked in ("", "onset") else moment_of("around", asked)
    since, until = _bounds(span)
    if around:
        found = desk.once(mark, "changes", asked, make=lambda: desk.project.changes(around=around))
        span = Range(found.since, found.until, span.newest, is_given=True)
        line = f"keepwell changes --around {asked if asked == 'onset' else shlex.quote(asked)}"
    else:
        found = desk.once(mark, "changes", since.isoformat(), f"{until:%Y-%m-%dT%H:%M}", make=lambda: desk.project.changes(since, until))
        line = f"keepwell changes --from {since:%Y-%m-%d} --to {until:%Y-%m-%d}"
    kinds = [kind[:60] for kind in request.query_params.getlist("kind") if kind]
    words = request.query_params.get("words", "")[:200]
    rows = [one for one in found.rows if (not kinds or one.kind in kinds) and words.lower() in f"{one.kind} {one.sentence}".lower()]
    return show(
        desk,
        request,
        "changes",
        mark=mark,
        span=span,
        tab="Changes",
        found=found,
        rows=rows[:CHANGES],
        total=len(rows),
        line=line,
        kinds=kinds,
        known=KINDS,
        words=words,
        around=asked,
        has_onset=bool(desk.why(mark).declines),
        longest=LONGEST.days // 365,
    )


def _bounds(span: Range) -> tuple[datetime, datetime]:
    """The span that is looked at: up to now where nobody chose an end, and at most ten years."""
    now = datetime.now(UTC)
    until = span.ends or (now if span.begins is not None and now - span.begins <= LONGEST else max(span.newest, span.since))
    return max(span.begins or until - LONGEST, until - LONGEST), until


def history(desk: Desk, request: Request) -> Response:
    """What happened: one timeline, the newest first."""
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
    return Response(render(report, form), media_type=MEDIA[form], headers=headers)


def _plain(text: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in text)
