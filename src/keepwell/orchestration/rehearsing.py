"""Rehearse the way back: load a version from its files again, ask it its golden rows, and take the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from keepwell.deployment import Rehearsed, last_rehearsal, record_rehearsal, way_back
from keepwell.errors import KeepwellError
from keepwell.orchestration.context import Context
from keepwell.training import from_bytes

DAY = timedelta(days=1)


def rehearse(context: Context, number: int, *, at: datetime, by: str, key: str) -> Rehearsed:
    """Load a version anew and hold its answers to its golden rows against those of the day it was built; bit by bit, and timed.

    Everything is read from the artifacts again and its digest checked; the loaded version that this process may hold is not used.
    What fails is a result, not an exception.

    Raises
    ------
    VersionNotFound : there is no such version.
    """
    version = context.version(number)
    begun = time.perf_counter()
    problem, rows = None, 0
    try:
        context.load(number)
        rows = from_bytes(context.artifacts.get(version.facts["golden"]["rows"])).height
    except KeepwellError as error:
        problem = error.message
    except Exception as error:  # the model's code is somebody else's; whatever it raises, nobody can go back to it
        problem = f"{type(error).__name__}: {error}"
    found = Rehearsed(version.number, at, problem is None, time.perf_counter() - begun, rows, problem)
    with context.database.begin() as connection:
        record_rehearsal(connection, context.name, key, found, by)
    return found


def rehearse_when_due(context: Context, as_of: datetime, now: datetime | None = None) -> Rehearsed | None:
    """Once a day, rehearse the version that a rollback would go to; nothing for a moment that has long passed.

    Parameters
    ----------
    now : the present, aware; default the wall clock. A backfill rehearses once, at its end, which is its present.
    """
    if (now or datetime.now(UTC)) - as_of > DAY or context.rehearsed_on == as_of.date():
        return None
    with context.database.read() as connection:
        number = way_back(connection, context.name)
        last = last_rehearsal(connection, context.name, number) if number is not None else None
    context.rehearsed_on = as_of.date()
    if number is None or (last is not None and last.at.date() >= as_of.date()):
        return None
    return rehearse(context, number, at=as_of, by="keepwell", key=f"rehearsed/{number}/{as_of:%Y-%m-%d}")


def rehearsed_today(connection: sa.Connection, model: str, number: int, at: datetime) -> Rehearsed | None:
    """A version's newest rehearsal, when it is of the last day."""
    found = last_rehearsal(connection, model, number)
    return found if found is not None and at - found.at < DAY else None
