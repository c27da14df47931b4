"""The outbox, and what came of each notice at each channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from keepwell.notifying.records import DIGEST, GIVEN_UP, HELD, NOBODY, PENDING, SENT, TEST, Delivery, Kept, Notice, Stuck, Told
from keepwell.storage import insert_once
from keepwell.storage.schema import facts, integer, metadata, moment, text

outbox = sa.Table(
    "outbox",
    metadata,
    text("model", primary=True),
    integer("number", primary=True),  # counted per model, so that a cursor is as good after a restore
    text("key"),
    text("kind"),
    text("subject"),
    text("severity"),
    text("sentence"),
    moment("at"),
    moment("created"),
    moment("planned", nullable=True),  # when it was decided whom it goes to
    facts("recipients"),
    facts(),
    sa.UniqueConstraint("model", "key"),
    sa.Index(None, "model", "planned"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    text("model", primary=True),
    integer("number", primary=True),
    text("channel", primary=True),
    text("person", nullable=True),
    text("state"),
    integer("tries"),
    moment("next_try", nullable=True),
    text("holder", nullable=True),  # who is sending it, until when
    moment("held_until", nullable=True),
    text("problem", nullable=True),
    moment("changed"),
    sa.Index(None, "model", "state"),
)

NO_FACTS = (DIGEST, TEST)


# --- notices ----------------------------------------------------------------------------------------------------------


def enqueue(connection: sa.Connection, model: str, key: str, notice: Notice) -> bool:
    """Keep something to be told, in the transaction of the fact it tells; once per (model, key). True when it is new.

    Nothing is sent here: that is done later, by whoever runs a `Sender`.
    """
    from sqlalchemy.dialects import postgresql, sqlite

    insert: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    number = sa.select(sa.func.coalesce(sa.func.max(outbox.c.number), 0) + 1).where(outbox.c.model == model).scalar_subquery()
    values = {
        "model": model,
        "number": number,
        "key": key,
        "kind": notice.kind,
        "subject": notice.subject,
        "severity": notice.severity,
        "sentence": notice.sentence,
        "at": notice.at,
        "created": datetime.now(UTC),
        "planned": None,
        "recipients": list(dict.fromkeys(notice.recipients)),
        "facts": notice.facts,
    }
    # Only a key that is there already may be passed over; write transactions take turns, so no number comes twice.
    row = insert(outbox).values(**values).on_conflict_do_nothing(index_elements=["model", "key"]).returning(sa.literal_column("1"))
    return connection.execute(row).first() is not None


def get_notice(connection: sa.Connection, model: str, key: str) -> Kept | None:
    """One notice, or None."""
    row = connection.execute(sa.select(outbox).where(outbox.c.model == model, outbox.c.key == key)).first()
    return _kept(row) if row else None


def list_unplanned(connection: sa.Connection, model: str, limit: int) -> list[Kept]:
    """The oldest notices for which nobody has decided yet whom they go to."""
    query = sa.select(outbox).where(outbox.c.model == model, outbox.c.planned.is_(None))
    return [_kept(row) for row in connection.execute(query.order_by(outbox.c.number).limit(limit))]


def list_events_after(connection: sa.Connection, model: str, after: int, limit: int) -> list[Kept]:
    """Facts that were told, after a cursor, oldest first. Digests and tests tell of none."""
    query = sa.select(outbox).where(outbox.c.model == model, outbox.c.number > after, outbox.c.kind.not_in(NO_FACTS))
    return [_kept(row) for row in connection.execute(query.order_by(outbox.c.number).limit(limit))]


def list_told(connection: sa.Connection, model: str, states: Sequence[str] = (), limit: int | None = None) -> list[Told]:
    """The newest notices, or those with a delivery in one of these states, with all deliveries; newest first."""
    query = sa.select(outbox).where(outbox.c.model == model)
    if states:
        some = sa.select(deliveries.c.number).where(deliveries.c.model == model, deliveries.c.state.in_(states))
        query = query.where(outbox.c.number.in_(some))
    kept = [_kept(row) for row in connection.execute(query.order_by(outbox.c.number.desc()).limit(limit))]
    found: dict[int, list[Delivery]] = {one.number: [] for one in kept}
    if kept:
        query = sa.select(deliveries).where(deliveries.c.model == model, deliveries.c.number.between(kept[-1].number, kept[0].number))
        for row in connection.execute(query.order_by(deliveries.c.number, deliveries.c.channel)):
            if row.number in found:
                found[row.number].append(_delivery(row))
    return [Told(one, tuple(found[one.number])) for one in kept]


def mark_planned(connection: sa.Connection, model: str, number: int, now: datetime) -> None:
    """Keep that it was decided whom a notice goes to."""
    connection.execute(sa.update(outbox).where(outbox.c.model == model, outbox.c.number == number).values(planned=now))


# --- deliveries -------------------------------------------------------------------------------------------------------


def add_deliveries(connection: sa.Connection, model: str, found: Iterable[Delivery], now: datetime) -> None:
    """Keep where a notice goes; once per (notice, channel)."""
    for one in found:
        values = {
            "number": one.number,
            "channel": one.channel,
            "person": one.person,
            "state": one.state,
            "tries": one.tries,
            "next_try": one.next_try,
            "problem": one.problem,
        }
        insert_once(connection, deliveries, {"model": model, **values, "changed": now})


def count_told(connection: sa.Connection, model: str, person: str, since: datetime) -> int:
    """How many notices a person was, or will be, sent of those that were planned since a moment."""
    query = (
        sa.select(sa.func.count(sa.distinct(deliveries.c.number)))
        .select_from(deliveries.join(outbox, (outbox.c.model == deliveries.c.model) & (outbox.c.number == deliveries.c.number)))
        .where(deliveries.c.model == model, deliveries.c.person == person, deliveries.c.state.in_((PENDING, SENT, GIVEN_UP)))
        .where(outbox.c.planned >= since, outbox.c.kind.not_in(NO_FACTS))
    )
    return int(connection.execute(query).scalar_one())


def list_held(connection: sa.Connection, model: str) -> list[tuple[str, Kept, datetime]]:
    """(person, notice, when it was held back) of what waits for a digest, oldest first."""
    query = (
        sa.select(deliveries.c.person, deliveries.c.changed, outbox)
        .join(outbox, (outbox.c.model == deliveries.c.model) & (outbox.c.number == deliveries.c.number))
        .where(deliveries.c.model == model, deliveries.c.state == HELD)
        .order_by(deliveries.c.person, outbox.c.number, deliveries.c.channel)
    )
    found = {(row.person, row.number): (row.person, _kept(row), row.changed) for row in connection.execute(query)}
    return list(found.values())


def end_held(connection: sa.Connection, model: str, person: str, numbers: Sequence[int], state: str, problem: str, now: datetime) -> None:
    """What was held back for a person is in a digest now, or too old for one."""
    mine = (deliveries.c.model == model) & (deliveries.c.person == person) & (deliveries.c.state == HELD)
    connection.execute(
        sa.update(deliveries).where(mine & deliveries.c.number.in_(numbers)).values(state=state, problem=problem, changed=now)
    )


def has_work(connection: sa.Connection, model: str, now: datetime, latest: datetime, week: datetime) -> bool:
    """Is there a notice to plan, one to send, or one held back since before this `week`?

    A next try after `latest` comes from a clock that went wrong, and is due.
    """
    mine = deliveries.c.model == model
    unplanned = sa.exists().where(outbox.c.model == model, outbox.c.planned.is_(None))
    due = sa.or_(deliveries.c.next_try <= now, deliveries.c.next_try > latest)
    pending = sa.exists().where(mine, deliveries.c.state == PENDING, due)
    held = sa.exists().where(mine, deliveries.c.state == HELD, deliveries.c.changed < week)
    return bool(connection.execute(sa.select(sa.or_(unplanned, pending, held))).scalar())


def list_heads(connection: sa.Connection, model: str) -> list[tuple[Delivery, Kept, str | None, datetime | None]]:
    """The oldest pending delivery of each channel, its notice, who is sending it and until when he may."""
    first = (
        sa.select(deliveries.c.channel, sa.func.min(deliveries.c.number).label("number"))
        .where(deliveries.c.model == model, deliveries.c.state == PENDING)
        .group_by(deliveries.c.channel)
        .subquery()
    )
    query = (
        sa.select(*(column.label(f"delivery_{column.name}") for column in deliveries.columns), outbox)
        .join(first, (first.c.channel == deliveries.c.channel) & (first.c.number == deliveries.c.number))
        .join(outbox, (outbox.c.model == deliveries.c.model) & (outbox.c.number == deliveries.c.number))
        .where(deliveries.c.model == model)
        .order_by(deliveries.c.number, deliveries.c.channel)
    )
    return [(_delivery(row, "delivery_"), _kept(row), row.delivery_holder, row.delivery_held_until) for row in connection.execute(query)]


def hold(connection: sa.Connection, model: str, one: Delivery, holder: str, until: datetime) -> None:
    """Keep that somebody is sending it now."""
    connection.execute(sa.update(deliveries).where(_is(model, one)).values(holder=holder, held_until=until))


def mark(connection: sa.Connection, model: str, after: Delivery, now: datetime, holder: str | None = None) -> None:
    """Keep what came of a try. With a `holder` only when it is still his, so that a late failure does not undo another's try."""
    mine = _is(model, after) & (deliveries.c.state == PENDING)
    if holder is not None:
        mine &= deliveries.c.holder == holder
    values = {"state": after.state, "tries": after.tries, "next_try": after.next_try, "problem": after.problem, "changed": now}
    connection.execute(sa.update(deliveries).where(mine).values(**values, holder=None, held_until=None))


