"""Where the rise of the loss comes from: lines that add up to what was measured."""

from __future__ import annotations

import numpy as np

from keepwell.detection import logit, sigmoid
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.records import Cause, Part
from keepwell.diagnosis.stories import intercept

FEW = 20  # labelled rows on a side that tell nothing


def account(contrast: Contrast, causes: list[Cause]) -> tuple[float, float, tuple[Part, ...]] | None:
    """The rise of the mean loss of labelled rows, its standard error, and its parts; None with too few labels.

    rise = harder cases (of which those that broken columns make look so) + wronger than expected (of which a constant move, the rest).

    References
    ----------
    Cai, Namkoong, Yadlowsky (2023), Diagnosing model performance under distribution shift: the same split, there with densities.
    """
    case, reference = contrast.case, contrast.case.reference
    outcome = reference.outcome
    known = [index[np.isfinite(case.label[index])] for index in (contrast.before, contrast.after)]
    if min(len(index) for index in known) < FEW:
        return None
    gap_place, diff_place = reference.place("gap"), reference.place("diff")
    assert gap_place is not None
    assert diff_place is not None
    losses, expected, errors = [], [], []
    for index in known:
        rows = case.rows.take(index)
        usual = reference.null.usual(rows.time)[:, [gap_place, diff_place]]
        told = outcome.expected(case.answer[index], reference.conditionals.basis(rows)) - usual[:, 1]
        loss = outcome.losses(case.label[index], case.answer[index]) - usual[:, 0] - usual[:, 1]
        losses.append(loss)
        expected.append(told)
        errors.append(contrast.mean_by_batch(loss, index)[1])
    rise = float(losses[1].mean() - losses[0].mean())
    harder = float(expected[1].mean() - expected[0].mean())
    parts = [Part("harder cases", harder)]
    faults = [(cause, cause.harm) for cause in causes if cause.cls == "data_quality" and cause.harm]
    left = rise - harder
    if sum(harm for _, harm in faults) > 0:
        for cause, harm in faults:
            parts.append(Part(f"{cause.kind.replace('_', ' ')} in {cause.column}", harm))
            left -= harm
    elif (constant := _constant(contrast, known[1])) is not None:
        parts.append(Part("labels more or less frequent than expected", constant))
        left -= constant
    parts.append(Part("relation to the label changed" if any(c.cls == "concept_shift" for c in causes) else "not explained", left))
    return rise, float(np.hypot(errors[0], errors[1])), tuple(parts)


def avoidable(contrast: Contrast) -> tuple[float, float] | None:
    """How much less the labelled rows since the onset would have lost with answers put right in level and spread, and the standard error;
    None with too few labels.

    Each half of the batches is put right by the other half: what is only noise there spares nothing here.
    """
    case, outcome = contrast.case, contrast.case.reference.outcome
    index = contrast.after[np.isfinite(case.label[contrast.after])]
    label, answer = case.label[index], case.answer[index]
    odd = np.unique(case.batch[index], return_inverse=True)[1] % 2 == 1
    if min(odd.sum(), (~odd).sum()) < FEW:
        return None
    better = outcome.best(answer)
    now = outcome.losses(label, better)
    for half in (odd, ~odd):
        better[half] = outcome.recalibrated(label[~half], answer[~half]).best(answer[half])
    return contrast.mean_by_batch(now - outcome.losses(label, better), index)


def _constant(contrast: Contrast, index: np.ndarray) -> float | None:
    """How much of the loss a constant correction of the answers would take away."""
    case, outcome = contrast.case, contrast.case.reference.outcome
    label, answer = case.label[index], case.answer[index]
    if outcome.task == "binary":
        x = logit(outcome.calibrated(answer)[:, 0])
        now = outcome.losses(label, sigmoid(x))
        return float((now - outcome.losses(label, sigmoid(x + intercept(x, label)))).mean())
    if outcome.task == "regression":
        error = label - answer - outcome.bias
        return float(np.minimum(error**2, outcome.cap).mean() - np.minimum((error - error.mean()) ** 2, outcome.cap).mean())
    return None
