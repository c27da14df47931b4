"""The watch of the champion, one step a cycle: its answers and the labels that came go in, what it says goes on record.

A watch knows what it knew before and the rows since; both are read in one transaction and its new state is kept in the same
transaction as the check-up. So each row and each label counts once, also after a crash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.diagnosis import Change, Explanation
from keepwell.errors import FrameInvalid, WatchStateInvalid
from keepwell.monitoring import (
    ENDS,
    Said,
    Signal,
    Watch,
    explanation_of,
    get_watch,
    get_watch_state,
    list_signals,
    plain,
    record_signal,
    record_watch,
    tell,
    withdrawal,
)
from keepwell.orchestration.context import Context
from keepwell.registry import CHAMPION, AliasChange, list_alias_changes
from keepwell.serving import joined, last_batch, representative
from keepwell.storage import Event, list_events, literal, record_event
from keepwell.training import from_bytes

# Lines of the timeline -> kinds of change.
CHANGED = {"contract": "contract", "promoted": "version", "rolled_back": "version", "edited": "code"}
# Notes are not lines of a life: `keepwell why` shows them.
TOLD = {"decline": "declined", "recovered": "recovered", "withdrawn": "withdrawn"}
LOOK_BACK = timedelta(days=60)
LASTING = timedelta(days=365)  # what has been off for longer is not mended any more: a model has to live with it
AGAIN = timedelta(days=30)  # a version whose held-out rows are too few is tried again with those that it has answered since


@dataclass(frozen=True, eq=False)
class Watched:
    """What a step of the watch gives: its facts and what it said; `watching` is None where nothing moved, or where the version cannot be
    watched: then `facts` say why under "unwatched"."""

    version: int
    watching: Watch | None
    facts: dict[str, Any]
    said: tuple[Said, ...] = ()

    @property
    def decline(self) -> str | None:
        """What is said of a decline that has not ended."""
        declines = self.facts.get("declines", [])
        return declines[-1] if declines else None

    @property
    def ended(self) -> list[tuple[datetime, datetime, str]]:
        """Spells of declines that have ended: from, until, and the broad class of their cause."""
        found = self.facts.get("ended", [])
        return [(datetime.fromisoformat(low), datetime.fromisoformat(high), cls) for low, high, cls in found]

    @property
    def faults(self) -> tuple[str, ...]:
        """Columns that are broken, in words: nothing may be learned from them."""
        return tuple(self.facts.get("faults", ()))


def watch(context: Context, version: int, as_of: datetime, connection: sa.Connection) -> Watched | None:
    """Let the champion's watch see what is new. None when the settings say that nothing is watched.

    A batch that has not ended moves nothing: most cycles of a project with few rows a day read a few facts and no state.
    """
    if not context.settings.watch.on:
        return None
    known = get_watch(connection, context.name, version)
    is_again = known is not None and "unwatched" in known[1]
    if known is not None and is_again:
        if as_of < datetime.fromisoformat(known[1].get("again", "9999-01-01T00:00:00+00:00")):
            return Watched(version, None, known[1])
        known = None  # its first rows were too few; by now there may be more
    if known is not None and _closing(as_of, known[1]["batch_days"]) <= known[1]["closed"]:
        return Watched(version, None, known[1])
    until = last_batch(connection, context.name)
    if known is not None and (until is None or _closing(until, known[1]["batch_days"]) <= known[1]["closed"]):
        return Watched(version, None, known[1])
    try:
        try:
            watching = _open(context, version, known[0] if known else None, connection, lived=is_again)
        except WatchStateInvalid:
            known = None  # an earlier release wrote it: the watch begins anew, from the same rows
            watching = _open(context, version, None, connection)
    except FrameInvalid as error:
        ended = _ended(context, version, as_of, connection)
        return Watched(version, None, {"unwatched": error.message, "again": (as_of + AGAIN).isoformat(), "ended": ended})
    signals = _update(context, version, watching, until, connection) if until is not None else []
    said = tuple(_said(context, version, signal, connection) for signal in signals)
    over = {signal.incident for signal in signals if signal.kind in ENDS}
    ended = known[1].get("ended", []) if known and not over else _ended(context, version, as_of, connection, over)
    opened = [_plainly(incident) for incident in watching.open_incidents]
    facts = {
        "notes": list(watching.reference.notes),
        "batch_days": watching.reference.width,
        "closed": watching.closed,
        "channels": len(watching.reference.channels),
        "late": watching.late,
        "declines": [_sentence(context, incident.explanation, connection) for incident in watching.open_incidents],
        "open": opened,
        "ended": ended,
        "faults": faults_of(opened, as_of),
        "plan": {f"{rise:.0%}": None if np.isinf(batches) else round(batches) for rise, batches in watching.plan().items()},
    }
    return Watched(version, watching, facts, said)


def record(connection: sa.Connection, context: Context, cycle: str, as_of: datetime, watched: Watched) -> None:
    """Keep the state and the signals of a cycle."""
    if watched.watching is not None:
        record_watch(connection, context.name, watched.version, cycle, as_of, watched.watching.state(), watched.facts)
        context.watches = {watched.version: (cycle, watched.watching)}
    elif "unwatched" in watched.facts:
        record_watch(connection, context.name, watched.version, cycle, as_of, None, watched.facts)
    for place, said in enumerate(watched.said):
        key = f"{cycle}/watch/{place}"
        record_signal(connection, context.name, key, Said(said.version, as_of, said.kind, said.incident, said.sentence, said.facts))
        if said.kind in TOLD and said.facts["first"]:
            facts = {"version": said.version, "incident": said.incident}
            record_event(connection, context.name, key, Event(TOLD[said.kind], as_of, f"{context.name} {said.sentence}", facts))


def faults_of(opened: Sequence[Mapping[str, Any]], as_of: datetime) -> list[str]:
    """Broken columns of open declines, in words: nothing may be learned from them, until that is how they have been for a year."""
    since = as_of - LASTING
    mine = [one for one in opened if one["cls"] == "data_quality" and datetime.fromisoformat(one["onset"]) > since]
    return [f"{one['kind'].replace('_', ' ')} in {one['column']}" for one in mine]


def _plainly(incident: Any) -> dict[str, Any]:
    """A decline as the policy reads it."""
    found = incident.explanation
    cause, began = found.culprit, {name: getattr(found.began, name).isoformat() for name in ("low", "high")}
    known = {"kind": cause.kind, "cls": cause.cls, "column": cause.column} if cause else {"kind": "", "cls": "unknown", "column": ""}
    return {"incident": incident.number, "onset": found.began.at.isoformat(), **began, **known}


def _ended(
    context: Context, version: int, as_of: datetime, connection: sa.Connection, over: set[int] | None = None
) -> list[tuple[str, str, str]]:
    """Spells of declines that were told and have ended: proven to be over (`over` in this very cycle), or another version took over."""
    found = []
    said = list_signals(connection, context.name)
    changes = list_alias_changes(connection, context.name, CHAMPION)
    for key in dict.fromkeys((one.version, one.incident) for one in said if one.kind == "decline"):
        mine = [one for one in said if (one.version, one.incident) == key]
        explained = next(one.facts["explanation"] for one in mine if one.kind == "decline")
        until = ended_at(mine, changes, as_of)
        if until is None and (key[0] != version or key[1] in (over or ())):
            until = as_of
        if until is not None and explained is not None:
            culprit = explanation_of(explained).culprit
            found.append((explained["began"]["low"], until.isoformat(), culprit.cls if culprit else "unknown"))
    return found


def ended_at(said: Sequence[Said], changes: Sequence[AliasChange], now: datetime) -> datetime | None:
    """When a decline ended: it was proven to be over, or another version took over, however late that is looked at. None while it lasts.

    Parameters
    ----------
    said : the signals of that decline. changes : of the champion.
    """
    told = min(one.as_of for one in said if one.kind == "decline")
    over = [one.as_of for one in said if one.kind in ENDS]
    replaced = [change.since for change in changes if told <= change.since <= now and change.number != said[0].version]
    return min([*over, *replaced], default=None)


def _closing(until: datetime, width: float) -> int:
    """Number of the newest batch that has ended."""
    return int(np.floor(until.timestamp() / 86400 / width + 1e-9)) - 1


def _open(context: Context, version: int, cycle: str | None, connection: sa.Connection, *, lived: bool = False) -> Watch:
    """The version's watch as the record has it: what this process holds when it is just that, else from its state, else a new one."""
    held = context.watches.get(version)
    if held is not None and cycle is not None and held[0] == cycle:
        # Whoever holds it changes it from here on; until its new state is on record it must not be taken for the old one.
        context.watches = {}
        return held[1]
    predictor = context.predictor(version)
    names = list(predictor.signature)

    def ask(rows: pl.DataFrame) -> np.ndarray:
        return predictor.answer(rows.select(names))

    state = get_watch_state(connection, context.name, version) if cycle is not None else None
    if state is not None:
        return Watch.load(state, ask)
    settings = context.settings.watch
    reference = _reference(context, version)
    if lived:
        reference = _with_lived(context, version, reference, connection)
    return Watch(
        reference,
        ask,
        time="time",
        entity="entity" if context.outline.entity else None,
        columns=names,
        task=context.outline.task,
        false_alarms=settings.false_alarms,
        batch_days=settings.batch_days,
        label_delay_days=max(context.model.horizon_days, 1),
        slices=settings.slices,
        sensitive=settings.sensitive,
    )