def has_unsent(connection: sa.Connection, model: str, number: int) -> bool:
    """Has a notice a delivery that could be tried again?"""
    states = (PENDING, GIVEN_UP, NOBODY)
    found = sa.exists().where(deliveries.c.model == model, deliveries.c.number == number, deliveries.c.state.in_(states))
    return bool(connection.execute(sa.select(found)).scalar())


def try_again(connection: sa.Connection, model: str, numbers: Sequence[int], now: datetime) -> int:
    """Send at once what waits for its next try or was given up: these, or all but tests that failed. Answers how many deliveries."""
    mine = (deliveries.c.model == model) & deliveries.c.state.in_((PENDING, GIVEN_UP))
    if numbers:
        mine &= deliveries.c.number.in_(numbers)
    else:
        tests = sa.select(outbox.c.number).where(outbox.c.model == model, outbox.c.kind == TEST)
        mine &= sa.or_(deliveries.c.state == PENDING, deliveries.c.number.not_in(tests))
    values = {"state": PENDING, "tries": 0, "next_try": now, "changed": now}
    return int(connection.execute(sa.update(deliveries).where(mine).values(**values)).rowcount)


def plan_again(connection: sa.Connection, model: str, numbers: Sequence[int]) -> int:
    """Decide anew whom those notices go to that reached nobody. Answers how many notices."""
    mine = (deliveries.c.model == model) & (deliveries.c.state == NOBODY)
    if numbers:
        mine &= deliveries.c.number.in_(numbers)
    found = list(connection.execute(sa.select(deliveries.c.number).distinct().where(mine)).scalars())
    connection.execute(sa.delete(deliveries).where(mine))
    connection.execute(sa.update(outbox).where(outbox.c.model == model, outbox.c.number.in_(found)).values(planned=None))
    return len(found)


