"""How many visitors come tomorrow: replace these four functions with your own.

The engineer's side is keepwell.toml beside this file. `keepwell check` says whether both are right.
"""

import polars as pl
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keepwell import Model


def gather(since, until, *, source):
    """The observations between two times; `source` is what [source] in keepwell.toml describes."""
    return source(since, until)


def features(observations):
    """What is known on the evening of each day. A row may use its own day and days before it, never later ones."""
    tomorrow = (pl.col("day") + pl.duration(days=1)).dt.weekday()
    rows = observations.sort("day").select(
        "day",
        "visitors",
        "temperature",
        last_week=pl.col("visitors").rolling_mean_by("day", "7d"),
        same_weekday=pl.col("visitors").shift(6),
        **{f"weekday_{number}": (tomorrow == number).cast(pl.Float64) for number in range(1, 7)},
    )
    return rows.drop_nulls()


def label(observations):
    """The visitors of the day after, for the days whose day after is known."""
    return observations.sort("day").select("day", label=pl.col("visitors").shift(-1).cast(pl.Float64)).drop_nulls()


def train(X, y, *, settings, seed):
    """Anything with the scikit-learn predict API."""
    return make_pipeline(StandardScaler(), Ridge(alpha=settings["alpha"], random_state=seed)).fit(X, y)


model = Model(
    name="NAME",
    gather=gather,
    features=features,
    label=label,
    train=train,
    time="day",
    task="regression",
    lookback_days=7,
    horizon_days=1,
    card="Visitors expected tomorrow, to plan who works. The data is made up: replace it.",
)
