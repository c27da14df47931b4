"""How often a trial is wrong, and how soon it is right: simulated lives, looked at after every day.

    python benchmarks/trial.py [--lives 2000]

Prints the tables of docs/promotion.md. Gains are in standard deviations of a day's mean gain.
"""

from __future__ import annotations

import argparse

import numpy as np

from keepwell.deployment import blocks_of, judge, terms

ERROR, HELD_OUT, DAYS = 0.05, 365, 365


def normal(draw: np.random.Generator, days: int) -> np.ndarray:
    return draw.normal(0, 1, days)


def heavy(draw: np.random.Generator, days: int) -> np.ndarray:
    return draw.standard_t(3, days) / np.sqrt(3)


def skewed(draw: np.random.Generator, days: int) -> np.ndarray:
    return draw.exponential(1, days) - 1


def alike(draw: np.random.Generator, days: int) -> np.ndarray:
    steps = draw.normal(0, np.sqrt(1 - 0.5**2), days)
    for day in range(1, days):
        steps[day] += 0.5 * steps[day - 1]
    return steps


def proven(draw: np.random.Generator, kind: object, gain: float) -> tuple[str, int]:
    """The verdict of a life, and the day it came."""
    noise = kind(draw, HELD_OUT + DAYS)  # type: ignore[operator]
    held_to = terms(np.arange(HELD_OUT), noise[:HELD_OUT], 1e9)
    _, _, means = blocks_of(np.arange(DAYS), noise[HELD_OUT:] + gain, held_to.block_days)
    verdict = judge(means, held_to.reach, ERROR).verdict
    if verdict == "open":
        return verdict, DAYS
    low, high = 1, means.size  # what is proven stays proven, so the first day is found by halving
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if judge(means[:middle], held_to.reach, ERROR).verdict != "open" else (middle + 1, high)
    return verdict, low * held_to.block_days


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lives", type=int, default=2000)
    lives = parser.parse_args().lives
    draw = np.random.default_rng(1)
    print(f"{'days':24}  wrongly better  wrongly worse   (stated: {ERROR})")
    for kind in (normal, heavy, skewed, alike):
        said = [proven(draw, kind, 0.0)[0] for _ in range(lives)]
        print(f"{kind.__name__:24}  {said.count('better') / lives:14.4f}  {said.count('worse') / lives:13.4f}")
    print("\ngain in sd of a day   median days   proven within 28   90   365")
    for gain in (0.1, 0.2, 0.3, 0.5, 1.0, 2.0):
        days = np.array([day if verdict == "better" else 10**6 for verdict, day in (proven(draw, normal, gain) for _ in range(lives // 4))])
        middle = np.median(days)
        shares = "  ".join(f"{np.mean(days <= limit):5.0%}" for limit in (28, 90, 365))
        print(f"{gain:19.1f}   {'more' if middle > DAYS else f'{middle:.0f}':>11}   {shares}")


if __name__ == "__main__":
    main()
