"""The scientist's `features` and `label`, called the same way for training rows and live rows, and the proof that no row looks ahead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from keepwell.errors import FunctionBroken, KeepwellError, LookbackTooShort, LooksAhead, SchemaMismatch
from keepwell.ingestion import ALL, canonical, key_of, to_kind, to_polars
from keepwell.model import Model
from keepwell.storage import COMMIT, KNOWN

TOLERANCE = 1e-6  # relative; running sums over a shorter history round differently in the last bits


def features_of(model: Model, observations: pl.DataFrame) -> pl.DataFrame:
    """One row per (entity, time): the key columns first, then the features.

    Raises
    ------
    FunctionBroken : `features` raised, returned no frame, or gave two rows for one (entity, time).
    SchemaMismatch : it dropped the entity or time column.
    """
    rows = _call(model, "features", model.features, observations)
    key = key_of(model.entity, model.time)
    names = [name for name in rows.columns if name not in key]
    if not names:
        raise FunctionBroken("features", "returned no column besides entity and time")
    rows = rows.select(*key, *names).sort(key[1], key[0])
    times = rows[key[1]].to_numpy()
    if (times[1:] == times[:-1]).any() and rows.select(pl.struct(key).is_duplicated().any()).item():
        example = rows.filter(pl.struct(key).is_duplicated()).row(0, named=True)
        raise FunctionBroken("features", f"returned more than one row for ({example[key[0]]}, {example[key[1]]})")
    return rows


def labels_of(model: Model, observations: pl.DataFrame) -> pl.DataFrame:
    """Rows (entity, time, label) whose truth is known; `label` is Float64 and never null.

    Raises
    ------
    FunctionBroken : `label` raised or returned no frame, or a binary label is neither 0 nor 1.
    SchemaMismatch : a column is missing.
    """
    rows = _call(model, "label", model.label, observations)
    if "label" not in rows.columns:
        raise SchemaMismatch("What 'label' returned", ["label"], rows.columns)
    key = key_of(model.entity, model.time)
    known = rows.lazy().select(*key, pl.col("label").cast(pl.Float64)).drop_nulls()
    rows = known.unique(list(key), keep="last").sort(key[1], key[0]).collect()
    values = rows["label"].to_numpy()
    if model.task == "binary" and (wrong := values[(values != 0) & (values != 1)]).size:
        raise FunctionBroken("label", f"returned {wrong[0]:g} for a binary task", "Labels are 0 or 1.")
    return rows


def _call(model: Model, name: str, function: Callable[[Any], Any], observations: pl.DataFrame) -> pl.DataFrame:
    own = {COMMIT, KNOWN, *(() if model.entity else (ALL,))}
    given = pl.DataFrame([column for column in observations.iter_columns() if column.name not in own])
    try:
        frame = function(to_kind(given, model.frame))
    except KeepwellError:
        raise
    except Exception as error:
        raise FunctionBroken(name, f"raised {type(error).__name__}: {error}") from error
    return canonical(to_polars(frame, name), entity=model.entity, time=model.time, what=f"What '{name}' returned")


def prove_no_lookahead(model: Model, observations: pl.DataFrame, *, checks: int, seed: int) -> int:
    """Recompute features on data cut at some moments: every row up to the cut must come out as before.

    Also recomputes the row at each cut from its look-back window alone, which is all that a live row gets.

    Parameters
    ----------
    observations : canonical observations.
    checks : number of cuts, spread over the history, seeded.

    Returns
    -------
    How many cuts were checked; 0 when there are too few rows.

    Raises
    ------
    LooksAhead : names the features that changed.
    LookbackTooShort : names the features that need more history than declared.
    """
    full = features_of(model, observations)
    times = full[model.time].unique().sort()
    if len(times) < 5:
        return 0
    generator = np.random.default_rng(seed)
    places = np.unique(generator.integers(len(times) // 4, len(times) - 1, size=checks))
    for place in places:
        cut: datetime = times[int(place)]
        before = features_of(model, observations.filter(pl.col(model.time) <= cut))
        _compare_cut(model, observations, full.filter(pl.col(model.time) <= cut), before, cut)
        span = pl.col(model.time).is_between(cut - timedelta(days=model.lookback_days), cut)
        window = features_of(model, observations.filter(span)).filter(pl.col(model.time) == cut)
        _compare_lookback(model, full.filter(pl.col(model.time) == cut), window, cut)
    return len(places)


def _compare_cut(model: Model, observations: pl.DataFrame, full: pl.DataFrame, before: pl.DataFrame, cut: datetime) -> None:
    key = key_of(model.entity, model.time)
    gone = full.join(before, on=list(key), how="anti")
    if gone.height:
        row = gone.row(0, named=True)
        example = f"the row of {row[key[1]]:%Y-%m-%d %H:%M} exists only when later rows are known (data cut at {cut:%Y-%m-%d %H:%M})"
        raise LooksAhead(_moved_by_the_future(model, observations, full, cut) or full.columns[2:], example)
    if changed := different(full, before, key):
        column, row = next(iter(changed.items()))
        raise LooksAhead(
            list(changed),
            f"'{column}' of {row['time']:%Y-%m-%d %H:%M} is {row['full']} with all data "
            f"but {row['cut']} with the data known by {cut:%Y-%m-%d %H:%M}",
        )


def _moved_by_the_future(model: Model, observations: pl.DataFrame, full: pl.DataFrame, cut: datetime) -> list[str]:
    """Features of rows up to the cut that change when the rows after it hold other values.

    A feature that is null at the newest row, where its function then drops rows, cannot be seen in data that was cut.
    """
    own = {*key_of(model.entity, model.time), COMMIT, KNOWN}
    past, future = (observations.filter(side) for side in (pl.col(model.time) <= cut, pl.col(model.time) > cut))
    values = [name for name in observations.columns if name not in own]
    other = future.with_columns(pl.col(name).reverse() for name in values)
    try:
        moved = features_of(model, pl.concat([past, other]))
    except FunctionBroken:
        return []
    return list(different(full, moved, key_of(model.entity, model.time)))


def _compare_lookback(model: Model, full: pl.DataFrame, window: pl.DataFrame, cut: datetime) -> None:
    key = key_of(model.entity, model.time)
    if full.height and window.height < full.height:
        raise LookbackTooShort(full.columns[2:], model.lookback_days, f"from that window alone there is no row for {cut:%Y-%m-%d %H:%M}")
    if changed := different(full, window, key):
        column, row = next(iter(changed.items()))
        raise LookbackTooShort(
            list(changed),
            model.lookback_days,
            f"'{column}' of {row['time']:%Y-%m-%d %H:%M} is {row['full']}, but {row['cut']} from that window alone",
        )


def different(full: pl.DataFrame, other: pl.DataFrame, key: tuple[str, str]) -> dict[str, dict[str, Any]]:
    """Column -> first differing row, for the rows both frames have."""
    numeric = set(full.select(cs.numeric()).columns)
    both = full.join(other, on=list(key), how="inner", suffix="__other")
    found: dict[str, dict[str, Any]] = {}
    for name in full.columns[2:]:
        if name not in other.columns:
            continue
        mine, theirs = pl.col(name), pl.col(f"{name}__other")
        same = mine.eq_missing(theirs)
        if name in numeric:
            close = (mine - theirs).abs() <= TOLERANCE * (1 + mine.abs())
            nan = mine.cast(pl.Float64).is_nan() & theirs.cast(pl.Float64).is_nan()
            same = same | close.fill_null(False) | nan.fill_null(False)
        wrong = both.filter(~same)
        if wrong.height:
            row = wrong.row(-1, named=True)
            found[name] = {"time": row[key[1]], "full": row[name], "cut": row[f"{name}__other"]}
    return found
