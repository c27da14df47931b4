"""Everything that changed near a moment, as one list: data, contract, code, packages, settings, model, traffic."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa

    from keepwell.orchestration import Context
    from keepwell.training import Run

KINDS = ("data", "contract", "code", "packages", "settings", "model", "traffic")
AROUND = timedelta(days=14)  # either side of a moment that is asked about
BEFORE = timedelta(days=60)  # before an onset; what is older explains nothing, see `diagnosis.ranked`
LONGEST = timedelta(days=3660)
SHOWN = 50  # in a notebook, the newest

# Lines of the timeline -> kinds of change.
OF_EVENTS = {
    "source_failed": "data",
    "data": "data",
    "quarantined": "data",
    "quarantine_released": "data",
    "quarantine_dropped": "data",
    "contract": "contract",
    "edited": "code",
    "promoted": "model",
    "rolled_back": "model",
    "returned": "model",
    "refused": "model",
    "silent": "model",
    "restored": "data",
}
USUAL_DAYS, FEWEST, TIMES = 28, 20, 2.0  # of traffic: what is usual, how many answers apart, and by which factor


@dataclass(frozen=True)
class Changed:
    """One change: when, of which kind (see `KINDS`), in words, by whom; `days` is how long after the moment asked about."""

    at: datetime
    kind: str
    sentence: str
    by: str
    days: float | None = None


@dataclass(frozen=True)
class Changes:
    """What changed in a span of time, oldest first; `around` is the moment (or its interval) that was asked about."""

    model: str
    since: datetime
    until: datetime
    around: tuple[datetime, datetime] | None
    rows: tuple[Changed, ...]

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        span = f"from {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"
        if not self.rows:
            return f"Nothing changed {span} that is on record"
        kinds = [kind for kind in KINDS if any(row.kind == kind for row in self.rows)]
        return f"{len(self.rows)} {'change' if len(self.rows) == 1 else 'changes'} {span}: {', '.join(kinds)}"

    def _repr_html_(self) -> str:
        from keepwell.notebook import card
        from keepwell.wording import when

        rows = [(when(row.at), row.kind, row.by or "–", row.sentence) for row in self.rows[-SHOWN:]]
        return card("", f"{self.sentence}.", (), [("When", "What", "By", "Story"), *rows] if rows else ())

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the sentence."""
        rows = [{"at": row.at.isoformat(), "kind": row.kind, "sentence": row.sentence, "by": row.by, "days": row.days} for row in self.rows]
        return {
            "model": self.model,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "around": [moment.isoformat() for moment in self.around] if self.around else None,
            "sentence": self.sentence,
            "changes": rows,
        }


def changes(
    context: Context, since: datetime | None = None, until: datetime | None = None, around: datetime | str | None = None
) -> Changes:
    """What the record says was changed.

    Parameters
    ----------
    since, until : the span, both inclusive; default the newest two weeks.
    around : a moment, or ``"onset"`` for the interval of the newest decline's; then the span is chosen, where it is not given.

    Raises
    ------
    InputInvalid : the span ends before it begins, or is longer than ten years; or there is no decline.
    """
    from keepwell.errors import InputInvalid

    near = _interval(context, around) if around is not None else None
    if near is not None:
        since = since or near[0] - (BEFORE if around == "onset" else AROUND)
        until = until or near[1] + (timedelta(0) if around == "onset" else AROUND)
    until = until or datetime.now(UTC)
    since = since or until - AROUND
    if not timedelta(0) <= until - since <= LONGEST:
        raise InputInvalid(f"From {since:%Y-%m-%d} to {until:%Y-%m-%d} is no span", "It begins before it ends and is at most ten years.")
    with context.database.read() as connection:
        found = [
            *_told(context, connection, since, until),
            *_restated(context, connection, since, until),
            *_noted(context, connection, since, until),
            *_built(context, connection, since, until),
        ]
        found += _traffic(context, connection, since, until)
    rows = sorted(found, key=lambda row: (row.at, KINDS.index(row.kind), row.sentence))
    return Changes(context.name, since, until, near, tuple(_away(row, near) for row in rows))


def _interval(context: Context, around: datetime | str) -> tuple[datetime, datetime]:
    from keepwell.errors import InputInvalid
    from keepwell.why import why

    if isinstance(around, datetime):
        return around, around
    if around != "onset":
        raise InputInvalid(f"'{around}' is no moment", "A time such as 2026-03-01, or `onset` for the newest decline.")
    declines = why(context, limit=1).declines
    if not declines:
        raise InputInvalid("There is no onset", f"{context.name} has not declined, as far as can be proven: ask with --from and --to.")
    began = declines[0].explanation.began
    return began.low, began.high


def _away(row: Changed, near: tuple[datetime, datetime] | None) -> Changed:
    if near is None:
        return row
    apart = min(row.at - near[0], timedelta(0)) or max(row.at - near[1], timedelta(0))
    return Changed(row.at, row.kind, row.sentence, row.by, round(apart / timedelta(days=1), 1))


