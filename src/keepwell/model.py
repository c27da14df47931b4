"""The scientist's side of the contract: four plain functions and the few facts Keepwell cannot guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Task = Literal["binary", "regression"]
FUNCTIONS = ("gather", "features", "label", "train")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as its scientist writes it.

    Parameters
    ----------
    name : the model's name at every door; lower case letters, digits and dashes.
    gather : ``gather(since, until)`` or ``gather(since, until, *, source)`` -> frame of observations with `entity` and
        `time` columns. `since` and `until` are aware UTC datetimes, both inclusive; `source` is what ``[source]`` in
        keepwell.toml describes.
    features : ``features(observations)`` -> frame, one row per (entity, time). Pure: a row may use observations up to its
        own time and at most `lookback_days` before it. The same function makes training rows and live rows.
    label : ``label(observations)`` -> frame with `entity`, `time` and a column ``label``: the truth of the row of
        that (entity, time), for the rows whose truth is known.
    train : ``train(X, y, *, settings, seed)`` -> a fitted estimator with the scikit-learn predict API. `X` is a frame of
        shape (n, features) without entity and time, `y` a NumPy array of shape (n,), `settings` the free table
        ``[train]`` of keepwell.toml, `seed` an integer.
    time : name of the time column (date or datetime, UTC when naive).
    entity : name of the entity column, or None when there is one single series.
    task : "binary" (label 0 or 1, the answer is a probability) or "regression".
    lookback_days : how many days of observations before its own time a feature row needs.
    horizon_days : how many days after a row's time its truth is known.
    units : optional, ``{column: unit}`` of the observations ("degF", "hPa", "knot", ...); with it a column that begins to
        arrive in another unit is recognised sooner, and by name.
    frame : "polars" (default) or "pandas": the kind of frame the four functions receive. They may return any kind.
    baselines : optional, ``{name: function}``; ``function(train, rows, *, entity, time, horizon)`` -> answers of shape
        (len(rows),). Both frames have entity, time, label and the features, in time order; `horizon` is a timedelta.
        For "binary", climatology and persistence are always there; for "regression", the mean and persistence.
    slices : optional, ``slices(rows)`` -> frame of text columns with as many rows; metrics are shown for each value.
    card : free text for the model card (what it is for, what it is not for).

    Examples
    --------
    >>> model = Model(name="rain", entity="station", time="day", gather=print, features=print, label=print, train=print)
    >>> model.task, model.lookback_days
    ('binary', 0)
    """

    name: str
    gather: Callable[..., Any]
    features: Callable[..., Any]
    label: Callable[..., Any]
    train: Callable[..., Any]
    time: str
    entity: str | None = None
    task: Task = "binary"
    lookback_days: float = 0
    horizon_days: float = 0
    units: Mapping[str, str] = field(default_factory=dict)
    frame: Literal["polars", "pandas"] = "polars"
    baselines: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    slices: Callable[..., Any] | None = None
    card: str = ""