def _reference(context: Context, version: int) -> pl.DataFrame:
    """The version's held-out rows with its own answers to them: it was not trained on these."""
    made = context.version(version)
    rows = from_bytes(context.artifacts.get(made.training_set))
    entity, time, label, *names = rows.columns
    held = rows.filter(pl.col(time) > datetime.fromisoformat(made.facts["holdout_from"]))
    sheet = from_bytes(context.artifacts.get(made.facts["sheet"]))
    if sheet.height != held.height:
        held = rows.filter(pl.col(time).is_in(sheet["time"].implode()))
    return held.select(pl.col(entity).alias("entity"), pl.col(time).alias("time"), pl.col(label).alias("label"), *names).with_columns(
        sheet["challenger"].alias("answer")
    )


def _with_lived(context: Context, version: int, held: pl.DataFrame, connection: sa.Connection) -> pl.DataFrame:
    """The held-out rows and those that the version has answered since, as far as their labels are in."""
    last: datetime = held["time"].max()  # type: ignore[assignment]
    rows = representative(context.predictions.rows(since=last, connection=connection))
    rows = rows.filter((pl.col("version") == version) & (pl.col("time") > literal(last))) if rows.height else rows
    known = joined(rows, context.labels.rows(since=last, connection=connection)).drop_nulls("label")
    if known.is_empty():
        return held
    lived = known.select("entity", "time", "label", "answer").hstack(decoded(context, version, known))
    return pl.concat([held, lived.select(held.columns)], how="vertical_relaxed")


