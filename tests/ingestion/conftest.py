from collections.abc import Iterator

import pytest
from weather_server import WeatherServer, serving


@pytest.fixture
def weather() -> Iterator[WeatherServer]:
    """A real server that speaks Open-Meteo over the bundled readings."""
    with serving(WeatherServer()) as server:
        yield server
