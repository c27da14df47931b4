"""What would a new version be worth? An estimate from the rows that are labelled, before anything is built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepwell.evaluation import losses, mean_interval
from keepwell.model import Task
from keepwell.training import corrected, log_odds, recalibrate, ridge_logistic

Floats = NDArray[np.float64]
CUTS = (1 / 2, 3 / 4, 1.0)  # fitted on the rows before each cut, judged on those up to the next
LEAST = 60  # labelled rows below which nothing is estimated
LEVEL = 0.9
HELD = 5.0  # how strongly a correction by the inputs is held back: as if HELD rows spoke against each term


@dataclass(frozen=True)
class Gain:
    """By how much the loss would fall, with its interval (`LEVEL`), judged on `rows`; `loss` is the loss without it."""

    value: float
    low: float
    high: float
    loss: float
    rows: int

    @property
    def share(self) -> float:
        """Of the loss."""
        return self.value / self.loss if self.loss > 0 else 0.0

    def __str__(self) -> str:
        return f"{self.value:+.4f} ({self.low:+.4f} to {self.high:+.4f}, {LEVEL:.0%}) of a loss of {self.loss:.4f}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def of(cls, before: Floats, after: Floats) -> Gain:
        """From the losses of the same rows, in time order, without and with it."""
        value, low, high = mean_interval(before - after, level=LEVEL)
        return cls(value, low, high, float(before.mean()), before.size)


def gain_of_correcting(task: Task, metric: str, answer: Floats, label: Floats, inputs: Floats | None = None) -> Gain | None:
    """Estimate what correcting a version's answers would have gained on rows that came later. None below `LEAST` rows.

    The answers p are corrected on rows before a cut and judged on the rows after it, for each cut of `CUTS`; what is learned is never
    judged on itself (prequential validation). The correction is, for probabilities, ``sigmoid(logit p + a + b logit p + c.z)``, and for
    numbers ``p + s (a + b p' + c.z)`` with p' the standardised answer and s the spread of the errors. z holds the standardised inputs and
    their squares. Coefficients are shrunk towards 0, which is the version as it is: b and c by a ridge penalty of `HELD`, a by 1. Without
    `inputs` the correction is the monotone line of `training.recalibrate`, which is what recalibrating does.

    So with `inputs` it stands for a retraining, by a model that knows sums of single columns only: a low estimate for one that knows more,
    and low besides, because a real build learns from all rows and not from half of them. It says nothing certain about a particular build:
    the gate does, on rows of its own.

    Parameters
    ----------
    answer, label : shape (n,), in time order, labels known. inputs : shape (n, d), numbers; NaN counts as usual.

    References
    ----------
    Dawid (1984), Statistical theory: the prequential approach, JRSS A 147. Cox (1958), Two further applications of a model for binary
    regression, Biometrika 45. Interval: Lazarus, Lewis, Stock, Watson (2018), JBES 36.
    """
    n = answer.size
    if n < LEAST:
        return None
    before, after = [], []
    for start, stop in pairwise(CUTS):
        learned, judged = slice(0, int(n * start)), slice(int(n * start), int(n * stop))
        before.append(losses(metric, label[judged], answer[judged]))
        if inputs is None:
            line = recalibrate(task, answer[learned], label[learned])
            after.append(losses(metric, label[judged], corrected(answer[judged], task, *line)))
            continue
        terms = _terms(task, answer, inputs, learned)
        held = np.full(terms.shape[1], HELD)
        held[0] = 1.0
        if task == "binary":
            odds = log_odds(answer)
            found = ridge_logistic(terms[learned], odds[learned], label[learned], held)
            given = 1 / (1 + np.exp(-(odds[judged] + terms[judged] @ found)))
        else:
            off = label - answer
            spread = float(off[learned].std()) or 1.0
            curved = terms[learned].T @ terms[learned] + np.diag(held)
            given = answer[judged] + spread * (terms[judged] @ np.linalg.solve(curved, terms[learned].T @ (off[learned] / spread)))
        after.append(losses(metric, label[judged], given))
    return Gain.of(np.concatenate(before), np.concatenate(after))


def _terms(task: Task, answer: Floats, inputs: Floats, learned: slice) -> Floats:
    """Columns of the correction: 1, the answer, and the inputs with their squares, on the scale of the rows learned from."""
    own = log_odds(answer) if task == "binary" else answer
    columns = [np.ones_like(own), _scaled(own, learned)]
    for column in inputs.T:
        scaled = _scaled(column, learned)
        columns += [scaled, np.square(scaled) - 1]
    return np.column_stack(columns)


def _scaled(column: Floats, learned: slice) -> Floats:
    known = column[learned][np.isfinite(column[learned])]
    if known.size == 0 or known.std() == 0:
        return np.zeros_like(column)
    return np.asarray(np.nan_to_num((column - known.mean()) / known.std(), nan=0.0, posinf=4.0, neginf=-4.0).clip(-4, 4))
