"""What `keepwell check` proves besides look-ahead: that no entity's rows get into another's features, and that labels are final."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from keepwell.ingestion import key_of
from keepwell.model import Model
from keepwell.training.features import different, features_of, labels_of

MOST_ALONE = 3  # entities whose features are made from their own rows alone
CUTS = 8  # moments at which labels are asked for with the rows up to there


@dataclass(frozen=True)
class Mixed:
    """Features of one entity that other entities' rows change; `by_order`: already the order in which those come does."""

    features: tuple[str, ...]
    example: str
    by_order: bool


@dataclass(frozen=True)
class Early:
    """Labels that are told before `horizon_days` have passed; `moved`: an example of one that is another one later, or ""."""

    rows: int
    asked: int
    example: str
    moved: str


def mixed_entities(model: Model, observations: pl.DataFrame, *, seed: int) -> Mixed | None:
    """Do rows of one entity get into another's features, as by a `shift` without `.over`?

    The rows of each moment are put in another order, and some entities are asked for alone: each entity's features must come out as
    before. A feature that looks at others on purpose (the mean of all shops) differs only when they are not there.

    Parameters
    ----------
    observations : canonical observations of a model with an entity.
    """
    entity, time = key_of(model.entity, model.time)
    full = features_of(model, observations)
    draw = np.random.default_rng(seed)
    shuffled = observations.with_columns(pl.Series("_place", draw.permutation(observations.height))).sort(time, "_place").drop("_place")
    if changed := different(full, features_of(model, shuffled), (entity, time)):
        return Mixed(tuple(changed), _example(changed, "or", "in another order of the rows"), by_order=True)
    names = observations[entity].unique().sort()
    for name in names.sample(min(MOST_ALONE, len(names)), seed=seed) if len(names) > 1 else ():
        alone = features_of(model, observations.filter(pl.col(entity) == name))
        if changed := different(full.filter(pl.col(entity) == name), alone, (entity, time)):
            return Mixed(tuple(changed), f"{_example(changed, 'but', 'from its own rows alone')} for '{name}'", by_order=False)
    return None


def early_labels(model: Model, observations: pl.DataFrame, *, seed: int) -> Early | None:
    """Does `label` tell a truth before its horizon has passed, or change one that is older, when later rows come?

    Asked with the observations cut at some moments, spread over the history.
    """
    key = key_of(model.entity, model.time)
    times = observations[model.time].unique().sort()
    if len(times) < 5:
        return None
    final, horizon = labels_of(model, observations), timedelta(days=model.horizon_days)
    places = np.unique(np.random.default_rng(seed).integers(len(times) // 4, len(times) - 1, size=CUTS))
    young, asked, example, moved = 0, 0, "", ""
    for place in places:
        cut: datetime = times[int(place)]
        then = labels_of(model, observations.filter(pl.col(model.time) <= cut))
        early = then.filter(pl.col(model.time) > cut - horizon)
        asked += observations.filter(pl.col(model.time).is_between(cut - horizon, cut, closed="right")).height
        young += early.height
        if early.height and not example:
            example = f"that of {early.row(-1, named=True)[model.time]:%Y-%m-%d %H:%M} with the rows up to {cut:%Y-%m-%d %H:%M}"
        if not moved and (changed := different(final, then, key)):
            row = changed["label"]
            moved = (
                f"that of {row['time']:%Y-%m-%d %H:%M} is {row['cut']:g} with the rows up to {cut:%Y-%m-%d %H:%M} and {row['full']:g} later"
            )
    return Early(young, asked, example, moved) if young or moved else None


def _example(changed: dict[str, dict[str, object]], joint: str, how: str) -> str:
    name, row = next(iter(changed.items()))
    return f"'{name}' of {row['time']:%Y-%m-%d %H:%M} is {row['full']}, {joint} {row['cut']} {how}"
