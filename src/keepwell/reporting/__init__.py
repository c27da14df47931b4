"""The written check-up: how a model was over a period, compared with the one before, what was done, and what there is to decide.

The record comes in; a dated report goes out, as facts and as HTML, Markdown or PDF.
"""

from keepwell.reporting.keeping import kept_report, list_reports, report_due
from keepwell.reporting.periods import EVERY, Period, last_full, period_of
from keepwell.reporting.records import Act, Report, Value, Vital
from keepwell.reporting.rendering import FORMATS, ICONS, in_use, render, rows_of
from keepwell.reporting.report import make_report, open_questions
from keepwell.reporting.vitals import points

__all__ = [
    "EVERY",
    "FORMATS",
    "ICONS",
    "Act",
    "Period",
    "Report",
    "Value",
    "Vital",
    "in_use",
    "kept_report",
    "last_full",
    "list_reports",
    "make_report",
    "open_questions",
    "period_of",
    "points",
    "render",
    "report_due",
    "rows_of",
]