def _is(model: str, one: Delivery) -> sa.ColumnElement[bool]:
    return (deliveries.c.model == model) & (deliveries.c.number == one.number) & (deliveries.c.channel == one.channel)


# --- what does not arrive ---------------------------------------------------------------------------------------------


def stuck(connection: sa.Connection, now: datetime, limit: timedelta, model: str | None = None) -> list[Stuck]:
    """Channels whose oldest notice waits longer than `limit`, or that gave their newest one up; and notices nobody looked at.

    Parameters
    ----------
    model : only this one; default every model of the record.
    """
    of = (lambda column: column == model) if model is not None else (lambda column: sa.true())
    joined = deliveries.join(outbox, (outbox.c.model == deliveries.c.model) & (outbox.c.number == deliveries.c.number))
    waiting = (
        sa.select(
            deliveries.c.model,
            deliveries.c.channel,
            sa.func.min(outbox.c.planned).label("since"),
            sa.func.count().label("waiting"),
            sa.func.min(deliveries.c.number).label("oldest"),
        )
        .select_from(joined)
        .where(deliveries.c.state == PENDING, of(deliveries.c.model))
        .group_by(deliveries.c.model, deliveries.c.channel)
    )
    found = []
    for row in connection.execute(waiting):
        if now - row.since > limit:
            said = _problem(connection, row.model, row.channel, row.oldest) or "no process has tried to send it"
            found.append(Stuck(row.model, row.channel, row.since, row.waiting, said))
    late = (
        sa.select(outbox.c.model, sa.func.min(outbox.c.created).label("since"), sa.func.count().label("waiting"))
        .where(outbox.c.planned.is_(None), of(outbox.c.model))
        .group_by(outbox.c.model)
    )
    for row in connection.execute(late):
        if now - row.since > limit:
            said = "no process sends; `keepwell up`, `keepwell work` and `keepwell run` do"
            found.append(Stuck(row.model, "the outbox", row.since, row.waiting, said))
    known = {(one.model, one.channel) for one in found}
    return [*found, *(one for one in _given_up(connection, of) if (one.model, one.channel) not in known)]


