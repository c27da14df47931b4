"""`keepwell init`: a folder with a model, its settings and, where the example needs them, its observations."""

from __future__ import annotations

import csv
import io
import math
import random
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

from keepwell.errors import NameInvalid, ProjectExists

EXAMPLES = ("plain", "weather")
NAME = re.compile(r"[a-z][a-z0-9-]*")
DAYS = 1000  # of made-up visitors: enough for a first version at once
LIVED_DAYS = 150  # of them that `backfill` lives through
YEARS = 12  # of weather that a live project learns from
LIVE = """\
[source]
kind = "open-meteo"
station = {station}
latitude = {latitude}
longitude = {longitude}
timezone = {timezone}
time = "day"
variables = ["temperature_2m_mean", "temperature_2m_max", "temperature_2m_min", "dew_point_2m_mean",
             "pressure_msl_mean", "wind_speed_10m_mean", "wind_speed_10m_max", "precipitation_sum"]

"""


@dataclass(frozen=True)
class Place:
    """A place on Earth whose weather Open-Meteo is asked for."""

    latitude: float
    longitude: float
    station: str
    timezone: str = "UTC"


@dataclass(frozen=True)
class Made:
    """A new project: its folder, the model's name, the files in it, and the commands to go on with."""

    folder: Path
    model: str
    files: tuple[str, ...]
    next: tuple[str, ...]


def scaffold(folder: Path, example: str = "plain", place: Place | None = None, *, today: date | None = None) -> Made:
    """Make a project in `folder`, whose name becomes the model's.

    Parameters
    ----------
    example : one of `EXAMPLES`.
    place : for the weather example, take live readings of this place instead of the fifty kept years.

    Raises
    ------
    ProjectExists : a file that would be written is there already; nothing is written then.
    NameInvalid : the folder's name cannot be a model's name.
    """
    name = folder.resolve().name
    if not NAME.fullmatch(name):
        raise NameInvalid(name, f"`keepwell init {folder}`")
    today = today or datetime.now(UTC).date()
    contents = _plain(name, today) if example == "plain" else _weather(name, place, today)
    if there := [path for path in contents if (folder / path).exists()]:
        raise ProjectExists(folder, there)
    for path, text in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
    first = _first(example, place, today)
    return Made(folder, name, tuple(contents), (f"cd {folder}", "keepwell check", first, "keepwell status", "keepwell up"))


def _first(example: str, place: Place | None, today: date) -> str:
    """A history to look at, where the data has one."""
    if example == "plain":
        return f"keepwell backfill --from {today - timedelta(days=LIVED_DAYS)}"
    return "keepwell run" if place else "keepwell backfill --from 1949-01-31 --to 1960-01-01 --every 7d"


def init_weather(folder: Path) -> Made:
    """The weather example with its fifty kept years."""
    return scaffold(folder, "weather")


def _plain(name: str, today: date) -> dict[str, str]:
    first = today - timedelta(days=DAYS)
    return {
        "model.py": _template("plain/model.py").replace("NAME", name),
        "keepwell.toml": _template("plain/keepwell.toml").replace("START", first.isoformat()),
        "data/visitors.csv": _visitors(first),
        **_beside("model.py", name),
    }


def _weather(name: str, place: Place | None, today: date) -> dict[str, str]:
    settings = _template("weather/keepwell.toml")
    if place is not None:
        settings = _live(settings, place, date(today.year - YEARS, 1, 1))
    return {
        "rain.py": _template("weather/rain.py").replace('name="rain"', f'name="{name}"'),
        "keepwell.toml": settings,
        **_beside("rain.py", name),
    }


def _beside(file: str, name: str) -> dict[str, str]:
    return {
        ".gitignore": _template("plain/gitignore"),
        "README.md": _template("plain/README.md").replace("NAME", name).replace("model.py", file),
    }


def _live(settings: str, place: Place, start: date) -> str:
    """The settings with Open-Meteo as their source; the example's own notes about sources go."""
    quoted = {name: f'"{value}"' for name, value in (("station", place.station), ("timezone", place.timezone))}
    section = LIVE.format(latitude=place.latitude, longitude=place.longitude, **quoted)
    changed = re.sub(r"^\[source\].*?(?=^\[gather\])", lambda _: section, settings, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r'^start = ".*?"', f'start = "{start.isoformat()}"', changed, flags=re.MULTILINE)


def _template(path: str) -> str:
    return (files("keepwell") / "examples" / path).read_text("utf-8")


def _visitors(first: date) -> str:
    """Made-up visitors: a week's rhythm, a year's warmth, slow growth and chance."""
    draw = random.Random(7)  # noqa: S311, made-up visitors are no secret
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["day", "temperature", "visitors"])
    warmth = 0.0
    for place in range(DAYS):
        day = first + timedelta(days=place)
        warmth = 0.7 * warmth + draw.gauss(0, 2.5)
        temperature = 10 - 9 * math.cos(math.tau * day.timetuple().tm_yday / 365.25) + warmth
        rhythm = (0.8, 0.75, 0.85, 0.95, 1.2, 1.5, 1.3)[day.weekday()]
        visitors = 200 * rhythm * (1 + 0.015 * (temperature - 10)) * (1 + place / 6000) * math.exp(draw.gauss(0, 0.08))
        rows.writerow([day.isoformat(), f"{temperature:.1f}", round(visitors)])
    return text.getvalue()
