"""Look at what no cycle can say because none runs: is everything that should come still coming?"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import sqlalchemy as sa

from keepwell.incidents import Change, Incident, Seen, escalate, list_live, silences
from keepwell.monitoring import last_checkup
from keepwell.notifying import stuck
from keepwell.orchestration.context import Context
from keepwell.orchestration.schedule import next_tick
from keepwell.orchestration.slots import dead_since
from keepwell.orchestration.tending import apply, around_now, max_age, replaced
from keepwell.registry import CHAMPION, list_alias_changes
from keepwell.storage import literal
from keepwell.training import list_runs

GRACE = timedelta(minutes=10)  # a cycle that is due may still be at work


def look(context: Context, now: datetime) -> list[Change]:
    """Notice silence, end what came back, and tell further who has not been answered. Answers what changed; most often nothing.

    Cheap when there is nothing: it only reads then.
    """
    dead = tuple(dead_since(context.database, context.name))
    with context.database.read() as connection:
        seen = seen_now(connection, context, dead, now)
        if not _is_news(connection, context, seen, now):
            return []
    with context.database.begin() as connection:  # looked at again: another process may have been faster
        seen = seen_now(connection, context, dead, now)
        lives = list_live(connection, context.name)
        faults, ends = silences(context.settings.silence, seen, now)
        ends += replaced(connection, context, lives, _champion(connection, context)[0])
        return apply(connection, context, lives, faults, ends, around_now(connection, context, now), now)


def _is_news(connection: sa.Connection, context: Context, seen: Seen, now: datetime) -> bool:
    lives = list_live(connection, context.name)
    faults, ends = silences(context.settings.silence, seen, now)
    ringing = {name for incident in lives for name in incident.ringing}
    changed = any(fault.id not in ringing for fault in faults) or any(end.id in ringing for end in ends)
    return changed or bool(replaced(connection, context, lives, _champion(connection, context)[0])) or _is_late(context, lives, now)


def _is_late(context: Context, lives: list[Incident], now: datetime) -> bool:
    return any(escalate(incident, context.settings.escalation, now) is not None for incident in lives if incident.is_open)


def seen_now(connection: sa.Connection, context: Context, dead: tuple[tuple[str, datetime], ...], now: datetime) -> Seen:
    """What the record says about what should come."""
    settings = context.settings
    silence = settings.silence
    checkup = last_checkup(connection, context.name)
    newest = checkup.facts.get("newest") if checkup else None
    champion, since = _champion(connection, context)
    until = context.version(champion).facts["trained_until"] if champion is not None else None
    runs = list_runs(connection, context.name, 1)
    late = timedelta(minutes=settings.notify.stuck_minutes)
    return Seen(
        checked=checkup.as_of if checkup else None,
        cycle_due=_due(context, checkup.as_of) if checkup else None,
        newest=datetime.fromisoformat(newest) if newest else None,
        data_days=silence.data_days or settings.check.max_age_days,
        asked=_asked(connection, context, since, now) if silence.traffic_hours is not None else None,
        dead=dead,
        stuck=tuple((one.since, one.sentence) for one in stuck(connection, now, late, context.name)),
        trained_until=datetime.fromisoformat(until) if until else None,
        built=runs[0].as_of if runs else None,
        max_age=max_age(context),
    )


def _champion(connection: sa.Connection, context: Context) -> tuple[int | None, datetime | None]:
    changes = list_alias_changes(connection, context.name, CHAMPION)
    return (changes[-1].number, changes[-1].since) if changes else (None, None)


def _due(context: Context, checked: datetime) -> datetime | None:
    """By when the next cycles had to have come; None without a schedule."""
    schedule = context.settings.schedule
    if schedule.cron is None:
        return None
    moment: datetime | None = checked
    for _ in range(context.settings.silence.missed_cycles):
        moment = next_tick(schedule.cron, schedule.timezone, moment) if moment is not None else None
    return moment + GRACE if moment is not None else None


def _asked(connection: sa.Connection, context: Context, since: datetime | None, now: datetime) -> datetime | None:
    """When the server answered last, or since when a version serves; None when none does."""
    if since is None:
        return None
    span = timedelta(hours=context.settings.silence.traffic_hours or 0) + timedelta(days=1)
    rows = context.predictions.rows(since=now - span, connection=connection)
    made = rows.filter((pl.col("origin") != "batch") & (pl.col("made_at") <= literal(now)))["made_at"].max() if rows.height else None
    return max(since, made) if isinstance(made, datetime) else since