def _given_up(connection: sa.Connection, of: Any) -> list[Stuck]:
    """Channels of which the newest delivery that ended was given up."""
    some = sa.select(deliveries.c.model, deliveries.c.channel).where(deliveries.c.state == GIVEN_UP, of(deliveries.c.model)).distinct()
    found = []
    for at in connection.execute(some).all():
        ended = (
            sa.select(deliveries)
            .where(deliveries.c.model == at.model, deliveries.c.channel == at.channel, deliveries.c.state.in_((SENT, GIVEN_UP)))
            .order_by(deliveries.c.number.desc())
            .limit(1)
        )
        newest = connection.execute(ended).one()
        if newest.state == GIVEN_UP:
            found.append(Stuck(newest.model, newest.channel, newest.changed, 0, newest.problem or ""))
    return found


def _problem(connection: sa.Connection, model: str, channel: str, number: int) -> str | None:
    query = sa.select(deliveries.c.problem).where(_is(model, Delivery(number, channel, None, PENDING)))
    said: str | None = connection.execute(query).scalar()
    return said


def unreached(connection: sa.Connection, model: str) -> dict[str, int]:
    """Person -> how many notices were for this person while nobody knew how to reach him or her."""
    query = sa.select(deliveries.c.person, sa.func.count()).where(deliveries.c.model == model, deliveries.c.state == NOBODY)
    return {row[0]: row[1] for row in connection.execute(query.group_by(deliveries.c.person).order_by(deliveries.c.person))}


def _kept(row: Any) -> Kept:
    notice = Notice(row.kind, row.subject, row.sentence, row.severity, tuple(row.recipients), row.at, row.facts)
    return Kept(row.model, row.number, row.key, row.created, notice, row.planned)


def _delivery(row: Any, prefix: str = "") -> Delivery:
    names = ("number", "channel", "person", "state", "tries", "next_try", "problem", "changed")
    return Delivery(**{name: getattr(row, f"{prefix}{name}") for name in names})
