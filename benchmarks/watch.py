"""How long a watch takes over a batch of 1,000 rows with 20 columns, when nothing rings and when a decline is diagnosed.

python benchmarks/watch.py
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median

import numpy as np
import polars as pl

from keepwell.monitoring import Watch

ROWS, NUMBERS, DAYS, QUIET, BROKEN = 1_000, 16, 400, 15, 8
START = datetime(2024, 1, 1, tzinfo=UTC)
BUDGETS = {"quiet": 50, "diagnosed": 2_000}


def rows(first: int, days: int, seed: int) -> pl.DataFrame:
    """Numbers that hang together through three hidden causes, three categories and an entity; answers and labels."""
    draw = np.random.default_rng(seed)
    n = days * ROWS
    load = np.random.default_rng(1).normal(0, 1, (3, NUMBERS))
    numbers = draw.normal(0, 1, (n, 3)) @ load + draw.normal(0, 0.7, (n, NUMBERS)) + 10
    moments = [START + timedelta(days=first + at / ROWS) for at in range(n)]
    columns = {f"x{place}": numbers[:, place] for place in range(NUMBERS)}
    columns |= {f"c{place}": draw.choice(["a", "b", "c", "d"], n) for place in range(3)}
    names = [f"{first}-{at}" for at in range(n)]
    frame = pl.DataFrame({"id": names, "time": moments, "whose": draw.choice(list("ABCDEFGH"), n), **columns})
    answer = model(frame)
    return frame.with_columns(answer=answer, label=(draw.random(n) < answer).astype(float))


def model(frame: pl.DataFrame) -> np.ndarray:
    """A chance that hangs on four of the numbers."""
    score = sum(weight * (frame[f"x{place}"].fill_null(10).to_numpy() - 10) for place, weight in enumerate((0.8, -0.6, 0.5, 0.4)))
    return np.asarray(1 / (1 + np.exp(-score)))


def took(watch: Watch, batch: pl.DataFrame) -> tuple[tuple[float, float], list[str]]:
    """Milliseconds of one update, by the clock and of the processor; and the kinds of what it said."""
    begun, worked = time.perf_counter(), time.process_time()
    signals = watch.update(batch, until=START + timedelta(days=int((batch["time"][-1] - START).days) + 1))
    spent = 1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - worked)
    return spent, [signal.kind for signal in signals]


def main() -> None:
    """Print both figures beside their budgets."""
    reference = rows(0, DAYS, seed=2).gather_every(5)
    watch = Watch(reference, model, entity="whose", key="id")
    quiet = [took(watch, rows(DAYS + day, 1, seed=100 + day))[0] for day in range(QUIET)]
    diagnosed = []
    for day in range(QUIET, QUIET + BROKEN):
        broken = rows(DAYS + day, 1, seed=100 + day).with_columns(pl.col("x0") * 1.8 + 32)
        spent, said = took(watch, broken.with_columns(answer=model(broken)))
        diagnosed += [spent] if said else []
    for what, budget, spent in (
        ("update of 1,000 rows x 20 columns, nothing rings", "quiet", quiet),
        ("the same, a decline is diagnosed", "diagnosed", diagnosed),
    ):
        wall, cpu = (median(column) for column in zip(*spent, strict=True))
        print(f"{what:55} {wall:7.1f} ms by the clock (budget {BUDGETS[budget]}), {cpu:6.1f} of the processor")


if __name__ == "__main__":
    main()
