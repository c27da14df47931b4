"""Fifty years of daily weather that come with Keepwell: demos, tests and first days need no network.

Where they come from, their units and their faults: `examples/weather/ATTRIBUTION.md`.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import polars as pl

from keepwell.ingestion.options import Options, read_options
from keepwell.ingestion.times import UTC_TIME
from keepwell.settings import GatherSection

FIRST_DAY = datetime(1949, 1, 1, tzinfo=UTC)
STATION = "KOFF"
DAY = timedelta(days=1)


class Fault(Options):
    """A sensor that reads `scale` times the truth plus `offset` from day `since` to day `until`, both inclusive."""

    column: Literal["temperature", "dew_point", "max_temperature", "min_temperature", "sea_level_pressure", "visibility", "mean_wind_speed"]
    since: date
    until: date
    scale: float = 1.0
    offset: float = 0.0


class Turn(Options):
    """From day `since` on the gauge is a finer one: days on which one sees less than `visibility` miles count as wet too."""

    since: date
    visibility: float = 10.0


class OffuttOptions(Options):
    """Kind 'offutt' takes nothing, or a change that is put into the readings, to see what keeping makes of it."""

    fault: Fault | None = None
    turn: Turn | None = None


@dataclass(frozen=True)
class Offutt:
    """Daily weather at Offutt Air Force Base, 18,159 readings from 1949-01-01, one a day.

    Columns: station ("KOFF"), day (nominal date, 00:00 UTC), temperature, dew_point, max_temperature, min_temperature
    (degrees Fahrenheit), sea_level_pressure (hPa), visibility (miles), mean_wind_speed, max_sustained_wind_speed (knots),
    rain (1 when it rained that day, else 0).

    Examples
    --------
    >>> Offutt()(FIRST_DAY, FIRST_DAY)["temperature"].item()
    19.8
    """

    fault: Fault | None = None
    turn: Turn | None = None

    def __call__(self, since: datetime, until: datetime) -> pl.DataFrame:
        """The readings from `since` to `until`, both inclusive. Cost: O(1); the file is read at the first call."""
        readings = _readings()
        # One row a day without gaps, so the row number is arithmetic; a search would cost more than the slice.
        first = max(0, -((FIRST_DAY - since) // DAY))
        last = (until - FIRST_DAY) // DAY
        found = readings.slice(first, max(0, last - first + 1))
        if self.fault is not None:
            name = self.fault.column
            is_broken = pl.col("day").dt.date().is_between(self.fault.since, self.fault.until)
            broken = (pl.col(name) * self.fault.scale + self.fault.offset).round(1)
            found = found.with_columns(pl.when(is_broken).then(broken).otherwise(name).alias(name))
        if self.turn is not None:
            is_misty = (pl.col("day").dt.date() >= self.turn.since) & (pl.col("visibility") < self.turn.visibility)
            found = found.with_columns(pl.when(is_misty).then(1).otherwise("rain").cast(pl.Int8).alias("rain"))
        return found


def open_offutt(given: Mapping[str, Any], folder: Path, gather: GatherSection) -> Offutt:
    """Kind "offutt"."""
    options = read_options("offutt", OffuttOptions, given)
    return Offutt(options.fault, options.turn)


@lru_cache(maxsize=1)
def _readings() -> pl.DataFrame:
    packed = (files("keepwell") / "examples" / "weather" / "offutt.csv.xz").read_bytes()
    readings = pl.read_csv(lzma.decompress(packed), schema_overrides={"rain": pl.Int8})
    days = _days(readings.height)
    return readings.select(pl.lit(STATION).alias("station"), days, pl.all())


def _days(count: int) -> pl.Series:
    last = FIRST_DAY + DAY * (count - 1)
    return pl.datetime_range(FIRST_DAY, last, interval="1d", eager=True, time_zone="UTC").alias("day").cast(UTC_TIME)
