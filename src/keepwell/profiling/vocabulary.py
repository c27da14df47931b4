"""The ruler of a text column: the values that are counted by name, and what is kept of all others.

The most frequent values of a sample are *watched*: each has its exact count. All others are counted together, and of them a
fixed number is remembered by name: those whose hash is smallest. Which these are depends only on the set of values, not on the
order they came in, so their counts are exact too and two halves add up to the whole; and how small the hashes are tells how
many distinct values there must be.

References
----------
Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan (2002), Counting Distinct Elements in a Data Stream, RANDOM 2002.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from keepwell.profiling.rulers import BINS

WATCHED = 1000
REMEMBERED = 256
SPACE = 2.0**32
LONGEST = 200  # characters of a value that are kept: a column of documents must not fill the profile


SLOTS = 14  # bits: a table that stays in the cache
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class WordRuler:
    """The watched values of a text column, most frequent of the sample first; bins are the first 63, and the rest."""

    watched: tuple[str, ...] = ()

    def named(self) -> int:
        """How many values have a bin of their own."""
        return min(len(self.watched), BINS - 1)

    def find(self, texts: pl.Series) -> Codes:
        """The place of each text among the watched values, shape (n,); len(watched) for all others and for nulls.

        Texts are told apart by 64 bits of Polars' hash, which never leaves this process: in a table of a billion rows one row might be
        taken for a watched value with a chance below one in ten million. It is four times as fast as a cast to an enumeration.
        """
        slot_hash, slot_code, ordered, order = _slots(self.watched)
        hashes = texts.hash(seed=0).to_numpy()
        slots = (hashes >> np.uint64(64 - SLOTS)).view(np.int64)
        found = np.take(slot_code, slots, mode="wrap")
        apart = np.flatnonzero(np.take(slot_hash, slots, mode="wrap") != hashes)
        if apart.size:  # unknown, or a watched value whose slot a more frequent one holds
            rest = hashes[apart]
            place = np.minimum(np.searchsorted(ordered, rest), max(ordered.size - 1, 0))
            is_watched = ordered[place] == rest if ordered.size else np.zeros(rest.size, dtype=bool)
            found[apart] = np.where(is_watched, order[place], len(self.watched)) if ordered.size else len(self.watched)
        return found


@lru_cache(maxsize=1024)
def _slots(watched: tuple[str, ...]) -> tuple[NDArray[np.uint64], Codes, NDArray[np.uint64], Codes]:
    """A slot for each of the first bits of a hash, with the hash and the place of its most frequent value; and all hashes in order."""
    hashes = pl.Series(watched, dtype=pl.String).hash(seed=0).to_numpy()
    slots = (hashes >> np.uint64(64 - SLOTS)).view(np.int64)
    slot_hash, slot_code = np.zeros(1 << SLOTS, dtype=np.uint64), np.full(1 << SLOTS, len(watched), dtype=np.int64)
    slot_hash[slots[::-1]], slot_code[slots[::-1]] = hashes[::-1], np.arange(len(watched))[::-1]
    order = np.argsort(hashes)
    return slot_hash, slot_code, hashes[order], order


def fit_word_ruler(counted: Iterable[tuple[str, int]]) -> WordRuler:
    """Watch the most frequent values of a sample; ties by name, so that the same sample gives the same ruler."""
    ranked = sorted(counted, key=lambda pair: (-pair[1], pair[0]))
    return WordRuler(tuple(name for name, _ in ranked[:WATCHED]))


def remember(*parts: Mapping[str, int]) -> dict[str, int]:
    """Add up counts of values that are not watched, and keep those with the smallest hashes.

    A value that is kept in the end was kept in every part that held it, so its count is exact.
    """
    total: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    if len(total) <= REMEMBERED:
        return dict(sorted(total.items()))
    names = list(total)
    hashes = _hashes(names)
    limit = np.partition(hashes, REMEMBERED - 1)[REMEMBERED - 1]
    first = sorted((int(hashes[i]), names[i]) for i in np.flatnonzero(hashes <= limit))[:REMEMBERED]
    return {name: total[name] for name in sorted(name for _, name in first)}


def distinct(watched_seen: int, remembered: Mapping[str, int]) -> tuple[int, bool]:
    """How many distinct values there are, and whether that is exact; otherwise its standard error is about 6 %."""
    if len(remembered) < REMEMBERED:
        return watched_seen + len(remembered), True
    largest = float(_hashes(list(remembered)).max())
    return watched_seen + round((REMEMBERED - 1) * SPACE / max(largest, 1.0)), False


def _hashes(names: list[str]) -> NDArray[np.uint64]:
    """32 bits each: a checksum, then mixed, since near texts have near checksums. The same in every version, unlike a library's own."""
    found = np.fromiter((zlib.crc32(name.encode()) for name in names), dtype=np.uint64, count=len(names))
    for multiplier in (0x85EBCA6B, 0xC2B2AE35):  # the finaliser of MurmurHash3
        found ^= found >> np.uint64(16)
        found = (found * np.uint64(multiplier)) & np.uint64(0xFFFFFFFF)
    return found ^ (found >> np.uint64(13))
