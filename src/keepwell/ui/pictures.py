"""The model's charts, their numbers and their files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from keepwell.charts import (
    accounting_chart,
    blamed_column,
    column_chart,
    column_shares,
    loss_chart,
    loss_points,
    performance_caption,
    performance_chart,
    rehearsal_chart,
)
from keepwell.errors import InputInvalid, RouteNotFound
from keepwell.reporting import points
from keepwell.serving import joined, representative
from keepwell.ui.desk import Desk, whole
from keepwell.ui.drawing import picture
from keepwell.ui.ranges import Range
from keepwell.ui.rendering import show
from keepwell.why import Told
from keepwell.wording import number as said
from keepwell.wording import when

POINTS = 48
CHARTS = ("performance", "checkup", "loss", "rise", "column", "rehearsal")
TABS = {"performance": "Model", "checkup": "Check-ups", "rehearsal": "Policy"}
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
    column = blamed_column(told)
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
    if name == "rehearsal":
        kept = desk.rehearsed(mark)
        return rehearsal_chart(kept[1]) if kept is not None and any(one.rolling for one in kept[1].outcomes) else None
    told = told_by(desk, mark, number)
    context = desk.project.context
    charts = {
        "loss": lambda: loss_chart(context, told),
        "rise": lambda: accounting_chart(told),
        "column": lambda: column_chart(context, told),
    }
    return desk.once(mark, "chart", name, number, make=charts[name])


@dataclass(frozen=True)
class Numbers:
    """What a chart shows, as a table; words in the first column, figures in the others."""

    words: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def numbers_of(desk: Desk, mark: str, name: str, number: int, span: Range, period: str = "30d") -> Numbers:
    """The table behind a chart."""
    if name in ("performance", "checkup"):
        facts = performance(desk, mark, span) if name == "performance" else None
        report = desk.once(mark, "report", period, make=lambda: desk.project.checkup(period)) if facts is None else None
        found, metric = (facts["points"], facts["metric"]) if facts else (report.points, report.metric) if report else ([], "")
        return Numbers(f"{metric} over time", ("Around", metric, "from", "to (95 %)", "Labels"), [_point(one) for one in found])
    if name == "rehearsal":
        return _rehearsed(desk, mark)
    told = told_by(desk, mark, number)
    words = dict(charts_of(desk, told)).get(name)
    if words is None:
        raise RouteNotFound("GET", f"/models/{desk.name[:60]}/charts/{name}")
    context = desk.project.context
    if name == "rise":
        parts = [(one.name, f"{one.amount:+.4f}") for one in told.explanation.parts]
        return Numbers(words, ("Part", "Amount"), [*parts, ("rise of the loss", f"{told.explanation.rise:+.4f}")])
    if name == "loss":
        head = ("Around", context.metric, "from", "to (95 %)", "Labels")
        found, changed = desk.once(mark, "loss points", number, make=lambda: loss_points(context, told))
        moved = f"; the version changed on {', '.join(when(one) for one in changed)}" if changed else ""
        began = told.explanation.began
        return Numbers(f"{words}: {when(began.low)} to {when(began.high)}{moved}", head, [_point(one) for one in found])
    shares = desk.once(mark, "column shares", number, make=lambda: column_shares(context, told))
    sides: dict[str, dict[str, float]] = {}
    for one in shares:
        about = f"{said(one['low'])} to {said(one['high'])}" if "low" in one else str(one["value"])
        sides.setdefault(about, {})[one["when"]] = one["share"]
    rows = [(about, *(f"{side.get(one, 0.0):.1%}" for one in ("before", "after"))) for about, side in sides.items()]
    return Numbers(f"{words}, as shares of rows", (blamed_column(told) or "", "before", "after"), rows)


def _point(point: dict[str, Any]) -> tuple[str, ...]:
    return (when(point["time"]), *(said(point[name]) for name in ("loss", "low", "high")), f"{point['rows']:,}")


def _rehearsed(desk: Desk, mark: str) -> Numbers:
    kept = desk.rehearsed(mark)
    if kept is None:
        raise RouteNotFound("GET", f"/models/{desk.name[:60]}/charts/rehearsal")
    found = kept[1]
    days: dict[str, dict[str, float]] = {}
    for one in found.outcomes:
        for day, loss in one.rolling:
            days.setdefault(day, {})[one.policy] = loss
    names = tuple(one.policy for one in found.outcomes)
    words = f"{found.metric} over the last {found.window_days:g} days under each policy"
    return Numbers(words, ("Day", *names), [(when(day), *(said(side.get(name)) for name in names)) for day, side in sorted(days.items())])


def numbers(desk: Desk, request: Request) -> Response:
    """The table behind a chart, on a page of its own."""
    desk.known(request)
    name, number, period = request.path_params["chart"], whole(request, "decline", 1, 1000), request.query_params.get("period", "30d")
    if name not in CHARTS:
        raise RouteNotFound("GET", request.url.path[:200])
    mark = desk.mark()
    found = numbers_of(desk, mark, name, number, desk.range(request, mark), period)
    return show(desk, request, "numbers", mark=mark, tab=TABS.get(name, "Why"), found=found)


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
