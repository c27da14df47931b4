"""A small real HTTP server that speaks Open-Meteo over the bundled Offutt readings, faults on demand.

It checks its parameters as the real one does and answers errors in the same words. Two things differ: the place is always
Offutt, and `precipitation_sum` is 1 mm on a day of rain (the readings only tell whether it rained).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from keepwell.ingestion.readings import Offutt

COLUMNS = {
    "temperature_2m_mean": "temperature",
    "temperature_2m_max": "max_temperature",
    "temperature_2m_min": "min_temperature",
    "dew_point_2m_mean": "dew_point",
    "pressure_msl_mean": "sea_level_pressure",
    "visibility_mean": "visibility",
    "wind_speed_10m_mean": "mean_wind_speed",
    "wind_speed_10m_max": "max_sustained_wind_speed",
    "precipitation_sum": "rain",
}
LIMITS = {
    "temperature_unit": ("celsius", "fahrenheit"),
    "wind_speed_unit": ("kmh", "ms", "mph", "kn"),
    "precipitation_unit": ("mm", "inch"),
}
SPEEDS = {"kmh": ("km/h", 1.852), "ms": ("m/s", 0.5144), "mph": ("mp/h", 1.1508), "kn": ("kn", 1.0)}


@dataclass
class Answer:
    """What goes over the wire; `cut` bytes are promised and not sent."""

    status: int = 200
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    raw: bytes | None = None


Fault = Callable[[Answer], Answer]


def refusal(status: int, reason: str, **headers: str) -> Fault:
    return lambda _: Answer(status, {"error": True, "reason": reason}, {name.replace("_", "-"): value for name, value in headers.items()})


def cut(answer: Answer) -> Answer:
    """The connection breaks in the middle of the body."""
    return Answer(answer.status, answer.content, cut=40)


def half(answer: Answer) -> Answer:
    """A proxy answers half the body and says that was all."""
    body = json.dumps(answer.content).encode()
    return Answer(raw=body[: len(body) // 2])


def edited(change: Callable[[dict[str, Any]], Any]) -> Fault:
    """The right answer, changed in place."""

    def fault(answer: Answer) -> Answer:
        change(answer.content)
        return answer

    return fault


@dataclass
class WeatherServer:
    """`asked` holds path and query of every request; each request uses up one of `faults`."""

    today: date = date(1998, 9, 30)
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    faults: list[Fault | None] = field(default_factory=list)
    url: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of an open-meteo source that reads from here."""
        return {
            "kind": "open-meteo",
            "latitude": 41.12,
            "longitude": -95.91,
            "variables": list(COLUMNS),
            "archive_url": f"{self.url}/v1/archive",
            "forecast_url": f"{self.url}/v1/forecast",
        }

    def answer(self, path: str, query: dict[str, list[str]]) -> Answer:
        try:
            return Answer(content=self._weather(path, query))
        except ValueError as error:
            return Answer(400, {"error": True, "reason": str(error)})

    def _weather(self, path: str, query: dict[str, list[str]]) -> dict[str, Any]:
        first, last = (date.fromisoformat(query[name][0]) for name in ("start_date", "end_date"))
        oldest = date(1940, 1, 1) if path == "/v1/archive" else self.today - timedelta(days=93)
        for name, day in (("start_date", first), ("end_date", last)):
            newest = self.today + timedelta(days=15)
            if not oldest <= day <= newest:
                raise ValueError(f"Parameter '{name}' is out of allowed range from {oldest} to {newest}")
        units = {name: query.get(name, [allowed[0]])[0] for name, allowed in LIMITS.items()}
        for name, allowed in LIMITS.items():
            if units[name] not in allowed:
                raise ValueError(f"Data corrupted at path '{name}'. Cannot initialize from invalid String value {units[name]}.")
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        span = [datetime.combine(day, time(), UTC) for day in (first, last)]
        readings = {row["day"].date(): row for row in Offutt()(*span).iter_rows(named=True)}
        daily: dict[str, Any] = {"time": [day.isoformat() for day in days]}
        daily_units = {"time": "iso8601"}
        for variable in query.get("daily", []):
            if variable not in COLUMNS:
                raise ValueError(f"Data corrupted at path ''. Cannot initialize Variable from invalid String value {variable}.")
            daily_units[variable] = _unit(variable, units)
            column = COLUMNS[variable]
            daily[variable] = [_in_unit(readings[day][column], daily_units[variable]) if day in readings else None for day in days]
        place = {"latitude": 41.124, "longitude": -95.914, "elevation": 319.0, "generationtime_ms": 0.1}
        zone = {"utc_offset_seconds": 0, "timezone": query["timezone"][0], "timezone_abbreviation": "GMT"}
        return {**place, **zone, "daily_units": daily_units, "daily": daily}


def _unit(variable: str, units: dict[str, str]) -> str:
    if variable.startswith(("temperature", "dew_point")):
        return {"celsius": "°C", "fahrenheit": "°F"}[units["temperature_unit"]]
    if variable.startswith("wind"):
        return SPEEDS[units["wind_speed_unit"]][0]
    if variable.startswith("precipitation"):
        return units["precipitation_unit"]
    if variable.startswith("visibility"):
        return "ft" if units["precipitation_unit"] == "inch" else "m"
    return "hPa"


def _in_unit(value: float, unit: str) -> float:
    """From the readings' own units: degrees Fahrenheit, knots, miles, hPa."""
    speeds = dict(SPEEDS.values())
    if unit in speeds:
        return round(value * speeds[unit], 2)
    if unit == "°C":
        return round((value - 32) / 1.8, 2)
    return {"m": value * 1609.344, "ft": value * 5280, "inch": value / 25.4}.get(unit, value)


@contextmanager
def serving(server: WeatherServer) -> Iterator[WeatherServer]:
    """Listen on a free loopback port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            server.asked.append((parts.path, query))
            answer = server.answer(parts.path, query)
            if server.faults and (fault := server.faults.pop(0)) is not None:
                answer = fault(answer)
            send(self, answer)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with listening(Handler) as url:
        server.url = url
        yield server


def send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    body = json.dumps(answer.content).encode() if answer.raw is None else answer.raw
    handler.send_response(answer.status)
    for name, value in {"content-type": "application/json", **answer.headers, "content-length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body[: len(body) - answer.cut])


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a handler in a thread; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()
