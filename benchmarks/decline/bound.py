"""How soon could a changed relation to the label, or a changed share of it, be known at best? No monitor beats this.

    python benchmarks/decline/bound.py --seeds 1,2

An oracle is told all but one thing: on which column the change sits, how the label follows from it afterwards, how it grows. Only that it
has happened it must prove, at one false alarm in 1,000 batches and from the labels that have come. The best test of that is the likelihood
ratio of the labels, and it needs log(1,000) nats. How the label follows is fitted on all rows after the change, with hindsight, so the
oracle knows even too much. A monitor that must find out which of twenty directions it is needs log(20) nats more.

Lorden (1971), Procedures for reacting to a change in distribution: the delay is at least log(run length) / information of a batch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parent))
from faults import GROWTH
from scenarios import Scenario, make_scenario, specs

from keepwell.detection import Outcome, logit, sigmoid

RUN_LENGTH = 1_000.0  # batches
DIRECTIONS = 20
LEVELS = (0.15, 0.3, 0.5, 0.7, 0.85)  # quantiles of the column between which the label may follow otherwise
MISSING = len(LEVELS) + 1


def nats(scenario: Scenario) -> tuple[np.ndarray, np.ndarray]:
    """Of each row after the onset in time order: when its label has come, in batches after the onset, and its log likelihood ratio."""
    stream, onset = scenario.stream, scenario.truth.onset
    assert onset is not None
    known = stream.model.predict(stream.reference)
    outcome, _ = Outcome.fit("binary", stream.reference["y"].to_numpy().astype(float), known, np.ones((len(known), 1)))
    age = (scenario.rows["time"].to_numpy() - onset) / stream.batch
    rows, answers, age = scenario.rows[age >= 0], scenario.answers[age >= 0], age[age >= 0]
    label, before = rows["y"].to_numpy(), outcome.calibrated(answers)[:, 0]
    column = scenario.truth.columns[0] if scenario.truth.columns else None
    where = np.zeros(len(rows), int)
    if column is not None:
        values = rows[column].to_numpy(float)
        cuts = np.nanquantile(stream.reference[column].to_numpy(float), LEVELS)
        where = np.where(np.isnan(values), MISSING, np.searchsorted(cuts, np.nan_to_num(values)))
    order = np.argsort(age, kind="stable")
    tried = [_ratio(before, label, where, age, grows)[order] for grows in (False, True)]
    return (age + stream.model.label_delay / stream.batch)[order], max(tried, key=lambda ratio: float(ratio.sum()))


def _ratio(before: np.ndarray, label: np.ndarray, where: np.ndarray, age: np.ndarray, grows: bool) -> np.ndarray:
    """Log likelihood ratio of each label, for a change at once or a growing one; how the label follows is fitted where it is whole."""
    after = before.copy()
    for part in np.unique(where):
        mine = (where == part) & (age >= (GROWTH if grows else 0))
        if mine.sum() >= 20:
            a, b = minimize(_misfit, [0.0, 1.0], (logit(before[mine]), label[mine])).x
            after[where == part] = sigmoid(a + b * logit(before[where == part]))
    grown = np.clip(age / GROWTH, 0, 1) if grows else np.ones(len(age))
    p, q = np.clip(before, 0.005, 0.995), np.clip(before + grown * (after - before), 0.005, 0.995)
    return np.asarray(label * np.log(q / p) + (1 - label) * np.log((1 - q) / (1 - p)))


def delays(scenario: Scenario) -> tuple[float, float] | None:
    """Of a harmful change of the label: told all, and told all but the direction; None for other scenarios."""
    if scenario.truth.fault not in ("label_shift", "concept_shift") or scenario.truth.expect != "alarm":
        return None
    return delay(scenario, float(np.log(RUN_LENGTH))), delay(scenario, float(np.log(RUN_LENGTH * DIRECTIONS)))


def delay(scenario: Scenario, needed: float) -> float:
    """Batches from the onset to the end of the one in which so many nats are in; infinite when they never are."""
    seen, ratio = nats(scenario)
    enough = np.flatnonzero(np.cumsum(ratio) >= needed)
    if not len(enough):
        return float("inf")
    into = float((scenario.truth.onset - scenario.stream.production["time"].min().to_datetime64()) / scenario.stream.batch % 1)
    return float(np.ceil(seen[enough[0]] + into) - into)


def _misfit(weights: np.ndarray, x: np.ndarray, label: np.ndarray) -> float:
    q = np.clip(sigmoid(weights[0] + weights[1] * x), 0.005, 0.995)
    return float(-(label * np.log(q) + (1 - label) * np.log(1 - q)).sum() + 0.5 * (weights[0] ** 2 + (weights[1] - 1) ** 2))


def main(argv: list[str] | None = None) -> None:
    """Print the delay of each scenario that harms, and the median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1", help="comma separated")
    seeds = [int(seed) for seed in parser.parse_args(argv).seeds.split(",")]
    found: list[tuple[float, float]] = []
    for spec in specs(seeds):
        if spec.fault not in ("label_shift", "concept_shift"):
            continue
        if (both := delays(make_scenario(spec))) is not None:
            found.append(both)
            print(f"{spec.id:40} told all {found[-1][0]:6.1f}   one of {DIRECTIONS} directions {found[-1][1]:6.1f}")
    told, guessed = np.median(np.array(found), axis=0)
    print(f"{len(found)} scenarios, median delay in batches: told all {told:.1f}, one of {DIRECTIONS} directions {guessed:.1f}")


if __name__ == "__main__":
    main()
