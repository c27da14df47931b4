"""Rows kept in memory between reads, so that a cycle's many reads of the same window cost one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from keepwell.storage.moments import literal, micros, to_micros
from keepwell.storage.payloads import COMMIT

MOST_ROWS = 200_000  # more are not remembered
MOST_SPAN = timedelta(days=400)  # rows older than the window asked for by more than this are forgotten
MOST_CHUNKS = 64  # pieces a frame may have before it is made whole again


@dataclass(frozen=True, eq=False)
class Remembered:
    """A table's rows with time >= `since` (None: all), up to commit `last`.

    `versions` holds every version of a row, `newest` the one that counts, in order of time and key; `times` are the
    times of `newest`, microseconds, so that a window is found without a scan.
    """

    key: tuple[str, ...]
    time: str
    versions: pl.DataFrame
    newest: pl.DataFrame
    times: np.ndarray
    since: datetime | None
    last: int

    @classmethod
    def of(cls, key: tuple[str, ...], time: str, versions: pl.DataFrame, since: datetime | None = None, last: int = 0) -> Remembered:
        """What is read of a table: every version of the rows since a moment, up to a commit."""
        nothing = cls(key, time, versions, versions, np.empty(0, np.int64), since, last)
        return nothing if versions.is_empty() else nothing._whole(versions, nothing._newest(versions), last)

    def covers(self, since: datetime | None) -> bool:
        """Is every row from a moment on among these?"""
        return self.since is None or (since is not None and since >= self.since)

    def window(self, since: datetime | None, until: datetime | None) -> pl.DataFrame:
        """The rows that count of a window, both ends inclusive."""
        first = 0 if since is None else int(np.searchsorted(self.times, to_micros(since), "left"))
        end = self.times.size if until is None else int(np.searchsorted(self.times, to_micros(until), "right"))
        return self.newest.slice(first, max(end - first, 0))

    def at(self, commit: int) -> Remembered:
        """As it was after a commit."""
        return Remembered.of(self.key, self.time, self.versions.filter(pl.col(COMMIT) <= commit), self.since, commit)

    def with_newer(self, commits: list[pl.DataFrame], last: int) -> Remembered:
        """With the rows of newer commits. Most often that is a day's rows after all others, and costs nothing."""
        fresh = pl.concat(commits, how="diagonal_relaxed") if len(commits) > 1 else commits[0]
        newest = self._newest(fresh) if fresh.height > 1 else fresh
        times = micros(newest[self.time])
        if newest.schema == self.newest.schema == self.versions.schema and (self.times.size == 0 or times[0] > self.times[-1]):
            versions, joined = self.versions.vstack(fresh), self.newest.vstack(newest)
            if joined.n_chunks() > MOST_CHUNKS:
                versions, joined = versions.rechunk(), joined.rechunk()
            return replace(self, versions=versions, newest=joined, times=np.concatenate([self.times, times]), last=last)
        versions = pl.concat([self.versions, fresh], how="diagonal_relaxed", rechunk=True)
        if not self.newest.is_empty():
            others = self.newest.join(newest, on=list(self.key), how="anti")
            newest = pl.concat([others, newest], how="diagonal_relaxed", rechunk=True).sort([self.time, *self.key])
        return self._whole(versions, newest, last)

    def worth_keeping(self, since: datetime | None) -> Remembered | None:
        """What the next reader is likely to ask for, as long as it is small and near the window that was asked for."""
        if self.versions.height > MOST_ROWS:
            return None
        if since is None or self.since is None or since - self.since <= MOST_SPAN:
            return self
        recent = replace(self, versions=self.versions.filter(pl.col(self.time) >= literal(since)).rechunk(), since=since)
        return recent._whole(recent.versions, self.window(since, None).rechunk(), self.last)

    def _whole(self, versions: pl.DataFrame, newest: pl.DataFrame, last: int) -> Remembered:
        return replace(self, versions=versions, newest=newest, times=micros(newest[self.time]), last=last)

    def _newest(self, versions: pl.DataFrame) -> pl.DataFrame:
        return versions.lazy().sort(COMMIT).unique(list(self.key), keep="last").sort([self.time, *self.key]).collect()
