"""What a watch remembers: of many batches their channels, of the newest ones also some rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from keepwell.detection import Rows

BATCHES = 600  # the reference's newest ones come first, so that there is a "before" from the first day on
ROWS_A_BATCH = 200
KEY = "_key"


@dataclass(eq=False)
class Series:
    """Batches in order: `numbers` (T,), and (T, C) of channels the deseasonalised means `apart`, innovations `z` and rows `counts`."""

    numbers: np.ndarray
    apart: np.ndarray
    z: np.ndarray
    counts: np.ndarray

    def append(self, number: int, apart: np.ndarray, z: np.ndarray, counts: np.ndarray) -> None:
        """One batch more; the oldest goes."""
        self.numbers = np.append(self.numbers, number)[-BATCHES:]
        for name, values in (("apart", apart), ("z", z), ("counts", counts)):
            setattr(self, name, np.vstack([getattr(self, name), values])[-BATCHES:])

    def place(self, number: int) -> int | None:
        """Position of a batch; None when it is not (or no longer) there."""
        at = int(np.searchsorted(self.numbers, number))
        return at if at < len(self.numbers) and self.numbers[at] == number else None

    def before(self, at: int) -> np.ndarray:
        """Of each channel the deseasonalised mean of the batch before position `at`, NaN where it had no row; (C,)."""
        if at == 0 or self.numbers[at] != self.numbers[at - 1] + 1:
            return np.full(self.apart.shape[1], np.nan)
        return np.asarray(self.apart[at - 1])


@dataclass(eq=False)
class Kept:
    """Rows of the newest batches: as they came (`frame`, with their key in `_key`), as arrays, their answers, labels (NaN) and repeats."""

    frame: pl.DataFrame
    rows: Rows
    batch: np.ndarray
    answer: np.ndarray
    label: np.ndarray

    def append(self, other: Kept, oldest: int) -> None:
        """Rows more; those of batches before `oldest` go."""
        stays = self.batch >= oldest
        mine = self if stays.all() else self.take(stays)
        self.frame = pl.concat([mine.frame, other.frame], how="diagonal_relaxed")
        self.rows = Rows.concat([mine.rows, other.rows])
        self.batch = np.concatenate([mine.batch, other.batch])
        self.answer = np.concatenate([mine.answer, other.answer])
        self.label = np.concatenate([mine.label, other.label])

    def take(self, index: np.ndarray) -> Kept:
        """Some of the rows, by mask or positions."""
        picked = np.flatnonzero(index) if index.dtype == bool else index
        if len(picked) and picked[-1] - picked[0] + 1 == len(picked) and (np.diff(picked) == 1).all():
            run = slice(int(picked[0]), int(picked[-1]) + 1)  # nothing has to be copied
            return Kept(self.frame[run], self.rows.take(run), self.batch[run], self.answer[run], self.label[run].copy())
        return Kept(self.frame[picked], self.rows.take(picked), self.batch[picked], self.answer[picked], self.label[picked])

    def put_labels(self, keys: pl.Series, labels: np.ndarray) -> tuple[np.ndarray, int]:
        """Give rows their labels, the last one of a key counts. Answers the positions that have one, and how many keys are unknown."""
        if len(keys) == 0 or self.frame.height == 0:
            return np.empty(0, int), len(keys)
        said = pl.DataFrame({KEY: keys, "_label": labels}).unique(KEY, keep="last", maintain_order=True)
        joined = self.frame.select(KEY).with_row_index("_at").join(said, on=KEY, how="inner")
        at = joined["_at"].to_numpy().astype(int)
        self.label[at] = joined["_label"].to_numpy()
        return at, said.height - joined[KEY].n_unique()


def thinned(batch: np.ndarray) -> np.ndarray:
    """Positions of at most 200 rows of each batch, evenly spread; `batch` is increasing."""
    _, first, counts = np.unique(batch, return_index=True, return_counts=True)
    if counts.max(initial=0) <= ROWS_A_BATCH:
        return np.arange(len(batch))
    parts = [
        np.arange(at, at + count) if count <= ROWS_A_BATCH else at + np.linspace(0, count - 1, ROWS_A_BATCH).astype(int)
        for at, count in zip(first, counts, strict=True)
    ]
    return np.concatenate(parts)
