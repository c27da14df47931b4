"""The faults: each takes a stream without one and gives its rows back with one, changed only from the onset on.

`size` is 0, 1 or 2 (small, medium, large). A feed that breaks for a share of the rows breaks for whole entities where the stream has some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from data_streams import Stream, When, day_of_year
from numpy.random import Generator

SHARE = (0.25, 0.5, 1.0)
RAMP = 12  # batches until a bias is complete
GROWTH = 16  # batches until a growing concept shift is complete
SAME_SEASON = 25  # days before and after

OTHER_UNIT: dict[str, tuple[Callable[[Any], Any], ...]] = {
    "F": (lambda v: (v - 32) * 5 / 9, lambda v: (v + 459.67) * 5 / 9),
    "C": (lambda v: v * 9 / 5 + 32, lambda v: v + 273.15),
    "hPa": (lambda v: v / 10, lambda v: v / 33.8639),
    "bar": (lambda v: v * 14.5038, lambda v: v * 100),
    "mile": (lambda v: v * 1.60934, lambda v: v * 1609.34),
    "knot": (lambda v: v * 1.852, lambda v: v * 0.514444),
    "km": (lambda v: v / 1.60934, lambda v: v * 1000),
    "km/h": (lambda v: v / 3.6, lambda v: v / 1.60934),
    "kg": (lambda v: v * 2.20462, lambda v: v / 1000),
    "mm": (lambda v: v / 25.4, lambda v: v / 10),
    "mm/s": (lambda v: v / 25.4, lambda v: v / 1000),
    "%": (lambda v: v / 100,),
    "h": (lambda v: v * 60, lambda v: v / 24),
    "A": (lambda v: v * 1000,),
    "V": (lambda v: v / 1000,),
}


def struck(stream: Stream, frame: pd.DataFrame, onset: When, size: int, rng: Generator) -> np.ndarray:
    """Which rows the broken feed serves."""
    after = frame["time"].to_numpy() >= onset
    if size == 2:
        return after
    if stream.entity is None:
        return after & (rng.random(len(frame)) < SHARE[size])
    names = sorted(frame[stream.entity].unique())
    chosen = rng.choice(names, max(1, round(SHARE[size] * len(names))), replace=False)
    return after & frame[stream.entity].isin(chosen).to_numpy()


def grown(frame: pd.DataFrame, onset: When, span: np.timedelta64) -> np.ndarray:
    """0 until the onset, 1 a span later, a line between."""
    return np.clip((frame["time"].to_numpy() - onset) / span, 0, 1)


def unit_change(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    ways = OTHER_UNIT[stream.units[column]]
    way, rows = ways[int(rng.integers(len(ways)))], struck(stream, frame, onset, size, rng)
    frame.loc[rows, column] = way(frame.loc[rows, column])
    return frame


def scaled(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    factor = (1.25, 1.6, 3.0)[size] ** (1 if rng.random() < 0.5 else -1)
    frame.loc[frame["time"].to_numpy() >= onset, column] *= factor
    return frame


def bias_ramp(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    top = (0.6, 1.2, 2.5)[size] * float(stream.reference[column].std()) * (1 if rng.random() < 0.5 else -1)
    frame[column] = frame[column] + top * grown(frame, onset, stream.batch * RAMP)
    return frame


def stuck(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    rows, before = struck(stream, frame, onset, size, rng), frame["time"].to_numpy() < onset
    who = frame[stream.entity].to_numpy() if stream.entity else np.zeros(len(frame))
    for one in np.unique(who[rows]):
        known = frame.loc[before & (who == one), column].dropna()
        frame.loc[rows & (who == one), column] = known.iloc[-1]
    return frame


def noise(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    rows = frame["time"].to_numpy() >= onset
    spread = (0.7, 1.5, 3.0)[size] * float(stream.reference[column].std())
    frame.loc[rows, column] += rng.normal(0, spread, int(rows.sum()))
    return frame


def missing(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    rows = (frame["time"].to_numpy() >= onset) & (rng.random(len(frame)) < (0.2, 0.5, 1.0)[size])
    frame.loc[rows, column] = np.nan if column in stream.numeric else None
    return frame


def new_category(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    names = sorted(stream.reference[column].dropna().unique())
    renamed = rng.permutation(names)[: max(1, round(SHARE[size] * len(names)))]
    rows = (frame["time"].to_numpy() >= onset) & frame[column].isin(renamed).to_numpy()
    frame.loc[rows, column] = [f"{one.upper()} (2)" for one in frame.loc[rows, column]]
    return frame


def swapped(stream: Stream, frame: pd.DataFrame, onset: When, column: tuple[str, str], size: int, rng: Generator) -> pd.DataFrame:
    one, other = column
    rows = struck(stream, frame, onset, size, rng)
    frame.loc[rows, [one, other]] = frame.loc[rows, [other, one]].to_numpy()
    return frame


def label_shift(stream: Stream, frame: pd.DataFrame, onset: When, column: None, size: int, rng: Generator) -> pd.DataFrame:
    """Rows of class 1 turn up more often; what a row of a class looks like stays."""
    return redrawn(stream, frame, onset, stream.pool["y"].to_numpy() * np.log((1.7, 3.0, 7.0)[size]), rng)


def tilt(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    """Rows with more of the column (or with less) turn up more often; what follows from them stays."""
    known = stream.reference[column]
    z = ((stream.pool[column] - known.mean()) / known.std()).clip(-3, 3).fillna(0).to_numpy()
    return redrawn(stream, frame, onset, z * (0.6, 1.2, 2.2)[size] * (1 if rng.random() < 0.5 else -1), rng)


def mix(stream: Stream, frame: pd.DataFrame, onset: When, column: None, size: int, rng: Generator) -> pd.DataFrame:
    """Some entities go, others come that the model has not met."""
    assert stream.others is not None
    here, there = sorted(frame[stream.entity].unique()), sorted(stream.others[stream.entity].unique())
    count = max(1, round(SHARE[size] * len(here)))
    gone, come = rng.choice(here, count, replace=False), rng.choice(there, count, replace=False)
    leaving = (frame["time"].to_numpy() >= onset) & frame[stream.entity].isin(gone).to_numpy()
    coming = (stream.others["time"].to_numpy() >= onset) & stream.others[stream.entity].isin(come).to_numpy()
    return pd.concat([frame[~leaving], stream.others[coming]])


def concept_shift(stream: Stream, frame: pd.DataFrame, onset: When, column: str, size: int, rng: Generator) -> pd.DataFrame:
    """The answer follows otherwise from the same rows: at once, or growing over 16 batches.

    Generated: the column's weight in the truth shrinks, vanishes or turns its sign. Bundled: in the upper or lower third of the column,
    some of the labels turn over.
    """
    strength = (0.25, 0.5, 1.0)[size]
    after = (frame["time"].to_numpy() >= onset).astype(float)
    strength = strength * (grown(frame, onset, stream.batch * GROWTH) if rng.random() < 0.4 else after)
    if stream.chance is not None:
        chance = stream.chance(frame, column, strength)
        frame["y"] = np.where(after > 0, frame["u"] < chance, frame["y"]).astype(int)
        return frame
    low, high = stream.reference[column].quantile([1 / 3, 2 / 3])
    region = frame[column] > high if rng.random() < 0.5 else frame[column] < low
    turned = region.to_numpy() & (rng.random(len(frame)) < 0.8 * strength)
    frame["y"] = np.where(turned, 1 - frame["y"], frame["y"])
    return frame


def redrawn(stream: Stream, frame: pd.DataFrame, onset: When, weight: np.ndarray, rng: Generator) -> pd.DataFrame:
    """From the onset on each batch is drawn, without repeats, from rows of its season with chances exp(weight)."""
    time, pool = frame["time"].to_numpy(), stream.pool
    days = day_of_year(pool["time"])
    parts = [frame[time < onset]]
    for begin in np.arange(onset, stream.end, stream.batch):
        rows = frame[(time >= begin) & (time < min(begin + stream.batch, stream.end))]
        if stream.others is not None:  # generated: other rows of the very same days
            near = np.flatnonzero((pool["time"] >= begin) & (pool["time"] < begin + stream.batch))
        else:
            apart = np.abs(days - day_of_year([begin + stream.batch // 2]))
            near = np.flatnonzero(np.minimum(apart, 365.25 - apart) <= SAME_SEASON)
        chosen = near[np.argsort(-(weight[near] + rng.gumbel(size=len(near))))[: len(rows)]]
        parts.append(pool.iloc[rng.permutation(chosen)].assign(time=rows["time"].to_numpy()[: len(chosen)]))
    return pd.concat(parts)


FAULTS: dict[str, tuple[str, Callable[..., pd.DataFrame]]] = {  # name -> kind of cause, what it does
    "unit_change": ("unit_change", unit_change),
    "scaled": ("scaled", scaled),
    "bias_ramp": ("bias_ramp", bias_ramp),
    "stuck": ("stuck", stuck),
    "noise": ("noise", noise),
    "missing": ("missing", missing),
    "new_category": ("new_category", new_category),
    "swapped": ("swapped", swapped),
    "label_shift": ("label_shift", label_shift),
    "concept_shift": ("concept_shift", concept_shift),
    "mix": ("covariate_shift", mix),
    "tilt": ("covariate_shift", tilt),
}
ON_IGNORED = ("scaled", "bias_ramp", "stuck", "noise", "missing", "unit_change")  # what 'harmless' puts on a column that the model ignores


def inject(stream: Stream, fault: str, onset: When, column: Any, size: int, rng: Generator) -> pd.DataFrame:
    """The production rows with the fault, in time order, numbered anew; rows before the onset are as they were."""
    changed = FAULTS[fault][1](stream, stream.production.copy(), onset, column, size, rng)
    return changed.sort_values("time", kind="stable", ignore_index=True)


def moment(stream: Stream, rng: Generator) -> np.datetime64:
    """An onset after 28 to 60 batches of production, anywhere in its batch."""
    seconds = int(rng.random() * (stream.batch / np.timedelta64(1, "s")))
    return stream.start + stream.batch * int(rng.integers(28, 60)) + np.timedelta64(seconds, "s")
