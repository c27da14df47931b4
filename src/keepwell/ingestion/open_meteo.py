"""Weather of any place from Open-Meteo: the archive for what is settled, the forecast service for the last few days.

Its manner is documented at https://open-meteo.com/en/docs/historical-weather-api. A refusal is `{"error": true, "reason": "…"}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import polars as pl
from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from keepwell.errors import SourceInvalid
from keepwell.ingestion.options import Options, Secrets, read_options
from keepwell.ingestion.retrying import Patience
from keepwell.ingestion.times import UTC_TIME, between
from keepwell.ingestion.web import Web
from keepwell.settings import GatherSection

NAME = "open-meteo"
ARCHIVE = "https://archive-api.open-meteo.com/v1/archive"
FORECAST = "https://api.open-meteo.com/v1/forecast"
CHUNK_DAYS = {"daily": 3660, "hourly": 366}
DAY = timedelta(days=1)
STEP = {"daily": DAY, "hourly": timedelta(0)}

# How Open-Meteo writes the units one can ask for.
UNITS = {
    "celsius": "°C",
    "fahrenheit": "°F",
    "kmh": "km/h",
    "ms": "m/s",
    "mph": "mp/h",
    "kn": "kn",
    "mm": "mm",
    "inch": "inch",
}


def _names(value: object) -> object:
    """The environment can only hold text: `a, b` is a list too."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class OpenMeteoOptions(Options):
    """The settings of kind "open-meteo"."""

    latitude: float = Field(ge=-90, le=90, description="Degrees north.")
    longitude: float = Field(ge=-180, le=180, description="Degrees east.")
    variables: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(min_length=1, description="Open-Meteo's variable names.")
    resolution: Literal["daily", "hourly"] = Field("daily", description="One row a day or one an hour.")
    station: str | None = Field(None, description="Value of the column `station`; default 'latitude,longitude'.")
    time: str = Field("time", description="Name of the time column.")
    timezone: str = Field("UTC", description="Zone whose days are meant (daily only); a row's time is its date at 00:00 UTC.")
    temperature_unit: Literal["celsius", "fahrenheit"] = Field("celsius", description="Unit of temperatures.")
    wind_speed_unit: Literal["kmh", "ms", "mph", "kn"] = Field("kmh", description="Unit of wind speeds.")
    precipitation_unit: Literal["mm", "inch"] = Field("mm", description="Unit of rain and snow.")
    units: dict[str, str] = Field(default_factory=dict, description="Unit a variable must be answered in, as Open-Meteo writes it.")
    models: str | None = Field(None, description="Weather model of the archive, such as era5; default Open-Meteo's best mix.")
    archive_delay_days: int = Field(5, ge=0, le=80, description="Days younger than this come from the forecast service.")
    archive_url: str = Field(ARCHIVE, description="Address of the archive, or of a mirror.")
    forecast_url: str = Field(FORECAST, description="Address of the forecast service, or of a mirror.")
    apikey: SecretStr | None = Field(None, description="Key of a paid plan; write ${NAME} to read it from the environment.")
    chunk_days: int | None = Field(None, ge=1, description="Most days in one request; default ten years daily, one year hourly.")
    timeout_s: float = Field(30.0, gt=0, description="Longest silence of the server, seconds.")
    max_mb: float = Field(64.0, gt=0, description="Largest answer, megabytes.")

    @field_validator("variables")
    @classmethod
    def _numbers_only(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        clock = {"sunrise", "sunset", "time"} & set(value)
        if clock:
            raise ValueError(f"{', '.join(sorted(clock))} is a time of day, not a measurement; daylight_duration is a number")
        return value

    @model_validator(mode="after")
    def _hours_are_utc(self) -> OpenMeteoOptions:
        if self.resolution == "hourly" and self.timezone not in {"UTC", "GMT"}:
            raise ValueError(f"hourly times are always UTC; timezone '{self.timezone}' only makes sense with resolution 'daily'")
        return self


@dataclass(frozen=True)
class OpenMeteo:
    """Observations of one place.

    Columns: `station`, the time column, and one Float64 column per variable. A day or hour that is not over yet is left out
    (its value would be half forecast), and so is one for which nothing is known. The last `archive_delay_days` come from
    the forecast service and change when the archive has them: `gather.late_days` must be longer than that delay.
    """

    options: OpenMeteoOptions
    web: Web
    apikey: str | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __repr__(self) -> str:
        return f"OpenMeteo({self.station!r}, {list(self.options.variables)})"

    @property
    def station(self) -> str:
        return self.options.station or f"{self.options.latitude:g},{self.options.longitude:g}"

    def __call__(self, since: datetime, until: datetime) -> pl.DataFrame:
        """The observations from `since` to `until`, both inclusive, in time order.

        Raises
        ------
        SourceInvalid : the request was refused, or the answer has other units, variables or lengths than were asked.
        SourceUnavailable : no answer after all tries, or a quota that lasts longer than a cycle may wait.
        """
        now = self.clock()
        frames = [self._empty()]
        with self.web.open() as client:
            for url, first, last in self._requests(since.date(), until.date(), now.date()):
                frames.append(self._ask(client, url, first, last, now))
        return between(pl.concat(frames), self.options.time, since, until)

    def _requests(self, first: date, last: date, today: date) -> Iterator[tuple[str, date, date]]:
        """Address and inclusive days of each request: the archive up to its delay, then the forecast service."""
        settled = today - timedelta(days=self.options.archive_delay_days)
        host = "customer-" if self.apikey else ""
        archive, forecast = (
            url.replace("://", f"://{host}") if url in {ARCHIVE, FORECAST} else url
            for url in (self.options.archive_url, self.options.forecast_url)
        )
        days = self.options.chunk_days or CHUNK_DAYS[self.options.resolution]
        yield from ((archive, *span) for span in _chunks(first, min(last, settled), days))
        yield from ((forecast, *span) for span in _chunks(max(first, settled + DAY), min(last, today), days))

    def _ask(self, client: httpx.Client, url: str, first: date, last: date, now: datetime) -> pl.DataFrame:
        asked = self.options
        params: dict[str, str | float | list[str]] = {
            "latitude": asked.latitude,
            "longitude": asked.longitude,
            "start_date": first.isoformat(),
            "end_date": last.isoformat(),
            asked.resolution: list(asked.variables),
            "timezone": "GMT" if asked.timezone == "UTC" else asked.timezone,
            "temperature_unit": asked.temperature_unit,
            "wind_speed_unit": asked.wind_speed_unit,
            "precipitation_unit": asked.precipitation_unit,
        }
        if asked.models and url.endswith("/archive"):
            params["models"] = asked.models
        if self.apikey:
            params["apikey"] = self.apikey
        return self._frame(self.web.get(client, url, params), now)

    def _frame(self, answer: Any, now: datetime) -> pl.DataFrame:
        asked = self.options
        if isinstance(answer, Mapping) and answer.get("error"):
            raise SourceInvalid(NAME, f"refused: {answer.get('reason', 'no reason given')}", "Check [source].")
        block, units = (_table(answer, name) for name in (asked.resolution, f"{asked.resolution}_units"))
        columns = {name: _column(block, name) for name in ("time", *asked.variables)}
        for name in asked.variables:
            check_unit(name, units.get(name), asked)
            if len(columns[name]) != len(columns["time"]):
                problem = f"answered {len(columns[name])} values of '{name}' for {len(columns['time'])} times"
                raise SourceInvalid(NAME, problem, "Nothing of it was kept.")
        # Hours are asked in UTC. Days keep their local date as key: taking the offset off would give one day two keys, as
        # the answered offset is that of the day of asking, summer or winter.
        offset = timedelta(seconds=answer.get("utc_offset_seconds") or 0)
        try:
            rows = pl.DataFrame(columns, schema_overrides=dict.fromkeys(asked.variables, pl.Float64)).with_columns(
                pl.col("time").cast(pl.String).str.to_datetime(time_unit="us", time_zone="UTC")
            )
        except (TypeError, pl.exceptions.PolarsError):
            problem = "answered values that are not numbers, or times that are not ISO 8601"
            raise SourceInvalid(NAME, problem, "Nothing of it was kept.") from None
        over = pl.col("time") + STEP[asked.resolution] - offset <= now
        known = pl.any_horizontal(pl.col(asked.variables).is_not_null())
        named = rows.filter(over & known).rename({"time": asked.time})
        return named.select(pl.lit(self.station).alias("station"), pl.all())

    def _empty(self) -> pl.DataFrame:
        values = dict.fromkeys(self.options.variables, pl.Float64())
        return pl.DataFrame(schema={"station": pl.String(), self.options.time: UTC_TIME, **values})


def open_open_meteo(given: Mapping[str, Any], folder: Path, gather: GatherSection) -> OpenMeteo:
    """Kind "open-meteo"."""
    options = read_options(NAME, OpenMeteoOptions, given)
    secrets = Secrets(folder)
    apikey = secrets.reveal(options.apikey, "source.apikey") if options.apikey else None
    web = Web(NAME, secrets, Patience.of(gather), options.timeout_s, options.max_mb)
    return OpenMeteo(options, web, apikey)


def check_unit(variable: str, answered: object, asked: OpenMeteoOptions) -> None:
    """Refuse a column that came in another unit than was asked: it would look like a change of the weather.

    Raises
    ------
    SourceInvalid : names the column, the unit asked and the unit found.
    """
    expected = asked.units.get(variable) or expected_unit(variable, asked)
    if not isinstance(answered, str):
        raise SourceInvalid(NAME, f"answered '{variable}' without its unit", "Nothing of it was kept.")
    if expected is not None and answered != expected:
        hint = f"Nothing of it was kept. If '{answered}' is right, set units.{variable} in [source]."
        raise SourceInvalid(NAME, f"answered column '{variable}' in '{answered}', asked was '{expected}'", hint)


def expected_unit(variable: str, asked: OpenMeteoOptions) -> str | None:
    """The unit a variable must come in, by its name; None for names this table does not know.

    Examples
    --------
    >>> asked = OpenMeteoOptions(latitude=41, longitude=-96, variables=("rain_sum",), wind_speed_unit="kn")
    >>> [expected_unit(name, asked) for name in ("wind_gusts_10m_max", "rain_sum", "weather_code")]
    ['kn', 'mm', None]
    """
    is_inch = asked.precipitation_unit == "inch"
    table = (
        (r"(apparent_|soil_|wet_bulb_)?temperature|dew_?point", UNITS[asked.temperature_unit]),
        (r"wind_?(speed|gusts)", UNITS[asked.wind_speed_unit]),
        (r"wind_?direction", "°"),
        (r"(precipitation|rain|showers)(_sum)?$|et0_fao_evapotranspiration", UNITS[asked.precipitation_unit]),
        (r"snowfall(_sum)?$", "inch" if is_inch else "cm"),
        (r"snow_depth|visibility", "ft" if is_inch else "m"),
        (r"pressure_msl|surface_pressure", "hPa"),
        (r"relative_?humidity|cloud_?cover", "%"),
    )
    return next((unit for pattern, unit in table if re.match(pattern, variable)), None)


def _chunks(first: date, last: date, days: int) -> Iterator[tuple[date, date]]:
    """First and last day of each stretch of at most `days` days."""
    while first <= last:
        stop = min(last, first + DAY * (days - 1))
        yield first, stop
        first = stop + DAY


def _table(answer: Any, name: str) -> Mapping[str, Any]:
    table = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(table, Mapping):
        raise SourceInvalid(NAME, f"answered without '{name}'", "Is the address an Open-Meteo service?")
    return table


def _column(block: Mapping[str, Any], name: str) -> list[Any]:
    values = block.get(name)
    if not isinstance(values, list):
        raise SourceInvalid(NAME, f"answered without '{name}'", "Check `variables` in [source] against the documentation.")
    return values
