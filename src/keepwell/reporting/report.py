"""From the record to a report: what a period was like, what was done in it, and what is left to decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.errors import KeepwellError
from keepwell.evaluation import losses, mean_interval
from keepwell.incidents import Incident, list_incidents, tell
from keepwell.ingestion import gathered_between
from keepwell.monitoring import get_watch, last_checkup
from keepwell.orchestration import Context, count_cycles
from keepwell.profiling import compare, profile
from keepwell.registry import CHALLENGER, CHAMPION, AliasChange, aliases_now, get_version, list_alias_changes
from keepwell.reporting.periods import Period
from keepwell.reporting.records import Act, Report
from keepwell.reporting.vitals import Span, compared, points, vitals
from keepwell.serving import joined, representative
from keepwell.status import Status, day, status
from keepwell.storage import COMMIT, KNOWN, Event, list_events
from keepwell.why import Told, why

DONE = (  # kinds of the timeline that are acts or decisions
    "trained",
    "refused",
    "build_failed",
    "waiting",
    "promoted",
    "rolled_back",
    "returned",
    "approved",
    "rejected",
    "paused",
    "resumed",
    "contract",
    "quarantine_released",
    "quarantine_dropped",
)
MOST_ROWS = 5000  # that an older version is asked about again, to say whether replacing it helped
YEAR = timedelta(days=365)
LEAST_ROWS = 30  # rows on each side before columns are compared


def make_report(context: Context, period: Period, now: datetime | None = None) -> Report:
    """The check-up of a period, from what the record says now: labels that came later are in it.

    Parameters
    ----------
    now : moment of making, aware; default the wall clock.
    """
    made = now or datetime.now(UTC)
    end = min(period.until, made)
    with context.database.read() as connection:
        span, before = (_span(context, one, made, connection) for one in (period, period.before))
        served = [change for change in list_alias_changes(connection, context.name, CHAMPION) if change.since < period.until]
        events = list_events(connection, context.name, kinds=DONE, since=period.since, until=end)
        waiting = aliases_now(connection, context.name).get(CHALLENGER)
        challenger = get_version(connection, context.name, waiting) if waiting is not None else None
        watch = get_watch(connection, context.name, served[-1].number) if served and served[-1].number is not None else None
        incidents = list_incidents(connection, context.name)
        newest = last_checkup(connection, context.name, before=end)
    # As it stood at its last check-up: what the silence since then means is for the report of the next period.
    standing = status(context, newest.as_of if newest is not None and newest.as_of >= period.since else end)
    versions = span.scored["version"].unique().to_list() if span.scored.height else []
    weights = span.scored.group_by("version").len().rows() if span.scored.height else []
    known = context.expected(versions)
    rows = sum(count for version, count in weights if version in known)
    expected = sum(known[version] * count for version, count in weights if version in known) / rows if rows else None
    signs = vitals(context.outline.task, context.metric, span, before, expected)
    told = [one for one in why(context, end, limit=50).declines if one.told < period.until and (one.ended or end) >= period.since]
    drift, against = _drift(context, period, span)
    both = pl.concat([before.scored, span.scored]) if before.scored.height and span.scored.height else span.scored
    return Report(
        model=context.name,
        task=context.outline.task,
        metric=context.metric,
        period=period.name,
        since=period.since,
        until=period.until,
        made_at=made,
        word=standing.word,
        headline=standing.headline,
        compared=compared(context.metric, signs[0]),
        served=tuple(_served(served, period)),
        vitals=signs,
        points=tuple(points(context.metric, both)),
        expected=expected,
        incidents=tuple(tell(one) for one in incidents if _concerns(one, period, end)),
        declines=tuple(_decline(one) for one in told),
        done=tuple(_acts(context, events, served, span, end)),
        drift=drift,
        drift_against=against,
        decide=tuple(_decide(standing, challenger.number if challenger is not None and challenger.passed else None)),
        unknown=tuple(_unknown(context, span, watch[1] if watch else {})),
        owner=standing.owner,
        deputy=standing.deputy,
    )


def _span(context: Context, period: Period, now: datetime, connection: sa.Connection) -> Span:
    last = period.until - timedelta(microseconds=1)
    rows = context.predictions.rows(since=period.since, until=last, connection=connection)
    scored = joined(representative(rows), context.labels.rows(since=period.since, connection=connection))
    scored = scored.sort("time") if scored.height else scored
    known_by = min(now, last) - timedelta(days=context.model.horizon_days) if now < period.until else now
    due = int((scored["time"] <= known_by).sum()) if scored.height else 0
    gathered = gathered_between(connection, context.name, period.since, last)
    done, failed = (count_cycles(connection, context.name, state, period.since, last) for state in ("done", "failed"))
    return Span(scored, due, rows.height, gathered.new, gathered.quarantined, done, failed, gathered.failures)


def _concerns(incident: Incident, period: Period, end: datetime) -> bool:
    return incident.told_at < end and (incident.closed_at is None or incident.closed_at >= period.since)


def _served(changes: list[AliasChange], period: Period) -> Iterator[str]:
    for place, change in enumerate(changes):
        until = changes[place + 1].since if place + 1 < len(changes) else None
        if change.number is None or (until is not None and until <= period.since):
            continue
        yield f"version {change.number} since {day(change.since)}" + (f", until {day(until)}" if until and until < period.until else "")


def _decline(told: Told) -> dict[str, Any]:
    return {
        "sentence": told.sentence,
        "version": told.version,
        "told": told.told.isoformat(),
        "ended": told.ended.isoformat() if told.ended else None,
        "low": told.explanation.began.low.isoformat(),
        "high": told.explanation.began.high.isoformat(),
        "causes": [{"sentence": one.sentence, "score": one.score, "is_change": one.change is not None} for one in told.ranked],
        "rise": told.explanation.rise,
        "parts": [{"name": part.name, "amount": part.amount} for part in told.explanation.parts],
    }


# --- what was done, and whether it helped -----------------------------------------------------------------------------


def _acts(context: Context, events: list[Event], served: list[AliasChange], span: Span, end: datetime) -> Iterator[Act]:
    for event in events:
        if event.kind in ("promoted", "rolled_back", "returned") and event.facts.get("before") is not None:
            until = next((change.since for change in served if change.since > event.as_of), end)
            effect, helped = _effect(context, span.scored, event, until)
            yield Act(event.as_of, event.sentence, effect, helped)
        else:
            yield Act(event.as_of, event.sentence)


def _effect(context: Context, scored: pl.DataFrame, event: Event, until: datetime) -> tuple[str, bool | None]:
    """What the version that came has spared since, on the same rows: the one before is asked about each of them again."""
    version, before = event.facts["version"], event.facts["before"]
    if scored.is_empty():
        return "", None
    mine = scored.filter(
        (pl.col("version") == version) & (pl.col("time") >= event.as_of) & (pl.col("time") < until) & pl.col("label").is_not_null()
    )
    mine = mine.head(MOST_ROWS)
    if mine.height < LEAST_ROWS:
        return f"too early to say whether it helped: {mine.height} labels since", None
    try:
        predictor = context.predictor(before)
        rows = _inputs(mine["inputs"], predictor.signature)
        answers = predictor.answer(rows)
    except KeepwellError as error:
        return f"version {before} cannot be asked any more, so nothing can be said of the effect ({error.headline.lower()})", None
    label = mine["label"].to_numpy()
    spared = losses(context.metric, label, answers) - losses(context.metric, label, mine["answer"].to_numpy())
    mean, low, high = mean_interval(spared)
    figures = (
        f"{context.metric} {abs(mean):.4f} ({low:+.4f} to {high:+.4f} lower) on the same {mine.height:,} rows than by version {before}"
    )
    if low > 0:
        return f"helped: {figures}", True
    if high < 0:
        return f"did harm: {figures.replace(' lower)', ' lower, which means higher)')}", False
    return f"no proven effect: {figures}", None


def _inputs(column: pl.Series, signature: Any) -> pl.DataFrame:
    """The features of answered rows, as the ledger keeps them."""
    kinds = pl.Struct([pl.Field(name, getattr(pl, kind.split("(")[0], pl.String)) for name, kind in signature.items()])
    return column.str.json_decode(kinds).struct.unnest()


# --- what moved -------------------------------------------------------------------------------------------------------


def _drift(context: Context, period: Period, span: Span) -> tuple[tuple[str, ...], str]:
    """Columns that moved, against the same days of a year before, so that no season is taken for news; else the period before."""
    length = period.until - period.since
    same_days = Period("the same days of the year before", period.since - YEAR, period.since - YEAR + length)
    observations = {}
    for name, one in (("now", period), (same_days.name, same_days), ("the period before", period.before)):
        rows = context.observations.rows(since=one.since, until=one.until - timedelta(microseconds=1))
        observations[name] = rows.drop(COMMIT, KNOWN, strict=False)
    now = observations.pop("now")
    for name, rows in observations.items():
        if min(now.height, rows.height) < LEAST_ROWS:
            continue
        reference = profile(rows, time=context.model.time, every="1d")
        found = compare(reference, profile(now, time=context.model.time, every="1d", reference=reference))
        key = {context.model.time, context.model.entity}
        return tuple(f"{one.name}: {one.sentence}" for one in found.columns if one.is_listed and one.name not in key), name
    return (), "too few observations to compare"


# --- what is open -----------------------------------------------------------------------------------------------------


def _decide(standing: Status, challenger: int | None) -> Iterator[str]:
    if challenger is not None:
        yield f"Version {challenger} passed the gate and waits: `keepwell promote {challenger} --dry-run` shows what would change"
    if standing.waiting:
        rows = "row waits" if standing.waiting == 1 else "rows wait"
        yield f"{standing.waiting:,} {rows} in quarantine: `keepwell quarantine list`, then release or drop"
    yield from open_questions(standing)


def open_questions(standing: Status) -> Iterator[str]:
    """What only a person can answer about a model as it stands, beside what waits under a name of its own."""
    if standing.held_by:
        yield f"A new version is asked for ({standing.retraining}) and held: {standing.held_by}"
    if standing.owner is None:
        yield "Nobody owns this model: set [owner] owner in keepwell.toml"


def _unknown(context: Context, span: Span, watch: dict[str, Any]) -> Iterator[str]:
    if not span.answers:
        yield "No answer was given in this period"
    missing = span.due - int(span.scored["label"].head(span.due).is_not_null().sum()) if span.due else 0
    if missing:
        yield f"{missing:,} of {span.due:,} labels that are due are not in: how good these answers were is unknown, and will be restated"
    young = span.scored.height - span.due
    if young > 0:
        yield f"{young:,} answers are too young to have a label"
    if "unwatched" in watch:
        yield f"The model is not watched: {watch['unwatched']}"
    if not context.settings.watch.on:
        yield "The watch is switched off ([watch] on): a slow decline would not be told"
    yield from (str(note) for note in watch.get("notes", ()))
    if span.source_failures:
        yield f"The source gave nothing in {span.source_failures} gathers: what happened then is known from later gathers at best"


def json_of(report: Report) -> bytes:
    """The report as it is kept."""
    return json.dumps(report.as_dict(), sort_keys=True, allow_nan=False, default=_number).encode()


def _number(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")
