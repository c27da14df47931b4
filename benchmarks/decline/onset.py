"""How often does the interval of an onset hold the moment at which the change really began? Streams with a change at a known moment.

    python benchmarks/decline/onset.py --streams 64

Each stream is new: 500 days of reference from any day of the year, a month without a fault, then one change at any hour, until 60 days
after it. Asked are the interval that was told first and the one that stood when the diagnosis had settled. A share of n streams is known
to within its standard error, sqrt(p (1 - p) / n).

    column          a unit, a scale, a bias, noise, stuck, missing, exchanged or renamed: whole at once, and the same in any season
    seasonal scale  a column with a season is multiplied: how far that moves it changes through the year
    label shift     the label becomes more or less frequent whatever the columns say
    concept shift   the label follows a column otherwise: at once, or growing over 16 days
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from math import sqrt
from pathlib import Path

import numpy as np
import polars as pl
from numpy.random import Generator

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import streams

from keepwell.monitoring import Signal, Watch

REFERENCE, QUIET, AFTER = 500, 30, 60  # days
ODD = pl.int_range(pl.len()) % 2 == 0
GREY = pl.when(pl.col("sky") == "grey").then(pl.lit("GREY")).otherwise(pl.col("sky")).alias("sky")
COLUMNS: tuple[Callable[[Generator, int], list[pl.Expr]], ...] = (
    lambda _, n: [pl.col("warmth") * 1.8 + 32],
    lambda draw, n: [pl.col("damp") * draw.choice([0.75, 0.85, 1.25])],
    lambda draw, n: [pl.col("pressure") + draw.choice([-25, -14, 14, 25])],
    lambda draw, n: [pl.col("damp") + pl.Series(draw.normal(0, 25, n))],
    lambda _, n: [pl.lit(20.0).alias("warmth")],
    lambda _, n: [pl.when(ODD).then(None).otherwise(pl.col("damp")).alias("damp")],
    lambda _, n: [pl.col("warmth").alias("damp"), pl.col("damp").alias("warmth")],
    lambda _, n: [GREY],
)


def column(rows: pl.DataFrame, age: np.ndarray, draw: Generator, number: int) -> pl.DataFrame:
    """A broken column, each kind in turn."""
    return _broken(rows, age, COLUMNS[number % len(COLUMNS)](draw, int((age >= 0).sum())))


def seasonal_scale(rows: pl.DataFrame, age: np.ndarray, draw: Generator, number: int) -> pl.DataFrame:
    """The warmth, whose season is half of it, multiplied."""
    return _broken(rows, age, [pl.col("warmth") * draw.choice([0.3, 0.5, 1.6, 2.0])])


def label_shift(rows: pl.DataFrame, age: np.ndarray, draw: Generator, number: int) -> pl.DataFrame:
    """The odds of a label are multiplied."""
    return _labelled(rows, draw, np.where(age >= 0, draw.choice([-1.6, -1.1, 1.1, 1.6]), 0.0))


def concept_shift(rows: pl.DataFrame, age: np.ndarray, draw: Generator, number: int) -> pl.DataFrame:
    """The label follows a column otherwise."""
    values = rows[("wind", "damp", "pressure")[number % 3]].to_numpy()
    line = np.clip((values - values.mean()) / values.std(), -2, 2)
    grown = np.clip(age / 16, 0, 1) if number % 2 else (age >= 0).astype(float)
    return _labelled(rows, draw, grown * draw.choice([-2.0, -1.4, 1.4, 2.0]) * line)


KINDS = {"column": column, "seasonal scale": seasonal_scale, "label shift": label_shift, "concept shift": concept_shift}


def _broken(rows: pl.DataFrame, age: np.ndarray, change: list[pl.Expr]) -> pl.DataFrame:
    return streams.answered(pl.concat([rows.filter(age < 0), rows.filter(age >= 0).with_columns(change)]).sort("time"))


def _labelled(rows: pl.DataFrame, draw: Generator, more: np.ndarray) -> pl.DataFrame:
    """Labels by the odds of the answer and more."""
    answer = np.clip(rows["answer"].to_numpy(), 1e-4, 1 - 1e-4)
    chance = 1 / (1 + np.exp(-(np.log(answer / (1 - answer)) + more)))
    label = np.where(more != 0, (draw.random(rows.height) < chance).astype(float), rows["label"].to_numpy())
    return rows.with_columns(label=pl.Series(label))


def lead(kind: str, number: int) -> tuple[float, list[Signal]]:
    """The moment of the change in days, and what was said of its decline; nothing when none was told, or one before it."""
    draw = np.random.default_rng([number, len(kind)])
    first = int(draw.integers(0, 365))
    seed = int(draw.integers(1 << 30))
    reference = streams.stream(REFERENCE, seed=seed, since=first)
    rows = streams.stream(QUIET + AFTER, seed=seed + 1, since=first + REFERENCE)
    onset = first + REFERENCE + QUIET + float(draw.random())
    age = (rows["time"] - streams.day(onset)).dt.total_microseconds().to_numpy() / 86_400e6
    watch = Watch(reference, streams.chance, entity="station")
    said = [one for one in watch.update(KINDS[kind](rows, age, draw, number)) if one.kind == "decline"]
    if not said or said[0].at < streams.day(onset):
        return onset, []
    return onset, [one for one in said if one.incident == said[0].incident]


def summed(kind: str, numbers: range, is_told: bool) -> str:
    """One line for a kind of change."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in numbers:
        onset, said = lead(kind, number)
        for name, one in (("first", said[0]), ("settled", said[-1])) if said else ():
            assert one.explanation is not None
            began = one.explanation.began
            low, at, high = ((moment - streams.day(onset)) / timedelta(days=1) for moment in (began.low, began.at, began.high))
            found[name].append(low <= 0 <= high)
            if is_told:
                cause = f"{one.causes[0].kind} {one.causes[0].column}" if one.causes else "no cause"
                print(f"{kind} {number} {name}: {began.shape} in {began.channel} at {at:.1f} ({low:.1f} to {high:.1f}), {cause}")
        if said:
            found["width"].append(high - low)
            found["error"].append(abs(at + 0.5))  # the day, not its first moment
    held = []
    for name in ("first", "settled"):
        share, n = float(np.mean(found[name])), len(found[name])
        held.append(f"{share:.2f} ± {sqrt(share * (1 - share) / n):.2f}")
    width, error = (float(np.median(found[name])) for name in ("width", "error"))
    return f"{kind:16}{len(numbers):8}{len(found['width']):9}   {held[0]:18}{held[1]:18}{width:12.1f}{error:12.1f}"


def main(argv: list[str] | None = None) -> None:
    """Print coverage, width and error by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=64, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first stream")
    parser.add_argument("--kinds", default=",".join(KINDS), help="comma separated")
    parser.add_argument("-v", action="store_true", help="a line for each stream")
    given = parser.parse_args(argv)
    print(f"{'kind':16}{'streams':>8}{'detected':>9}   {'held, told first':18}{'held, settled':18}{'width, days':>12}{'error, days':>12}")
    for kind in given.kinds.split(","):
        print(summed(kind, range(given.first, given.first + given.streams), given.v), flush=True)


if __name__ == "__main__":
    main()
