"""Tomorrow's chance of rain, from what a weather station knows today.

The scientist's side: four functions on polars frames. The engineer's side is keepwell.toml beside this file.
"""

from math import tau

import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from keepwell import Model

OPEN_METEO = {  # its names -> ours; it has no daily visibility, so that feature is left out
    "temperature_2m_mean": "temperature",
    "temperature_2m_max": "max_temperature",
    "temperature_2m_min": "min_temperature",
    "dew_point_2m_mean": "dew_point",
    "pressure_msl_mean": "sea_level_pressure",
    "wind_speed_10m_mean": "mean_wind_speed",
    "wind_speed_10m_max": "max_sustained_wind_speed",
}
LEVELS = ["temperature", "sea_level_pressure", "mean_wind_speed", "max_sustained_wind_speed", "visibility"]
MOVING = ["temperature", "dew_point", "sea_level_pressure"]
SEASONS = {0: "winter", 1: "spring", 2: "summer", 3: "autumn"}


def gather(since, until, *, source):
    """Daily readings of one or more stations, whichever source keepwell.toml names."""
    readings = source(since, until).rename(OPEN_METEO, strict=False)
    if "precipitation_sum" in readings.columns:
        wet = pl.col("precipitation_sum") > 0.1  # mm; less is dew, not rain
        readings = readings.with_columns(rain=wet.cast(pl.Int8)).drop("precipitation_sum")
    return readings


def on_day(column, offset):
    """The column's value `offset` days away, null where that day is missing: the row beside it may be another day's."""
    day, value = (pl.col(name).shift(-offset).over("station") for name in ("day", column))
    return pl.when(day == pl.col("day") + pl.duration(days=offset)).then(value)


def features(observations):
    """What is known on the evening of each day: the readings, how they moved since yesterday, and the season."""
    season = pl.col("day").dt.ordinal_day() * (tau / 365.25)
    rows = observations.sort("station", "day").select(
        "station",
        "day",
        *[name for name in LEVELS if name in observations.columns],
        dew_point_depression=pl.col("temperature") - pl.col("dew_point"),
        temperature_range=pl.col("max_temperature") - pl.col("min_temperature"),
        **{f"{name}_change": pl.col(name) - on_day(name, -1) for name in MOVING},
        rained=pl.col("rain").cast(pl.Float64),
        rain_share=pl.col("rain").cast(pl.Float64).rolling_mean_by("day", "14d").over("station"),
        season_sin=season.sin(),
        season_cos=season.cos(),
    )
    return rows.drop_nulls()


def label(observations):
    """Whether it rained on the day after: known one day later."""
    rows = observations.sort("station", "day").select("station", "day", label=on_day("rain", 1))
    return rows.drop_nulls()


def train(X, y, *, settings, seed):
    """Logistic regression on all products of two features: warm *and* falling pressure means more than each alone."""
    products = PolynomialFeatures(settings["degree"], include_bias=False)
    weights = LogisticRegression(C=settings["C"], solver="newton-cholesky", random_state=seed)
    return make_pipeline(StandardScaler(), products, StandardScaler(), weights).fit(X, y)


def slices(rows):
    """Where the model must hold: in every season."""
    return rows.select(season=(pl.col("day").dt.month() % 12 // 3).replace_strict(SEASONS, return_dtype=pl.String))


model = Model(
    name="rain",
    gather=gather,
    features=features,
    label=label,
    train=train,
    slices=slices,
    time="day",
    entity="station",
    lookback_days=14,  # the rain share looks back furthest
    horizon_days=1,
    card="Chance of rain tomorrow at the station, from its own readings of today. Not for warnings: it sees no forecast and no radar.",
)
