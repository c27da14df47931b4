"""The newest rehearsal of a model stays on record, so that a page can show it and say when it was made."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime
from typing import Any

from keepwell.orchestration import Context
from keepwell.rehearsal.outcomes import Outcome, Rehearsal
from keepwell.retraining import get_rehearsal, put_rehearsal


def keep(context: Context, found: Rehearsal, at: datetime) -> None:
    """Keep what a rehearsal came to, in place of the one before."""
    plain = {**asdict(found), "since": found.since.isoformat(), "until": found.until.isoformat()}
    with context.database.begin() as connection:
        put_rehearsal(connection, context.name, at, _known(plain))


def kept(context: Context) -> tuple[datetime, Rehearsal] | None:
    """When policies were rehearsed last, and what they came to; None when they never were."""
    with context.database.read() as connection:
        found = get_rehearsal(connection, context.name)
    if found is None:
        return None
    at, known = found
    moments = {name: datetime.fromisoformat(known[name]) for name in ("since", "until")}
    return at, Rehearsal(**{**known, **moments, "outcomes": tuple(_outcome(one) for one in known["outcomes"])})


def _outcome(known: dict[str, Any]) -> Outcome:
    series = {name: tuple((at, _number(value)) for at, value in known[name]) for name in ("by_year", "rolling")}
    return Outcome(**{**known, **series, "score": _number(known["score"])})


def _known(value: Any) -> Any:
    """Without what is no number: a database may refuse it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items()}
    return [_known(one) for one in value] if isinstance(value, (list, tuple)) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
