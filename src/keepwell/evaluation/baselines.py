"""What anyone could answer without a model: the season's rate, or the last truth known.

A baseline sees the training labels, and of the judged rows only what was known at each row's time: the newest label whose
row is at least `horizon` older (and always older than the row itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from keepwell.evaluation.intervals import Floats
from keepwell.model import Task

WINDOW_DAYS = 15  # each side of the day of the year: a month of weather is enough for a stable rate, short enough for a season
OWN_ROWS = 730  # an entity with two years of labels has its own climate, others share the pooled one
PRIOR_ROWS = 10.0  # the overall rate weighs as much as ten labels
YEAR = 366


class Baseline(Protocol):
    """``baseline(train, rows, entity=, time=, horizon=)`` -> answers of shape (len(rows),).

    Both frames have the entity, the time and a ``label`` column, sorted by time; labels of `rows` may be null.
    """

    def __call__(self, train: pl.DataFrame, rows: pl.DataFrame, *, entity: str, time: str, horizon: timedelta) -> Floats: ...


def climatology(train: pl.DataFrame, rows: pl.DataFrame, *, entity: str, time: str, horizon: timedelta) -> Floats:
    """The mean training label within 15 days of the row's day of the year, whatever the year.

    Per entity when it has at least two years of labelled rows, else over all; drawn towards the overall mean with the
    weight of ten labels. For 0/1 labels it is a probability, else the seasonal mean. Uses training labels only.

    References
    ----------
    Wilks (2019), Statistical Methods in the Atmospheric Sciences, ch. 9 (climatology as the reference forecast).
    """
    known = train.drop_nulls("label")
    if not known.height:
        return np.full(rows.height, np.nan)
    prior = float(known["label"].cast(pl.Float64).mean())  # type: ignore[arg-type]
    day = _day_of_year(rows[time])
    answers = _season(_day_of_year(known[time]), known["label"].cast(pl.Float64).to_numpy(), prior)[day]
    own = known.group_by(entity).agg(pl.len()).filter(pl.col("len") >= OWN_ROWS)[entity].to_list()
    for name in own if known[entity].n_unique() > 1 else []:
        mine, asked = known.filter(pl.col(entity) == name), (rows[entity] == name).fill_null(False).to_numpy()
        season = _season(_day_of_year(mine[time]), mine["label"].cast(pl.Float64).to_numpy(), prior)
        answers[asked] = season[day[asked]]
    return answers


def _day_of_year(times: pl.Series) -> NDArray[np.intp]:
    return (times.dt.ordinal_day() - 1).to_numpy().astype(np.intp)


def _season(day: NDArray[np.intp], label: Floats, prior: float) -> Floats:
    """The smoothed mean label for each of the 366 days of the year; the year's end joins its beginning."""
    count = _around(np.bincount(day, minlength=YEAR).astype(np.float64))
    total = _around(np.bincount(day, weights=label, minlength=YEAR).astype(np.float64))
    return (total + PRIOR_ROWS * prior) / (count + PRIOR_ROWS)


def _around(daily: Floats) -> Floats:
    ring = np.concatenate([daily[-WINDOW_DAYS:], daily, daily[:WINDOW_DAYS]])
    return np.convolve(ring, np.ones(2 * WINDOW_DAYS + 1), mode="valid")


def last_known(history: pl.DataFrame, rows: pl.DataFrame, *, entity: str, time: str, horizon: timedelta) -> Floats:
    """For each row the entity's newest label that was known at its time; NaN when there was none.

    Known at t are labels of rows with time <= t - horizon, and never the row's own (horizon 0).
    """
    horizon = max(horizon, timedelta(0))
    labels = history.drop_nulls("label").select(
        pl.col(entity), pl.col(time).alias("_known"), pl.col("label").cast(pl.Float64).alias("_last")
    )
    asked = rows.select(pl.col(entity), (pl.col(time) - horizon).alias("_asked")).with_row_index("_row")
    found = asked.sort("_asked").join_asof(
        labels.sort("_known"),
        left_on="_asked",
        right_on="_known",
        by=entity,
        strategy="backward",
        allow_exact_matches=horizon > timedelta(0),
        check_sortedness=False,
    )
    return found.sort("_row")["_last"].fill_null(float("nan")).to_numpy()


def persistence(train: pl.DataFrame, rows: pl.DataFrame, *, entity: str, time: str, horizon: timedelta) -> Floats:
    """How often label 1 followed the last label known, counted on training rows (Laplace-smoothed).

    Without any label known: the training share of ones.
    """
    known = train.drop_nulls("label")
    if not known.height:
        return np.full(rows.height, np.nan)
    label = known["label"].cast(pl.Float64).to_numpy()
    before = last_known(known, known, entity=entity, time=time, horizon=horizon)
    after = {last: (label[before == last].sum() + 1) / ((before == last).sum() + 2) for last in (0.0, 1.0)}
    last = last_known(_both(known, rows, entity, time), rows, entity=entity, time=time, horizon=horizon)
    return np.where(np.isnan(last), float(label.mean()), np.where(last == 1, after[1.0], after[0.0]))


def last_label(train: pl.DataFrame, rows: pl.DataFrame, *, entity: str, time: str, horizon: timedelta) -> Floats:
    """The last label known is the answer; without one, the training mean. Persistence for regression."""
    known = train.drop_nulls("label")
    if not known.height:
        return np.full(rows.height, np.nan)
    last = last_known(_both(known, rows, entity, time), rows, entity=entity, time=time, horizon=horizon)
    return np.where(np.isnan(last), float(known["label"].cast(pl.Float64).mean()), last)  # type: ignore[arg-type]


def _both(train: pl.DataFrame, rows: pl.DataFrame, entity: str, time: str) -> pl.DataFrame:
    columns = [pl.col(entity), pl.col(time), pl.col("label").cast(pl.Float64)]
    return pl.concat([train.select(columns), rows.select(columns)])


BASELINES: Mapping[Task, Mapping[str, Baseline]] = {
    "binary": {"climatology": climatology, "persistence": persistence},
    "regression": {"mean": climatology, "persistence": last_label},
}
