"""Keys: which rows have none, lie in the future, or claim the same key twice."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from keepwell.validation.marks import Mark, many, mark
from keepwell.validation.records import Contract


def check_keys(contract: Contract, typed: pl.DataFrame, now: datetime) -> tuple[list[Mark], np.ndarray]:
    """Marks on keys, and which rows are surplus exact copies (dropped: they say nothing new).

    Two rows with the same key that differ are both set aside: nobody here knows which one is right.
    """
    copies = np.zeros(typed.height, dtype=bool)
    keys = [name for name in contract.keys if name in typed.columns]
    if len(keys) < len(contract.keys) or typed.height == 0:
        return [], copies
    marks = _null_keys(typed, keys) + _future(contract, typed, now)
    if typed.height == 1:
        return marks, copies
    twice = typed.select(keys).is_duplicated() & ~typed.select(pl.any_horizontal(pl.col(keys).is_null())).to_series()
    if not twice.any():
        return marks, copies
    places = np.flatnonzero(twice.to_numpy())
    rows = typed[places]
    copies[places] = ~rows.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()
    left = np.flatnonzero(twice.to_numpy() & ~copies)
    conflicts = np.zeros(typed.height, dtype=bool)
    conflicts[left[typed[left].select(keys).is_duplicated().to_numpy()]] = True
    if copies.any():
        what = "the same row again; one copy of each is kept"
        todo = "Nothing to do; deliver each row once to be rid of this note."
        marks.append(mark("duplicate keys", None, copies, key_text(typed, keys, copies), what, todo, action="note"))
    if conflicts.any():
        what = f"rows with the same {' and '.join(keys)} but other values"
        todo = "Find out which is right and release it (`keepwell quarantine list`)."
        marks.append(mark("duplicate keys", None, conflicts, key_text(typed, keys, conflicts), what, todo, is_fault=many(conflicts)))
    return marks, copies


def key_text(typed: pl.DataFrame, keys: list[str], where: np.ndarray) -> str:
    """The first marked row's key, for people."""
    row = typed.select(keys).row(int(np.argmax(where)))
    return ", ".join(f"{name}={value}" for name, value in zip(keys, row, strict=True))


def _null_keys(typed: pl.DataFrame, keys: list[str]) -> list[Mark]:
    marks = []
    for name in keys:
        if typed[name].null_count():
            where = typed[name].is_null().to_numpy()
            todo = "Every row needs its keys; mend them in gather."
            marks.append(mark("null key", name, where, key_text(typed, keys, where), "the key is null", todo, is_fault=many(where)))
    return marks


def _future(contract: Contract, typed: pl.DataFrame, now: datetime) -> list[Mark]:
    times = typed[contract.time]
    newest = times.max()
    if not isinstance(newest, datetime) or newest <= now:
        return []
    where = (times > now).fill_null(False).to_numpy()
    what = f"time after {now:%Y-%m-%d %H:%M} UTC, when it was delivered"
    todo = "Check the source's clock and time zone."
    return [mark("future time", contract.time, where, times[int(np.argmax(where))], what, todo, is_fault=many(where))]
