"""Ask the scientist's `gather` for a window of observations, with patience, and say what is new in it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from keepwell.errors import FunctionBroken, KeepwellError
from keepwell.ingestion.frames import canonical, to_polars
from keepwell.model import Model
from keepwell.settings import GatherSection


@dataclass(frozen=True)
class Window:
    """The span of time a gather asks for, both ends inclusive."""

    since: datetime
    until: datetime


def window(settings: GatherSection, newest: datetime | None, as_of: datetime) -> Window:
    """What to ask for: from the newest known row, less the look-back for late rows, to now.

    Without any known row the window begins at ``gather.start``, or 30 days before `as_of`.
    """
    if newest is not None:
        return Window(min(newest, as_of) - timedelta(days=settings.late_days), as_of)
    if settings.start is not None:
        start = datetime.fromisoformat(settings.start)
        return Window(start if start.tzinfo else start.replace(tzinfo=as_of.tzinfo), as_of)
    return Window(as_of - timedelta(days=30), as_of)


def fetch(model: Model, source: Any, span: Window) -> pl.DataFrame:
    """Call `gather` and bring what it returns into canonical form.

    Raises
    ------
    FunctionBroken : it raised, or returned no usable frame.
    SourceUnavailable, SourceInvalid : the ready-made source failed.
    """
    keywords = {"source": source} if "source" in inspect.signature(model.gather).parameters else {}
    try:
        frame = model.gather(span.since, span.until, **keywords)
    except KeepwellError:
        raise
    except Exception as error:
        raise FunctionBroken("gather", f"raised {type(error).__name__}: {error}") from error
    rows = canonical(to_polars(frame, "gather"), entity=model.entity, time=model.time, what="What 'gather' returned")
    return rows.filter(pl.col(model.time).is_null() | (pl.col(model.time) >= span.since))  # some sources give all they have
