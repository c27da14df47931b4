"""A report as HTML that needs nothing from outside, Markdown, JSON or PDF."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from keepwell.charts import performance_chart, rise_chart, svg
from keepwell.errors import ExtraMissing, InputInvalid
from keepwell.profiling import markdown_table
from keepwell.reporting.records import Report, Value, Vital
from keepwell.reporting.report import json_of
from keepwell.status import day

ICONS = {"well": "●", "watch": "◐", "unwell": "▲", "unknown": "?", "paused": "Ⅱ"}


def render(report: Report, form: str) -> bytes:
    """The report in one of `FORMATS`.

    Raises
    ------
    InputInvalid : there is no such form.
    ExtraMissing : PDF needs the extra 'pdf'.
    """
    if form not in FORMATS:
        raise InputInvalid(f"'{form[:20]}' is no form of a check-up", f"There are {', '.join(FORMATS)}.")
    return FORMATS[form](report)


def number(value: float | None, form: str = "number") -> str:
    """A number as the report writes it.

    Examples
    --------
    >>> number(0.14159), number(0.42, "percent"), number(1204, "count"), number(1.5, "days"), number(None)
    ('0.1416', '42 %', '1,204', '1.5', '–')
    """
    if value is None:
        return "–"
    if form == "percent":
        return f"{100 * value:.3g} %" if abs(value) < 1 else f"{100 * value:.0f} %"
    if form == "count":
        return f"{value:,.0f}"
    return f"{value:.4g}"


def shown(value: Value | None, form: str) -> str:
    """A value with its interval."""
    if value is None:
        return "–"
    text = number(value.value, form)
    if value.low is None or value.high is None:
        return text
    return f"{text} ({number(value.low, form)} to {number(value.high, form)})"


def rows_of(vitals: tuple[Vital, ...]) -> list[tuple[str, str, str, str, str]]:
    """The vital signs as rows of text: name, now, before, expected, word."""
    return [(one.name, shown(one.now, one.form), shown(one.before, one.form), number(one.expected, one.form), one.word) for one in vitals]


def in_use(report: Report) -> str:
    """What a check-up adds to the model card: how the version is in use, Markdown."""
    rows = [row[:2] for row in rows_of(report.vitals[:4])]
    table = "\n".join(markdown_table(("Vital sign", "Value"), rows, texts=2))
    lines = [f"## In use, {report.period}", "", report.headline, "", f"{report.compared}.", "", table]
    lines += ["", *(f"- {line}" for line in (*report.incidents, *report.unknown))]
    return "\n".join(lines).rstrip() + "\n"


def _html(report: Report) -> bytes:
    charts = (
        [svg(performance_chart(list(report.points), report.metric, report.since, report.expected, report.declines))]
        if report.points
        else []
    )
    rises = [svg(chart) if (chart := rise_chart(one["parts"], one["rise"])) is not None else "" for one in report.declines]
    page: str = _template("checkup.html.j2").render(
        report=report, day=day, rows=rows_of(report.vitals), icon=ICONS.get(report.word, "?"), charts=charts, rises=rises
    )
    return page.encode()


def _markdown(report: Report) -> bytes:
    rows = rows_of(report.vitals)
    table = "\n".join(markdown_table(("Vital sign", "This period", "Before", "Expected", ""), rows, texts=5))
    page: str = _template("checkup.md.j2").render(report=report, day=day, table=table)
    return page.encode()


def _json(report: Report) -> bytes:
    return json_of(report)


def _pdf(report: Report) -> bytes:
    try:
        from keepwell.reporting.pdf import document
    except ImportError:
        raise ExtraMissing("pdf", "A check-up as PDF") from None
    return document(report)


FORMATS: dict[str, Callable[[Report], bytes]] = {"html": _html, "md": _markdown, "json": _json, "pdf": _pdf}


@cache
def _template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("keepwell.reporting"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": lambda text: day(datetime.fromisoformat(text)), "code": _code}
    return environment.get_template(name)


def _code(text: str) -> Any:
    """What stands between backticks, as code; all else is text, whatever signs it holds."""
    from markupsafe import Markup, escape

    parts = [f"<code>{escape(part)}</code>" if place % 2 else str(escape(part)) for place, part in enumerate(text.split("`"))]
    return Markup("".join(parts))  # noqa: S704 (each part is escaped above)