def _told(context: Context, connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Changed]:
    """What the timeline says: a source that failed, findings, contracts, edits, promotions."""
    from keepwell.storage import list_events

    for event in list_events(connection, context.name, kinds=tuple(OF_EVENTS), since=since, until=until):
        yield Changed(event.as_of, OF_EVENTS[event.kind], event.sentence, event.by)


def _restated(context: Context, connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Changed]:
    """Rows that a source delivered otherwise than before: the past was corrected."""
    from keepwell.ingestion import corrections

    for moment, count in corrections(connection, context.name, since, until):
        rows = "1 row was" if count == 1 else f"{count:,} rows were"
        yield Changed(moment, "data", f"{rows} delivered otherwise than before", "keepwell")


def _noted(context: Context, connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Changed]:
    """What the watch saw in the data that does no harm as far as is known."""
    from keepwell.monitoring import list_signals

    for said in list_signals(connection, context.name, kinds=("note",), until=until):
        if said.as_of >= since:
            yield Changed(said.as_of, "data", said.sentence.removeprefix("note: "), "keepwell")


def _built(context: Context, connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Changed]:
    """What each build was made of that the one before was not: code, packages, settings."""
    from keepwell.training import list_runs

    runs = [run for run in reversed(list_runs(connection, context.name)) if "code" in run.facts]
    for before, after in pairwise(runs):
        if since <= after.as_of <= until:
            yield from _between(context, before, after)


def _between(context: Context, before: Run, after: Run) -> Iterator[Changed]:
    for kind, name in (("code", "code"), ("packages", "packages"), ("settings", "settings")):
        if before.facts.get(name) == after.facts.get(name):
            continue
        for said in _differences(context, kind, before.facts.get(name), after.facts.get(name)):
            yield Changed(after.as_of, kind, f"{said}, since {after.run}", "")  # a build does not know who edited
    was, now = (str(run.facts.get("git", {}).get("commit", ""))[:12] for run in (before, after))
    if was and now and was != now:
        yield Changed(after.as_of, "code", f"git commit {was} -> {now}, since {after.run}", "")


def _differences(context: Context, kind: str, before: str | None, after: str | None) -> Iterable[str]:
    """What differs, by name; only that it differs where the files are gone."""
    from keepwell.comparison import code_differences, package_differences, setting_differences
    from keepwell.errors import KeepwellError
    from keepwell.training import Code

    if before is None or after is None:
        return []
    try:
        if kind == "code":
            found = code_differences(*(Code.get(context.artifacts, digest).files() for digest in (before, after)))
        else:
            sides = [json.loads(context.artifacts.get(digest)) for digest in (before, after)]
            found = package_differences(*sides) if kind == "packages" else setting_differences(*sides)
    except KeepwellError:
        return [f"the {kind} changed (what it was is not kept any more)"]
    return [one.sentence for one in found]


def _traffic(context: Context, connection: sa.Connection, since: datetime, until: datetime) -> Iterator[Changed]:
    """Days on which far more or fewer rows were answered than is usual, each run of such days as one change."""
    import polars as pl

    rows = context.predictions.rows(since=since - timedelta(days=USUAL_DAYS), until=until, connection=connection)
    if rows.is_empty():
        return
    counted = dict(rows.group_by(pl.col("time").dt.date()).len().rows())
    first = min(counted)
    days = [first + timedelta(days=place) for place in range((until.date() - first).days)]  # the last day has not ended
    usual: list[int] = []
    state = ""
    run: list[tuple[Any, int, Any]] = []
    for day in days:
        count = counted.get(day, 0)
        expected = sorted(usual[-USUAL_DAYS:])[len(usual[-USUAL_DAYS:]) // 2] if len(usual) >= USUAL_DAYS // 2 else None
        now = _odd(count, expected)
        if now != state and run:
            yield from _as_change(run, state, since)
            run = []
        state = now
        if now:
            run.append((day, count, expected))
            if len(run) >= USUAL_DAYS:  # it has become what is usual
                usual = [one[1] for one in run]
        else:
            usual.append(count)
    if run:
        yield from _as_change(run, state, since)


def _odd(count: int, expected: int | None) -> str:
    if expected is None or abs(count - expected) < FEWEST:
        return ""
    return "more" if count > TIMES * expected else "fewer" if count * TIMES < expected else ""


def _as_change(run: list[tuple[Any, int, Any]], state: str, since: datetime) -> Iterator[Changed]:
    begun = datetime(run[0][0].year, run[0][0].month, run[0][0].day, tzinfo=UTC)
    if begun < since:
        return
    mean = sum(count for _, count, _ in run) / len(run)
    many = "1 day" if len(run) == 1 else f"{len(run)} days"
    yield Changed(begun, "traffic", f"{state} answers: {mean:,.0f} a day over {many}, about {run[0][2]:,} are usual", "")
