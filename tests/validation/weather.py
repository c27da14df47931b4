"""Seasonal, autocorrelated daily weather like a real station's, for the tests of this folder."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

START = datetime(2000, 1, 1, tzinfo=UTC)
UNITS = {"temperature": "°F", "dew_point": "°F", "pressure": "hPa", "wind": "knot", "rain_mm": "mm"}


def weather(days: int, seed: int = 1) -> pl.DataFrame:
    """Columns day, temperature and dew_point (°F), pressure (hPa), wind (knot), rain_mm, sky; about 5% of wind is null."""
    rng = np.random.default_rng(seed)
    season = np.cos(2 * np.pi * (np.arange(days) - 200) / 365.25)
    noise = rng.normal(size=(days, 3))
    for at in range(1, days):
        noise[at] = 0.7 * noise[at - 1] + 0.71 * noise[at]
    temperature = 50 + 26 * season + 9 * noise[:, 0]
    wind = 9 * np.exp(0.4 * noise[:, 2])
    wet = rng.random(days) < 0.3
    frame = pl.DataFrame(
        {
            "day": [START + timedelta(days=at) for at in range(days)],
            "temperature": temperature.round(1),
            "dew_point": (temperature - 12 + 3 * rng.normal(size=days)).round(1),
            "pressure": (1016 + 7 * noise[:, 1]).round(1),
            "wind": np.where(rng.random(days) < 0.05, np.nan, wind.round(1)),
            "rain_mm": np.where(wet, rng.exponential(6, days), 0).round(1),
            "sky": rng.choice(["clear", "cloudy", "overcast"], days),
        },
        schema_overrides={"day": pl.Datetime("us", "UTC")},
    )
    return frame.with_columns(pl.col("wind").fill_nan(None))
