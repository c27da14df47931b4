"""Incidents are tended: what a cycle knows goes in, what opened, joined or ended goes on record in the cycle's own transaction.

A cycle in which nothing is wrong asks the record one question, whether there is an incident, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.diagnosis import ranked
from keepwell.evaluation import losses
from keepwell.incidents import (
    FAILED,
    KEEPWELL,
    SKEWED,
    SOURCE_FAILED,
    STALE,
    UNANSWERED,
    Activity,
    Answers,
    Around,
    Change,
    End,
    Fault,
    Incident,
    Labels,
    Seen,
    end_of,
    escalate,
    finding_id,
    join,
    keep,
    list_incidents,
    list_live,
    live,
    next_number,
    of_decline,
    of_failures,
    of_finding,
    of_skew,
    of_source,
    of_unanswered,
    silences,
)
from keepwell.ingestion import Gathered
from keepwell.monitoring import ENDS, Checkup, Said, explanation_of, list_signals
from keepwell.orchestration.context import Context
from keepwell.orchestration.retracing import ANSWER, Skew
from keepwell.orchestration.tables import list_cycles
from keepwell.orchestration.watching import Watched, changes_near
from keepwell.registry import CHAMPION, list_alias_changes
from keepwell.retraining import RetrainDecision, list_decisions

AGE_GRACE_DAYS = 60.0  # after retraining was asked for because of age; by then it was tried, or something holds it


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What a cycle knows when it has checked up.

    `before` is the check-up of the cycle before; `rows` the window's answers with their labels, in time order; `built` when the newest
    build was tried.
    """

    cycle: str
    as_of: datetime
    before: datetime | None
    gathered: Gathered
    checkup: Checkup
    decision: RetrainDecision
    rows: pl.DataFrame
    champion: int | None
    trained_until: datetime | None
    built: datetime | None
    watched: Watched | None
    skew: Skew | None = None


def tend(connection: sa.Connection, context: Context, known: Known) -> list[Change]:
    """Let incidents know what a cycle knows; in the transaction in which its check-up goes on record."""
    lives = list_live(connection, context.name)
    faults = [*_data_faults(known), *_declines(connection, context, known, lives)]
    silent, heard = silences(context.settings.silence, seen_in(context, known), known.as_of)
    faults += [*silent, *_skewed(known)]
    if not lives and not faults:
        return []
    # A cycle of an earlier day is no news about what was told after it.
    ends = [end for end in [*heard, *_data_ends(known, lives), *_skew_ends(known, lives)] if _told_before(lives, end.id, known.as_of)]
    ends += [end_of(said) for kind in ENDS for said in _said(known, kind)]
    ends += replaced(connection, context, lives, known.champion)
    around = around_of(context, known.decision, known.as_of)
    changes = apply(connection, context, lives, faults, ends, around, known.as_of)
    measured = [_measured(context, incident, known) for incident in lives]
    found = [change for change in measured if change is not None]
    keep(connection, found, around)
    return [*changes, *found]


def apply(
    connection: sa.Connection,
    context: Context,
    lives: Sequence[Incident],
    faults: Sequence[Fault],
    ends: Sequence[End],
    around: Around,
    now: datetime,
) -> list[Change]:
    """Join, keep, and tell further who has not been answered."""
    settings = context.settings
    known = {incident.number: incident for incident in lives}
    number = 0
    if faults:
        since = min([now, *(fault.first for fault in faults if not fault.is_lasting)]) - timedelta(days=settings.incidents.reopen_days)
        known = {incident.number: incident for incident in list_incidents(connection, context.name, since=since)} | known
        number = next_number(connection, context.name)
    options: dict[str, Any] = {"settings": settings.incidents, "owners": settings.owner, "number": number, "now": now}
    changes = join(context.name, known.values(), faults, ends, **options)
    known |= {change.incident.number: change.incident for change in changes}
    late = [escalate(incident, settings.escalation, now) for incident in known.values() if incident.is_open]
    changes += [change for change in late if change is not None]
    keep(connection, changes, around)
    return changes


