"""What a rehearsed life came to, and several of them side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

ALARM_DAYS = 365  # a decline that never ended is judged on this many days


@dataclass(frozen=True)
class Outcome:
    """One policy's life.

    Attributes
    ----------
    score : mean loss by the deciding metric over all answered and labelled rows; `by_year` the same for each calendar year.
    days, days_below : days on which the rolling loss could be judged, and of these, days on which it was above the target.
    builds, promotions, refused : versions built, promoted, refused by the gate.
    alarms, false_alarms : declines told, and those that were none in hindsight: from the onset until its end (or a year later) the mean
        loss of that version's answers was not above what was expected of it.
    seconds : of computing, as if the policy had been alone: builds that another policy had made already count in full.
    """

    policy: str
    what: str
    score: float
    by_year: tuple[tuple[int, float], ...]
    days: int
    days_below: int
    builds: int
    promotions: int
    refused: int
    alarms: int
    false_alarms: int
    cycles: int
    failed: int
    rows: int
    seconds: float
    rolling: tuple[tuple[str, float], ...] = ()  # about a hundred points, for the chart


@dataclass(frozen=True)
class Rehearsal:
    """Policies side by side on the same history; `target` is the loss above which a day counts as below target, one for all."""

    model: str
    metric: str
    since: datetime
    until: datetime
    every_days: float
    window_days: float
    target: float | None
    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def sentence(self) -> str:
        """Which policy scored best, and what the cheapest near it costs."""
        scored = [one for one in self.outcomes if np.isfinite(one.score)]
        if not scored:
            return f"No policy answered a row between {self.since:%Y-%m-%d} and {self.until:%Y-%m-%d}."
        best = min(scored, key=lambda one: one.score)
        near = min((one for one in scored if one.score <= best.score * 1.005), key=lambda one: one.builds)
        first = f"{best.policy} has the lowest {self.metric}, {best.score:.4f}, with {best.builds} builds"
        if near is best:
            return f"{first}."
        return f"{first}; {near.policy} comes within 0.5% of it ({near.score:.4f}) with {near.builds}."

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the sentence; moments as ISO text."""
        return {**asdict(self), "since": self.since.isoformat(), "until": self.until.isoformat(), "sentence": self.sentence}


@dataclass(frozen=True)
class Alarm:
    """A decline that a rehearsed watch told: of which version, since when, told and ended (None: it never did) when."""

    version: int
    onset: datetime
    told: datetime
    ended: datetime | None


def rolling_loss(days: pl.DataFrame, window_days: float, least: int) -> pl.DataFrame:
    """(day, loss) of the mean loss over the `window_days` before the end of each day, where at least `least` rows are in.

    Parameters
    ----------
    days : (day, loss, rows): the sum of losses and the number of rows of each day, in order.
    """
    if days.is_empty():
        return pl.DataFrame(schema={"day": pl.Datetime("us", "UTC"), "loss": pl.Float64})
    span = f"{round(window_days * 24)}h"
    summed = days.select("day", pl.col("loss").rolling_sum_by("day", span), pl.col("rows").rolling_sum_by("day", span))
    return summed.filter(pl.col("rows") >= least).select("day", pl.col("loss") / pl.col("rows"))


def false_alarms(alarms: list[Alarm], rows: pl.DataFrame, expected: dict[int, float]) -> int:
    """How many alarms were none: see `Outcome`. `rows` are (time, version, loss)."""
    found = 0
    for alarm in alarms:
        mine = rows.filter((pl.col("version") == alarm.version) & (pl.col("time") >= alarm.onset))
        last = pl.lit(alarm.ended) if alarm.ended else pl.lit(alarm.onset) + pl.duration(days=ALARM_DAYS)
        mine = mine.filter(pl.col("time") <= last)
        found += bool(mine.height) and float(mine["loss"].mean()) <= expected.get(alarm.version, float("inf"))  # type: ignore[arg-type]
    return found
