"""Make a profile: one pass over a table of any length, in memory that its length does not change."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from keepwell.errors import SchemaMismatch, TableInvalid
from keepwell.profiling.columns import NO_TIME, Column, Ruler, Segment, blank
from keepwell.profiling.counting import FLAGS, Runs, Scratch, as_floats, as_words, count, kind_of
from keepwell.profiling.profiles import Profile, merge_profiles
from keepwell.profiling.reading import Rows, open_rows
from keepwell.profiling.rulers import Counts, fit_number_ruler, fit_word_ruler

MOST_SLICES = 200
MOST_RUNS = 5_000  # a piece that changes its segment more often is sorted without counting first
PIECE_ROWS = 1 << 18  # counted at once: many enough for NumPy, few enough for the cache
SPAN = re.compile(r"[1-9]\d{0,5}(?:m|h|d|w|mo|q|y)")
AT_ONCE = 8  # pieces whose profiles are added up together
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
    keys = list(dict.fromkeys(name for name in (time, by) if name is not None))
    needed = dict.fromkeys([*wanted, *keys])
    if missing := [name for name in needed if name not in rows.schema]:
        raise SchemaMismatch(rows.name.replace("the ", "The ", 1), missing, list(rows.schema), "Name columns that are there.")
    _check_time(rows.schema, time, every)
    height = rows.height()
    known = reference.columns if reference is not None else {}
    plan: Plan = {name: (known[name].kind, known[name].ruler) for name in wanted if name in known}
    unfitted = set(wanted) - set(plan)
    parts: list[Profile] = []
    cells, scratch = 0, Scratch()
    for _, blocks in groupby(rows.blocks(keys, wanted), itemgetter(0)):
        pieces: list[_Piece] = []
        for _, block in blocks:
            if fresh := [name for name in block.columns if name in unfitted]:
                plan |= {series.name: _fitted(series) for series in rows.sample(block, fresh)}
                unfitted -= set(fresh)
            pieces = pieces or [_piece(part, time, every, by) for part in block.iter_slices(PIECE_ROWS)]
            for piece, part in zip(pieces, block.iter_slices(PIECE_ROWS), strict=True):
                piece.count(part, plan, scratch)
            cells += block.height * block.width
            if progress is not None:
                progress(cells // len(needed), height)
        parts += [piece.profile(time, every, by) for piece in pieces]
        if len(parts) > AT_ONCE:
            parts = [merge_profiles(parts)]
            _check_slices(parts[0].segments, by)
    whole = merge_profiles([_nothing(plan, rows, wanted, time, every, by), *parts])
    _check_slices(whole.segments, by)
    return whole


def _fitted(series: pl.Series) -> tuple[str, Ruler]:
    kind = kind_of(series.dtype)
    if kind in ("numbers", "times"):
        return kind, fit_number_ruler(as_floats(series, kind))
    if kind == "words":
        return kind, fit_word_ruler(as_words(series))
    return kind, FLAGS if kind == "flags" else None


def _nothing(plan: Plan, rows: Rows, wanted: Sequence[str], time: str | None, every: str, by: str | None) -> Profile:
    """The profile of no rows: what all others are added to."""
    columns = {}
    for name in wanted:
        kind, ruler = plan[name] if name in plan else _fitted(pl.Series(name, [], dtype=rows.schema[name]))
        columns[name] = blank(kind, str(rows.schema[name]), ruler)
    return Profile(time=time, every=every, by=by, segments=(), rows=np.empty(0, dtype=np.int64), columns=columns)


@dataclass(frozen=True)
class _Piece:
    """Rows that are counted at once, a few columns after the other.

    Parameters
    ----------
    order : the row that stands at each place once segments stand side by side; None where they do so already.
    runs : the segments.
    columns : what was counted so far, its segments ascending.
    """

    order: pl.Series | None
    runs: Runs
    columns: dict[str, Column] = field(default_factory=dict)

    def count(self, rows: pl.DataFrame, plan: Plan, scratch: Scratch) -> None:
        """Count some columns of these rows."""
        rows = rows.select(name for name in rows.columns if name in plan)
        if self.order is not None:
            rows = rows[self.order]
        slices = sorted({name for _, name in self.runs.keys})
        layers = np.array([slices.index(name) for _, name in self.runs.keys], dtype=np.int64)
        for series in rows:
            kind, ruler = plan[series.name]
            found = count(series, self.runs, layers, len(slices), kind=kind, ruler=ruler, scratch=scratch)
            self.columns[series.name] = found.part(self.runs.ascending(), range(len(slices)))

    def profile(self, time: str | None, every: str, by: str | None) -> Profile:
        """What was counted."""
        order = self.runs.ascending()
        segments = tuple(self.runs.keys[place] for place in order)
        return Profile(time=time, every=every, by=by, segments=segments, rows=self.runs.sizes[order], columns=self.columns)


def _check_time(schema: pl.Schema, time: str | None, every: str) -> None:
    """Refuse a time column that does not name moments, and a span that is none."""
    if time is None:
        return
    dtype = schema[time]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        raise TableInvalid(
            f"Time column '{time}' has no time zone, so its days cannot be told",
            f"Say which one it is, for UTC: frame.with_columns(pl.col('{time}').dt.replace_time_zone('UTC')).",
        )
    if not isinstance(dtype, pl.Datetime | pl.Date):
        raise TableInvalid(
            f"Time column '{time}' is {dtype}, not a date or a time",
            f"Texts become times with pl.col('{time}').str.to_datetime(time_zone='UTC').",
        )
    if not SPAN.fullmatch(every):
        raise TableInvalid(f"A batch cannot be every '{every}'", "Write a span such as 1d, 12h, 1w or 1mo.")


def _piece(rows: pl.DataFrame, time: str | None, every: str, by: str | None) -> _Piece:
    """Find the segments of some rows. Rows whose segments stand side by side, as in a file in time order, need not be moved."""
    if time is None and by is None:
        return _Piece(None, Runs(((NO_TIME, ""),), np.array([rows.height], dtype=np.int64)))
    batch = pl.col(time).cast(pl.Datetime("us", "UTC")).dt.truncate(every) if time else pl.lit(None, dtype=pl.Datetime("us", "UTC"))
    piece = pl.col(by).cast(pl.String).fill_null("null") if by else pl.lit("")
    keys = rows.select(batch.alias("batch"), piece.alias("slice"))
    first, order = _first_rows(keys), None
    if first.size > MOST_RUNS or keys[first].is_duplicated().any():
        order = keys.select(pl.arg_sort_by("batch", "slice")).to_series()
        keys = keys[order]
        first = _first_rows(keys)
    named = tuple((_label(moment), str(name)) for moment, name in keys[first].rows())
    _check_slices(named, by)
    return _Piece(order, Runs(named, np.diff(first, append=rows.height)))


def _first_rows(keys: pl.DataFrame) -> Counts:
    """The rows at which a segment begins."""
    changed = np.zeros(keys.height, dtype=bool)
    changed[:1] = True
    for name in keys.columns:
        changed[1:] |= keys[name].ne_missing(keys[name].shift(1))[1:].to_numpy()
    return np.flatnonzero(changed).astype(np.int64)


def _label(moment: datetime | None) -> str:
    """A batch's name: its first moment, UTC; names sort as the moments do."""
    if moment is None:
        return NO_TIME
    is_day = (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    return f"{moment:%Y-%m-%d}" if is_day else f"{moment:%Y-%m-%dT%H:%MZ}"


def _check_slices(segments: Sequence[Segment], by: str | None) -> None:
    """Refuse a column that would make more slices than anyone could read."""
    names = {name for _, name in segments}
    if len(names) > MOST_SLICES:
        raise TableInvalid(
            f"Column '{by}' has more than {MOST_SLICES} values, each would be a slice",
            "Slice by a column with fewer, or group its values first.",
        )
