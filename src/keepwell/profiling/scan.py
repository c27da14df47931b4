"""Make a profile: one pass over a table of any length, in memory that its length does not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from keepwell.errors import SchemaMismatch
from keepwell.profiling.columns import Ruler, blank
from keepwell.profiling.counting import FLAGS, Scratch, as_floats, as_words, count, kind_of
from keepwell.profiling.profiles import Profile, merge_profiles
from keepwell.profiling.reading import Rows, open_rows
from keepwell.profiling.rulers import fit_number_ruler
from keepwell.profiling.segments import check_slices, check_time, split
from keepwell.profiling.vocabulary import fit_word_ruler

AT_ONCE = 8  # chunks whose profiles are added up together
Plan = dict[str, tuple[str, Ruler]]


def profile(
    frame_or_path: Any,
    *,
    reference: Profile | None = None,
    time: str | None = None,
    every: str = "1d",
    by: str | None = None,
    columns: Sequence[str] | None = None,
    progress: Callable[[int, int | None], object] | None = None,
) -> Profile:
    """Profile a table: what each column holds, per batch of event time and per slice when asked.

    Parameters
    ----------
    frame_or_path : a frame (polars, pandas, Arrow) or query, or the path of Parquet files or a Delta table; see `open_rows`.
    reference : a profile to measure like: with its rulers, and where these are not given its time, batches and slices. Only profiles
        with the same rulers can be added up or compared, so everything but the first profile has one.
    time : the column of event time. Its batches are the unit of evidence when two profiles are compared.
    every : the span of a batch, such as 1d, 1h, 1w, 1mo; UTC.
    by : a column whose values make slices, at most 200.
    columns : the columns to profile; all but `time` without.
    progress : told (rows so far, rows in all or None).

    Returns
    -------
    The profile. Without a reference its rulers come from about 12,000 rows from three places of the table: they decide where histograms
    have their detail, while every count is exact.

    Raises
    ------
    SourceInvalid, TableInvalid : when the table cannot be read, or its times have no zone.
    SchemaMismatch : when it lacks a column that was named.
    """
    rows = open_rows(frame_or_path)
    if reference is not None:
        by = reference.by if by is None else by
        if time is None:
            time, every = reference.time, reference.every
    wanted = list(columns) if columns is not None else [name for name in rows.schema if name != time]
    needed = list(dict.fromkeys([*wanted, *(name for name in (time, by) if name is not None)]))
    if missing := [name for name in needed if name not in rows.schema]:
        raise SchemaMismatch(rows.name.replace("the ", "The ", 1), missing, list(rows.schema), "Name columns that are there.")
    check_time(rows.schema, time, every)
    height = rows.height()
    plan = _plan(rows, wanted, reference)
    parts = [_nothing(plan, rows, time, every, by)]
    done, scratch = 0, Scratch()
    for chunk in rows.chunks(needed):
        if chunk.height:
            parts.append(_count(chunk, plan, time, every, by, scratch))
        if len(parts) > AT_ONCE:
            parts = [merge_profiles(parts)]
            check_slices(parts[0].segments, by)
        done += chunk.height
        if progress is not None:
            progress(done, height)
    whole = merge_profiles(parts)
    check_slices(whole.segments, by)
    return whole


def _plan(rows: Rows, wanted: Sequence[str], reference: Profile | None) -> Plan:
    """How each column is measured: as in the reference, or with a ruler fitted to a sample."""
    known = reference.columns if reference is not None else {}
    fresh = [name for name in wanted if name not in known]
    sample = rows.sample(fresh) if fresh else pl.DataFrame()
    return {name: (known[name].kind, known[name].ruler) if name in known else _fitted(sample[name]) for name in wanted}


def _fitted(series: pl.Series) -> tuple[str, Ruler]:
    kind = kind_of(series.dtype)
    if kind in ("numbers", "times"):
        return kind, fit_number_ruler(as_floats(series, kind))
    if kind == "words":
        return kind, fit_word_ruler(as_words(series))
    return kind, FLAGS if kind == "flags" else None


def _nothing(plan: Plan, rows: Rows, time: str | None, every: str, by: str | None) -> Profile:
    """The profile of no rows: what all others are added to."""
    columns = {name: blank(kind, str(rows.schema[name]), ruler) for name, (kind, ruler) in plan.items()}
    return Profile(time=time, every=every, by=by, segments=(), rows=np.empty(0, dtype=np.int64), columns=columns)


def _count(chunk: pl.DataFrame, plan: Plan, time: str | None, every: str, by: str | None, scratch: Scratch) -> Profile:
    """The profile of one chunk."""
    chunk, runs = split(chunk, time, every, by)
    check_slices(runs.keys, by)
    slices = sorted({name for _, name in runs.keys})
    layers = np.array([slices.index(name) for _, name in runs.keys], dtype=np.int64)
    order = sorted(range(len(runs.keys)), key=lambda place: runs.keys[place])
    found = {
        name: count(chunk[name], runs, layers, len(slices), kind=kind, ruler=ruler, scratch=scratch).part(order, range(len(slices)))
        for name, (kind, ruler) in plan.items()
    }
    segments = tuple(runs.keys[place] for place in order)
    return Profile(time=time, every=every, by=by, segments=segments, rows=runs.sizes[order], columns=found)
