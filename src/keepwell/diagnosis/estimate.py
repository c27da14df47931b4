"""What the loss should be by the answers alone, while labels are not in: a number with its interval, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from keepwell.diagnosis.records import Case, Cause, Estimate

LEVEL = 0.9
BLIND = "no label since then: a changed relation to the label or a changed share of it cannot be seen"


def estimate_of(case: Case, positions: np.ndarray, causes: Sequence[Cause] = (), level: float = LEVEL) -> Estimate | None:
    """The mean loss to expect of some batches, label unseen.

    Recalibrated answers say what each row should cost. By how much the mean of so many batches misses that, the reference has shown: the
    noise and the memory of its `gap`. It is right while the relation to the label is the reference's; of a broken column, answers are
    told as sure as ever and mean nothing, so then it is withdrawn.

    Parameters
    ----------
    positions : of the batches in the case's. causes : what is blamed by now. level : of the interval.

    Returns
    -------
    None when the batches hold no row.
    """
    reference, null = case.reference, case.reference.null
    diff, gap = reference.place("diff"), reference.place("gap")
    assert diff is not None
    assert gap is not None
    positions = positions[np.isfinite(case.apart[positions, diff])]
    counts = case.counts[positions, diff]
    if counts.sum() == 0:
        return None
    usual = null.usual(reference.middle(case.numbers[positions]))
    weights = counts / counts.sum()
    value = float((weights * (case.apart[positions, diff] + usual[:, diff] + usual[:, gap])).sum())
    variance = null.common[gap] + null.each[gap] / np.maximum(counts, 1)
    lengthened = (1 + null.memory[gap]) / (1 - null.memory[gap])
    error = float(np.sqrt(lengthened * (weights**2 * variance).sum()))
    half = NormalDist().inv_cdf((1 + level) / 2) * error
    broken = [f"{cause.kind.replace('_', ' ')} in {cause.column}" for cause in causes if cause.cls == "data_quality"]
    return Estimate(value, max(value - half, 0.0), value + half, level, f"withdrawn because of {', '.join(broken)}" if broken else "")
