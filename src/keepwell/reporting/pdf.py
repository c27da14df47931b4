"""A report on paper: the same facts, laid out by fpdf2. Imported only when a PDF is asked for."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import vl_convert
from fpdf import FPDF
from fpdf.fonts import FontFace

from keepwell.charts import performance_chart
from keepwell.reporting.records import Report
from keepwell.status import day

SIGNS = str.maketrans({"–": "-", "—": "-", "’": "'", "“": '"', "”": '"', "…": "...", "≥": ">=", "≤": "<=", "−": "-", "→": "->"})


def document(report: Report) -> bytes:
    """The report as PDF, A4. The built-in fonts know Latin-1; other signs of names are written as a question mark."""
    page = FPDF(format="A4")
    page.set_creation_date(report.made_at)
    page.set_title(f"Check-up of {report.model}, {report.period}")
    page.set_auto_page_break(True, margin=18)
    page.add_page()
    _say(page, f"Check-up of {report.model}, {report.period}", size=16, style="B")
    _say(page, f"{day(report.since)} to {day(report.until)}, made {day(report.made_at)}. Owner: {report.owner or 'nobody'}.", size=9)
    _say(page, report.headline, size=12, style="B")
    _say(page, f"{report.compared}.")
    if report.points:
        chart = performance_chart(list(report.points), report.metric, report.since, report.expected, report.declines)
        picture: Any = vl_convert.vegalite_to_png(chart.to_json(), scale=2)
        page.image(BytesIO(picture), w=page.epw)
    _vitals(page, report)
    acts = [f"{day(act.at)}: {act.sentence}" + (f" - {act.effect}" if act.effect else "") for act in report.done]
    for title, lines, none in (
        ("Incidents", list(report.incidents), "None."),
        ("Declines", [one["sentence"] for one in report.declines], "None was told."),
        ("What was done", acts, "Nothing was done, and nothing had to be."),
        (f"What moved, against {report.drift_against}", list(report.drift), "No column is listed."),
        ("To decide", list(report.decide), "Nothing."),
        ("Unknown", list(report.unknown), "Nothing that is looked for."),
    ):
        _say(page, title, size=12, style="B")
        for line in lines or [none]:
            _say(page, f"- {line}" if lines else line)
    return bytes(page.output())


def _vitals(page: FPDF, report: Report) -> None:
    from keepwell.reporting.rendering import rows_of

    _say(page, "Vital signs", size=12, style="B")
    page.set_font("Helvetica", size=8)
    heads = ("Vital sign", "This period", "Before", "Expected", "")
    with page.table(col_widths=(30, 34, 34, 14, 14), headings_style=FontFace(emphasis="BOLD"), borders_layout="HORIZONTAL_LINES") as table:
        for cells in (heads, *rows_of(report.vitals)):
            row = table.row()
            for cell in cells:
                row.cell(_plain(cell))
    page.ln(2)


def _say(page: FPDF, text: str, *, size: float = 10, style: Any = "") -> None:
    page.set_font("Helvetica", style=style, size=size)
    page.multi_cell(0, size * 0.5, _plain(text), align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(1.5)


def _plain(text: str) -> str:
    return text.translate(SIGNS).encode("latin-1", "replace").decode("latin-1")