def failed(connection: sa.Connection, context: Context, cycle: str, as_of: datetime, message: str) -> None:
    """A cycle failed: when it was not the first one in a row, that is an incident."""
    limit = context.settings.incidents.failures
    newest = list_cycles(connection, context.name, limit=limit + 1)
    row = []
    for record in newest:
        if record.status != "failed":
            break
        row.append(record)
    times = sum(record.attempt for record in row)
    if times < limit:
        return
    since = newest[len(row)].as_of if len(newest) > len(row) else row[-1].as_of
    fault = of_failures(f"{cycle}/failed/{row[0].attempt if row else 1}", message, times, since, as_of)
    lives = list_live(connection, context.name)
    apply(connection, context, lives, [fault], [], around_of(context, None, as_of), as_of)


def unanswered(connection: sa.Connection, context: Context, cycle: str, as_of: datetime, problems: Mapping[int, str]) -> None:
    """Versions that cannot answer what is due."""
    since = list_cycles(connection, context.name, "done", 1)
    began = since[0].as_of if since else as_of
    faults = [of_unanswered(f"{cycle}/silent/{number}", number, problem, began, as_of) for number, problem in problems.items()]
    apply(connection, context, list_live(connection, context.name), faults, [], around_of(context, None, as_of), as_of)


def done(connection: sa.Connection, context: Context, as_of: datetime, answered: int) -> None:
    """A cycle was done, and answered so many rows: what failed until now does so no more."""
    over = {FAILED: "a cycle was done", **({UNANSWERED: "rows are answered again"} if answered else {})}
    lives = [incident for incident in list_live(connection, context.name) if over.keys() & set(incident.ringing)]
    if lives:
        ends = [End(name, as_of, because) for name, because in over.items()]
        apply(connection, context, lives, [], ends, around_of(context, None, as_of), as_of)


def around_of(context: Context, decision: RetrainDecision | None, now: datetime) -> Around:
    """What an incident's sentence needs beside it."""
    held = decision.held_by.partition(" (")[0] if decision is not None and decision.held_by else None
    by_itself = f"a new version is built, because {decision.trigger}" if decision is not None and decision.build else None
    return Around(context.settings.runbooks, held, by_itself, now)


def around_now(connection: sa.Connection, context: Context, now: datetime) -> Around:
    """The same from the newest decision on record."""
    newest = list_decisions(connection, context.name, 1)
    return around_of(context, newest[0][1] if newest else None, now)


# --- what a cycle saw -----------------------------------------------------------------------------------------------------


def seen_in(context: Context, known: Known) -> Seen:
    """What a cycle can say about silence, from facts at hand."""
    settings = context.settings
    return Seen(
        checked=known.as_of,
        cycle_due=known.as_of,
        newest=known.gathered.newest,
        data_days=settings.silence.data_days or settings.check.max_age_days,
        labels=_labels(context, known),
        answers=_answers(settings.silence.constant_answers, known.rows),
        trained_until=known.trained_until,
        built=known.built,
        max_age=max_age(context),
    )


def max_age(context: Context) -> timedelta | None:
    """How old a champion may get without a build; None when nothing says."""
    settings = context.settings
    if settings.silence.age_days is not None:
        return timedelta(days=settings.silence.age_days)
    if settings.retrain.max_age_days is None:
        return None
    return timedelta(days=settings.retrain.max_age_days + settings.build.holdout_days + AGE_GRACE_DAYS)


def _labels(context: Context, known: Known) -> Labels | None:
    rows = known.rows
    if known.champion is None or rows.is_empty():
        return None
    times = rows["time"].to_numpy()
    due = known.as_of - timedelta(days=context.model.horizon_days)
    end = int(times.searchsorted(_moment(due), "right"))
    first = int(times.searchsorted(_moment(due - timedelta(days=context.settings.silence.labels_days)), "right"))
    mine = rows["label"][first:end]
    missing = mine.is_null()
    return Labels(end - first, mine.len() - mine.null_count(), rows["time"][first + int(missing.arg_max() or 0)] if missing.any() else None)


def _answers(count: int, rows: pl.DataFrame) -> Answers | None:
    if not count or rows.is_empty():
        return None
    newest = rows["answer"].tail(count).to_numpy()
    finite = np.isfinite(newest)
    return Answers(len(newest), len(np.unique(newest[finite])), int((~finite).sum()), rows["time"][-len(newest)])