def decoded(context: Context, version: int, rows: pl.DataFrame) -> pl.DataFrame:
    """The inputs of rows of the ledger, as the version's columns."""
    signature = context.predictor(version).signature
    kind = pl.Struct({name: _dtype(kind) for name, kind in signature.items()})
    return rows.select(pl.col("inputs").str.json_decode(kind).alias("inputs")).unnest("inputs")


def _update(context: Context, version: int, watching: Watch, until: datetime, connection: sa.Connection) -> list[Signal]:
    width = watching.reference.width
    first = min([watching.closed + 1, *watching.unlabelled])
    predictions = context.predictions.rows(since=_moment(first * width), until=until, connection=connection)
    if predictions.is_empty():
        return []
    mine = representative(predictions.filter(pl.col("version") == version))
    if mine.is_empty():
        return []
    rows = joined(mine, context.labels.rows(since=_moment(first * width), connection=connection))
    fresh = rows.filter(pl.col("time") >= literal(_moment((watching.closed + 1) * width)))
    closing = _moment((_closing(until, width) + 1) * width)
    fresh = fresh.filter(pl.col("time") < literal(closing))
    batch = fresh.select("entity", "time", "answer").hstack(decoded(context, version, fresh))
    labels = rows.filter(pl.col("label").is_not_null()).select("entity", "time", "label")
    return watching.update(batch, labels, until=closing)


def _dtype(kind: str) -> Any:
    return getattr(pl, kind.split("(")[0], pl.String)


def _moment(days: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float(days))


def _said(context: Context, version: int, signal: Signal, connection: sa.Connection) -> Said:
    found = signal.explanation
    if signal.kind == "note":
        words = "; ".join(one.detail or one.kind.replace("_", " ") for one in signal.causes[:2])
        where = ", ".join(dict.fromkeys(one.column for one in signal.causes[:2] if one.column))
        sentence = f"note: {words}{f' ({where})' if where else ''}; no harm is expected of it"
    elif signal.kind == "recovered":
        sentence = f"recovered from the decline since {found.began.at:%-d %B %Y}" if found else "recovered"
    elif signal.kind == "withdrawn":
        sentence = withdrawal(found) if found else "withdrawn"
    else:
        sentence = f"is {_sentence(context, found, connection)}" if found else "is declining"
    facts = {
        "at": signal.at.isoformat(),
        "first": signal.is_first,
        "causes": [json.loads(json.dumps(vars(cause), default=float)) for cause in signal.causes],
        "explanation": plain(found) if found else None,
    }
    return Said(version, signal.at, signal.kind, signal.incident, sentence, facts)


def _sentence(context: Context, explanation: Explanation, connection: sa.Connection) -> str:
    return tell(explanation, task=context.outline.task, changes=changes_near(context, explanation, connection))


def changes_near(context: Context, explanation: Explanation, connection: sa.Connection) -> list[Change]:
    """What the record says was changed near an onset."""
    since, until = explanation.began.low - LOOK_BACK, explanation.began.high
    events = list_events(connection, context.name, kinds=tuple(CHANGED), since=since, until=until)
    return [Change(CHANGED[event.kind], event.as_of, event.sentence.split(": ")[0]) for event in events]  # without the reasons of the gate
