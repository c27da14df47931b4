"""Reports that were made by themselves when a period ended, as they were then."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from keepwell.notifying import Notice, enqueue
from keepwell.orchestration import Context
from keepwell.reporting.periods import Period
from keepwell.reporting.records import Report, report_of
from keepwell.reporting.report import json_of, make_report
from keepwell.storage import Event, list_events, record_event

KIND = "checkup"


def report_due(context: Context, period: Period, now: datetime) -> Report | None:
    """Make and keep the report of a period that has ended, once; None when there is none to make.

    Before the first cycle of a period there is nothing to say about it: the first report is of the first period with a cycle in it.
    """
    key = f"{KIND}/{period.name}"
    with context.database.read() as connection:
        lived = list_events(connection, context.name, until=period.until - timedelta(microseconds=1), limit=1)
        is_kept = any(event.facts["period"] == period.name for event in list_events(connection, context.name, kinds=(KIND,), limit=1))
    if not lived or is_kept:
        return None
    report = make_report(context, period, now)
    digest = context.artifacts.put(json_of(report))
    facts = {"period": period.name, "since": period.since.isoformat(), "until": period.until.isoformat(), "report": digest}
    with context.database.begin() as connection:
        sentence = f"Check-up of {period.name}: {report.headline}"
        record_event(connection, context.name, key, Event(KIND, now, sentence, facts))
        owner = (report.owner,) if report.owner else ()
        enqueue(
            connection, context.name, key, Notice("checkup.ready", f"{context.name}: {period.name}", sentence, "info", owner, now, facts)
        )
    return report


def list_reports(context: Context) -> list[Event]:
    """The kept reports, oldest first."""
    with context.database.read() as connection:
        return list_events(connection, context.name, kinds=(KIND,))


def kept_report(context: Context, name: str) -> Report | None:
    """The report of a period as it was made then, or None."""
    for event in list_reports(context):
        if event.facts["period"] == name:
            return report_of(json.loads(context.artifacts.get(event.facts["report"])))
    return None
