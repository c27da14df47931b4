"""Make the tables that benchmarks/profiles.py reads: a reference year and a current one, the latter with known changes.

    python benchmarks/profile_data.py build/profiles 1Mx20 1Mx100 10Mx50

Of "1Mx20" 80% are float columns of nine families with 2% nulls, 20% text columns of 5 to 1000 values, skewed as such
columns are; beside them a time over one year, a score and a label. Snappy, 250,000 rows to a row group, in time order. In the
current table three columns changed: f000 by half a standard deviation, f001 is 1.5 times as wide from day 182, c000 has other
shares from day 219. The score moves a little with f000.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 250_000
YEAR_US = 365 * 86_400 * 1_000_000
SIZES = {"k": 1_000, "M": 1_000_000}
FAMILIES = (
    lambda rng, n: rng.normal(0.0, 1.0, n),
    lambda rng, n: rng.normal(100.0, 15.0, n),
    lambda rng, n: rng.lognormal(0.0, 1.0, n),
    lambda rng, n: rng.exponential(3.0, n),
    lambda rng, n: rng.uniform(-1.0, 1.0, n),
    lambda rng, n: rng.gamma(2.0, 2.0, n),
    lambda rng, n: rng.poisson(4.0, n).astype(float),
    lambda rng, n: np.where(rng.random(n) < 0.6, 0.0, rng.exponential(1.0, n)),
    lambda rng, n: rng.standard_t(4.0, n),
)
CARDINALITIES = (5, 12, 50, 200, 1000)


def shape_of(name: str) -> tuple[int, int]:
    """`1Mx20` -> (1_000_000, 20)."""
    rows, unit, columns = re.fullmatch(r"(\d+)([kM])x(\d+)", name).groups()
    return int(rows) * SIZES[unit], int(columns)


def write(path: Path, rows: int, columns: int, *, is_current: bool, start: datetime, seed: int) -> None:
    """One table; each row group is drawn from its own seed, so that memory stays flat."""
    texts = columns // 5
    writer = None
    begun = int(start.timestamp() * 1e6)
    for group, first in enumerate(range(0, rows, GROUP)):
        n = min(GROUP, rows - first)
        rng = np.random.default_rng([seed, group])
        day = (np.arange(first, first + n) / rows) * 365
        table = {"ts": pa.array(begun + (np.arange(first, first + n) / rows * YEAR_US).astype(np.int64), pa.timestamp("us", "UTC"))}
        for i in range(columns - texts):
            values = FAMILIES[i % len(FAMILIES)](rng, n)
            if is_current and i == 0:
                values += 0.5
            if is_current and i == 1:
                values = np.where(day >= 182, 100.0 + 1.5 * (values - 100.0), values)
            if i == 0:
                lead = values
            table[f"f{i:03d}"] = pa.array(values, mask=rng.random(n) < 0.02)
        for i in range(texts):
            size = CARDINALITIES[i % len(CARDINALITIES)]
            shares = 1.0 / np.arange(1, size + 1) ** 0.8
            drawn = _draw(rng, shares, n)
            if is_current and i == 0:
                drawn = np.where(day >= 219, _draw(rng, shares[::-1], n), drawn)
            names = pa.array([f"c{i:03d}_{k:04d}" for k in range(size)])
            table[f"c{i:03d}"] = pa.DictionaryArray.from_arrays(pa.array(drawn.astype(np.int32)), names).cast(pa.string())
        score = 1.0 / (1.0 + np.exp(-(0.8 * lead + rng.normal(0.0, 0.7, n))))
        chance = np.where(is_current & (day >= 219), 0.5 * score + 0.25, score)
        table |= {"score": pa.array(score), "label": pa.array((rng.random(n) < chance).astype(np.int8))}
        made = pa.table(table)
        writer = writer or pq.ParquetWriter(path, made.schema, compression="snappy")
        writer.write_table(made, row_group_size=GROUP)
    writer.close()


def _draw(rng: np.random.Generator, shares: np.ndarray, n: int) -> np.ndarray:
    return np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(n)).clip(0, len(shares) - 1)


def make(folder: Path, name: str) -> tuple[Path, Path]:
    """The two files of one size; made once."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = shape_of(name)
    paths = folder / f"{name}_ref.parquet", folder / f"{name}_cur.parquet"
    for is_current, path in enumerate(paths):
        if not path.exists():
            half = path.with_suffix(".half")
            start = datetime(2024 + is_current, 1, 1, tzinfo=UTC)
            write(half, rows, columns, is_current=bool(is_current), start=start, seed=7 + is_current)
            half.rename(path)
    return paths


if __name__ == "__main__":
    for size in sys.argv[2:]:
        print(*make(Path(sys.argv[1]), size))
