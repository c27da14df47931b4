"""The model's charts, their numbers and their files."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keepwell.charts import accounting_chart, column_chart, loss_chart, performance_caption, performance_chart
from keepwell.errors import InputInvalid, RouteNotFound
from keepwell.reporting import points
from keepwell.serving import joined, representative
from keepwell.ui.desk import Desk, whole
from keepwell.ui.drawing import picture
from keepwell.ui.ranges import Range
from keepwell.why import Told

POINTS = 48
CHARTS = ("performance", "checkup", "loss", "rise", "column")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=31536000, immutable",  # its address names the state of the record
}


def performance(desk: Desk, mark: str, span: Range) -> dict[str, Any]:
    """Loss over a range: `points`, the versions that answered (`served`), and the onsets of declines told in it."""
    return desk.once(mark, "performance", *span.key, make=lambda: _performance(desk, mark, span))


def _performance(desk: Desk, mark: str, span: Range) -> dict[str, Any]:
    context = desk.project.context
    with context.database.read() as connection:
        rows = context.predictions.rows(since=span.begins, until=span.ends, connection=connection)
        scored = joined(representative(rows), context.labels.rows(since=span.begins, until=span.ends, connection=connection))
    found = points(context.metric, scored.sort("time"), POINTS) if scored.height else []
    began = [_began(one) for one in desk.why(mark).declines]
    declines = [one for one in began if found and found[0]["time"] <= one["low"] <= found[-1]["time"]]
    return {
        "metric": context.metric,
        "points": found,
        "served": _served(desk, found) if found else [],
        "declines": declines,
        "caption": performance_caption(context.metric, has_versions=True, has_declines=bool(declines)),
        "rows": scored.height,
        "labelled": scored["label"].count() if scored.height else 0,
    }


def _served(desk: Desk, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first, last = (datetime.fromisoformat(found[place]["time"]) for place in (0, -1))
    changes = desk.project.serving()[1]
    expected = desk.project.context.expected({change.number for change in changes if change.number is not None})
    served = []
    for place, change in enumerate(changes):
        since, until = max(change.since, first), min(changes[place + 1].since if place + 1 < len(changes) else last, last)
        if change.number is not None and since < until:
            spans = {"since": since.isoformat(), "until": until.isoformat()}
            served.append({"version": change.number, **spans, "expected": expected.get(change.number)})
    return served


def _began(told: Told) -> dict[str, Any]:
    began = told.explanation.began
    return {"low": began.low.isoformat(), "high": began.high.isoformat()}


def told_by(desk: Desk, mark: str, number: int) -> Told:
    """The `number`-th decline, the newest being 1.

    Raises
    ------
    InputInvalid
    """
    declines = desk.why(mark).declines
    if not 1 <= number <= len(declines):
        raise InputInvalid(f"There is no decline {number}", f"{len(declines)} are told.")
    return declines[number - 1]


def charts_of(desk: Desk, told: Told) -> list[tuple[str, str]]:
    """(name, words) of a decline's charts. They are drawn when they are asked for: the page does not wait."""
    began, found = told.explanation.began, []
    if told.explanation.has_labels:
        words = f"{desk.project.context.metric}: shaded where the decline began ({began.level:.0%}), dashed where the version changed"
        found.append(("loss", words))
    if told.explanation.rise is not None:
        found.append(("rise", "Where the rise of the loss comes from"))
    column = next((one.cause.column for one in told.ranked if one.cause is not None and one.cause.column), None)
    if column is not None and column in desk.project.context.version(told.version).facts.get("signature", {}):
        found.append(("column", f"{column} before and after {began.at:%-d %B %Y}"))
    return found


def chart_of(desk: Desk, mark: str, name: str, number: int, span: Range, period: str = "30d") -> Any:
    """One of the charts; None when there is nothing to draw."""
    if name == "performance":
        facts = performance(desk, mark, span)
        if not facts["points"]:
            return None
        return performance_chart(facts["points"], facts["metric"], None, None, facts["declines"], facts["served"])
    if name == "checkup":
        report = desk.once(mark, "report", period, make=lambda: desk.project.checkup(period))
        if not report.points:
            return None
        return performance_chart(report.points, report.metric, report.since, report.expected, report.declines)
    told = told_by(desk, mark, number)
    context = desk.project.context
    charts = {
        "loss": lambda: loss_chart(context, told),
        "rise": lambda: accounting_chart(told),
        "column": lambda: column_chart(context, told),
    }
    return desk.once(mark, "chart", name, number, make=charts[name])


def chart_file(desk: Desk, request: Request) -> Response:
    """A chart as SVG, for `<img>`: drawing takes its time, and the page need not wait for it."""
    desk.known(request)
    if request.path_params["chart"] not in CHARTS:
        raise RouteNotFound("GET", request.url.path[:200])
    mark, name, number = desk.mark(), request.path_params["chart"], whole(request, "decline", 1, 1000)
    period = request.query_params.get("period", "30d")
    span, small = desk.range(request, mark), "small" in request.query_params

    def draw() -> bytes | None:
        chart = chart_of(desk, mark, name, number, span, period)
        return None if chart is None else picture(chart, small=small)

    drawn = desk.once(mark, "picture", name, number, period, *span.key, small, make=draw)
    if drawn is None:
        raise RouteNotFound("GET", request.url.path)
    headers = HEADERS if request.query_params.get("mark") == mark else {**HEADERS, "Cache-Control": "private, no-cache"}
    return Response(drawn, media_type="image/svg+xml", headers=headers)