def _moment(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.replace(tzinfo=None), "us")


def _data_faults(known: Known) -> list[Fault]:
    gathered, since = known.gathered, known.before or known.gathered.since
    newest = min(gathered.newest, known.as_of) if gathered.newest is not None else since
    is_stale = any(finding["kind"] == STALE for finding in gathered.findings)
    faults = []
    for finding in sorted(_faulty(gathered), key=lambda one: one["kind"] == STALE):
        # What sets every row aside, one a day, is told when nothing good has come for too long; it began with the first of them.
        began = newest if is_stale and (finding["kind"] == STALE or not finding["is_fault"]) else since
        faults.append(of_finding(f"{known.cycle}/{finding_id(finding)}", finding, began, known.as_of))
    if gathered.error is not None:
        faults.append(of_source(f"{known.cycle}/source", gathered.error, since, known.as_of))
    return faults


def _faulty(gathered: Gathered) -> list[dict[str, Any]]:
    """Findings that speak of a broken feed: those the contract calls so, and what sets rows aside while nothing good comes."""
    is_stale = any(finding["kind"] == STALE for finding in gathered.findings)
    return [one for one in gathered.findings if one["is_fault"] or (is_stale and one["action"] == "quarantine")]


def _data_ends(known: Known, lives: Sequence[Incident]) -> list[End]:
    """What the contract found before is over when good rows came without it."""
    if known.gathered.error is not None:
        return []
    ends = [End(SOURCE_FAILED, known.as_of, "the source answers again")]
    if known.gathered.new:
        found = {finding_id(finding) for finding in _faulty(known.gathered)}
        ringing = {name for incident in lives for name in incident.ringing if name.startswith("contract/")}
        ends += [End(name, known.as_of, "good rows came again") for name in sorted(ringing - found)]
    return ends


def _skewed(known: Known) -> list[Fault]:
    """Features of served rows that the version's own code computes otherwise."""
    skew, since = known.skew, known.before or known.gathered.since
    if skew is None:
        return []
    of = {name: skew.rows if name == ANSWER else skew.followed for name in skew.differ}
    return [
        of_skew(f"{known.cycle}/skew/{name}", name, seen, of=of[name], is_answer=name == ANSWER, since=since, now=known.as_of)
        for name, seen in skew.differ.items()
    ]


def _skew_ends(known: Known, lives: Sequence[Incident]) -> list[End]:
    """What was served since agrees."""
    skew = known.skew
    if skew is None:
        return []
    ringing = sorted({name for incident in lives for name in incident.ringing if name.startswith(SKEWED)})
    over = [name for name in ringing if (feature := name.removeprefix(SKEWED)) not in skew.differ and _is_seen(skew, feature)]
    return [End(name, known.as_of, "what is served agrees again") for name in over]


def _is_seen(skew: Skew, feature: str) -> bool:
    return bool(skew.rows if feature == ANSWER else skew.followed)


def _told_before(lives: Sequence[Incident], name: str, as_of: datetime) -> bool:
    return any(name in incident.ringing and incident.told_at <= as_of for incident in lives)


# --- the watch ------------------------------------------------------------------------------------------------------------


def _said(known: Known, kind: str) -> list[Said]:
    said = known.watched.said if known.watched is not None else ()
    return [replace(one, as_of=known.as_of) for one in said if one.kind == kind]


def _declines(connection: sa.Connection, context: Context, known: Known, lives: Sequence[Incident]) -> list[Fault]:
    watched = known.watched
    if watched is None:
        return []
    # Of several diagnoses in one cycle the newest is the best: it is told, and the others are on record as signals.
    newest = {one.incident: (f"{known.cycle}/watch/{place}", one) for place, one in enumerate(watched.said) if one.kind == "decline"}
    told = list(newest.values())
    mine = f"watch/{watched.version}/"
    if not told and watched.decline is not None and not any(name.startswith(mine) for one in lives for name in one.ringing):
        # The version came back, and it has not recovered meanwhile.
        before = [one for one in list_signals(connection, context.name, kinds=("decline",)) if one.version == watched.version]
        told = [(f"{known.cycle}/watch/again", before[0])] if before else []
    return [_decline(connection, context, key, replace(one, as_of=known.as_of), known.checkup) for key, one in told]


def _decline(connection: sa.Connection, context: Context, key: str, said: Said, checkup: Checkup) -> Fault:
    explanation = explanation_of(said.facts["explanation"])
    causes = ranked(explanation, changes_near(context, explanation, connection))
    return of_decline(
        key,
        said,
        explanation,
        causes,
        task=context.outline.task,
        maturity=checkup.facts.get("maturity"),
        critical_rise=context.settings.incidents.critical_rise,
    )


def replaced(connection: sa.Connection, context: Context, lives: Sequence[Incident], champion: int | None) -> list[End]:
    """Declines of versions that serve no more."""
    others = {name for one in lives for name in one.ringing if name.startswith("watch/") and name.split("/")[1] != str(champion)}
    if champion is None or not others:
        return []
    since = list_alias_changes(connection, context.name, CHAMPION)[-1].since
    told = {name: max(one.told_at for one in lives if name in one.ringing) for name in others}
    return [End(name, max(since, told[name]), f"replaced by version {champion}") for name in sorted(others)]


# --- did it help? ---------------------------------------------------------------------------------------------------------


def _measured(context: Context, incident: Incident, known: Known) -> Change | None:
    """The measured effect of what ended an incident, once its time has come."""
    due = incident.facts.get("effect_due")
    if due is None or incident.closed_at is None or known.as_of < datetime.fromisoformat(due):
        return None
    span = timedelta(days=context.settings.incidents.effect_days)
    labelled = known.rows.filter(pl.col("label").is_not_null())["time"].max() if known.rows.height else None
    is_in = isinstance(labelled, datetime) and labelled >= incident.closed_at + span - timedelta(days=1)
    if not is_in and known.as_of < incident.closed_at + 2 * span:  # its last labels are still to come
        return None
    effect = effect_of(context.metric, known.rows, incident.closed_at, span, since=incident.first)
    facts = {name: value for name, value in incident.facts.items() if name != "effect_due"} | {"effect": effect}
    after = live(replace(incident, revision=incident.revision + 1, facts=facts))
    key = f"{incident.number}/{after.revision}/effect"
    return Change(after, Activity(key, incident.number, known.as_of, KEEPWELL, "effect", effect["sentence"], effect))


def effect_of(metric: str, rows: pl.DataFrame, at: datetime, span: timedelta, since: datetime | None = None) -> dict[str, Any]:
    """The loss before and after a moment, as labels have it: `before`, `after`, how many labels each, and one sentence.

    Parameters
    ----------
    rows : answers with their labels, in time order. since : what lies before it does not count as before.
    """
    labelled = rows.filter(pl.col("label").is_not_null()) if rows.height else rows
    start = max(at - span, since) if since is not None else at - span
    before, after = (_loss(metric, labelled, low, high) for low, high in ((min(start, at), at), (at, at + span)))
    if before[0] is None or after[0] is None:
        sentence = f"Whether it helped is not known: {before[1]} labels before and {after[1]} after"
    else:
        change = (after[0] - before[0]) / before[0] if before[0] else 0.0
        sentence = f"{metric} was {before[0]:.4f} before and {after[0]:.4f} after ({change:+.0%}; {before[1]} and {after[1]} labels)"
    return {"before": before[0], "after": after[0], "labels_before": before[1], "labels_after": after[1], "sentence": sentence}


def _loss(metric: str, labelled: pl.DataFrame, low: datetime, high: datetime) -> tuple[float | None, int]:
    if labelled.is_empty():
        return None, 0
    times = labelled["time"].to_numpy()
    mine = labelled[int(times.searchsorted(_moment(low), "left")) : int(times.searchsorted(_moment(high), "left"))]
    if mine.is_empty():
        return None, 0
    mean = float(np.mean(losses(metric, mine["label"].to_numpy(), mine["answer"].to_numpy())))
    return (float(np.sqrt(mean)) if metric == "rmse" else mean), mine.height
