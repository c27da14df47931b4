"""From what rings to since when and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from keepwell.detection import Onset, scan
from keepwell.diagnosis.accounting import account, avoidable
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.estimate import BLIND, estimate_of
from keepwell.diagnosis.isolation import HARD, Root, in_their_season, roots_of
from keepwell.diagnosis.price import price
from keepwell.diagnosis.records import Began, Case, Cause, Explanation
from keepwell.diagnosis.relation import without_fault
from keepwell.diagnosis.signatures import signature_of
from keepwell.diagnosis.turnout import mix_harm, mix_of, mix_words, moves_of

LOOK_BACK = 300  # batches; a sign that is hard is looked for in all
NEAR = 4  # batches
EXPLAINS = 0.2  # of what labels measured
DOUBTLESS = 3.0  # standard errors
GROSS = 6.0  # standard errors of the gap that a fault leaves unexplained: something else happened, whatever the fault costs
HARM = 0.04  # of the reference's loss: a change in the data that costs less is a note
BLAMED = 0.02  # of the reference's loss: less harm than this blames nobody
RECORD = 2.2  # times the farthest that a column has ever been from what the others tell in the reference, for as long
LEVEL = 0.9
OWN = {"missing": "n", "new_category": "u", "stuck": "r"}


def explain(case: Case) -> Explanation:
    """Say since when and why, as far as it can be proven.

    Columns are looked at first: a broken one is priced by asking the model again. Only when no column carries harm is the relation to
    the label questioned.
    """
    first, channel = _first(case)
    contrast = Contrast.at(case, first.at)
    roots = _of_this_time(case, roots_of(contrast), first)
    # The root's own channel is the sharpest clock; what moved is judged again from there.
    if roots and (own := _own_onset(case, roots[0])) is not None and abs(own[0].at - first.at) > 2:
        again = Contrast.at(case, own[0].at)
        from_there = _of_this_time(case, roots_of(again), own[0])
        if from_there and from_there[0].column == roots[0].column:
            first, channel, contrast, roots = own[0], own[1], again, from_there
    causes = _faults(contrast, roots)
    loss = case.reference.outcome.loss
    blamed = [cause for cause in causes if cause.harm is not None and cause.harm > BLAMED * loss and cause.facts.get("beyond", np.inf) > 1]
    harm = sum(cause.harm or 0.0 for cause in blamed)
    error = float(np.sqrt(sum((cause.error or 0.0) ** 2 for cause in blamed)))
    by_labels = _of_labels(case)
    elsewhere = Contrast.at(case, by_labels[0].at) if by_labels else None
    gap = _gap(elsewhere, by_labels[1] if by_labels else "") if elsewhere is not None else None
    # Labels say how much there is to explain: a fault that costs far less did not do it, nor one that should have cost far more.
    since = account(contrast, []) if blamed and by_labels else None
    is_it = not (since and is_disproved(harm, since[0], since[1])) and (gap is None or is_enough((harm, error), gap, loss))
    if blamed and (by_labels is None or is_it):
        causes = sorted(causes, key=lambda cause: (cause not in blamed, -(cause.harm or 0.0)))
        own_root = next((root for root in roots if root.column == causes[0].column), None)
        if own_root is not None and (own := _own_onset(case, own_root)) is not None:
            first, channel = own
        if causes[0].kind == "covariate_shift" and (move := next((one for one in moves_of(case) if one.column == causes[0].column), None)):
            first = move.onset  # where a column lies shows sooner than how it fits the others
    elif by_labels is not None and elsewhere is not None:
        said = without_fault(case, *by_labels)
        # What it costs is measured from where labels show it best: a slow or early beginning would dilute it.
        first, channel, contrast, found = said.onset, by_labels[1], elsewhere, said.causes
        is_proven = bool(found) and found[0].kind != "unknown"
        causes = [*found, *causes] if is_proven or not blamed else [*causes, *found]
    accounted = account(contrast, causes)
    gap = gap or _gap(contrast)
    spared = avoidable(elsewhere or contrast)
    has_labels = bool(np.isfinite(case.label[contrast.after]).any())
    estimate = None if has_labels else estimate_of(case, contrast.post, causes)
    return Explanation(
        began=_began(case, first, channel),
        causes=tuple(causes),
        harm=harm if blamed else None if case.predict is None else 0.0,
        harm_error=error if blamed else None,
        rise=accounted[0] if accounted else None,
        rise_error=accounted[1] if accounted else None,
        parts=accounted[2] if accounted else (),
        gap=gap[0] if gap else None,
        gap_error=gap[1] if gap else None,
        expected=case.reference.outcome.loss,
        has_labels=has_labels,
        notes=() if has_labels else (BLIND, *([estimate.sentence] if estimate else [])),
        estimate=estimate,
        avoidable=spared[0] if spared else None,
        avoidable_error=spared[1] if spared else None,
    )


def is_disproved(harm: float, rise: float, error: float) -> bool:
    """Is a measured rise of the loss surely far below the harm that a fault should do?

    Examples
    --------
    >>> is_disproved(0.5, rise=-0.02, error=0.03), is_disproved(0.5, rise=-0.02, error=0.2)
    (True, False)
    """
    return rise + DOUBTLESS * error < EXPLAINS * harm


def is_enough(harm: tuple[float, float], gap: tuple[float, float], loss: float) -> bool:
    """May a fault be what a decline is about, beside this gap and the reference's loss? A small one may where it costs something, unless
    most of a gross gap stays unexplained.

    Parameters
    ----------
    harm, gap : each with its standard error.

    Examples
    --------
    >>> [is_enough((0.05, 0.02), gap, loss=0.4) for gap in ((0.1, 0.05), (0.4, 0.1), (1.0, 0.1))]
    [True, True, False]
    """
    left = gap[0] - harm[0]
    is_costly = harm[0] - harm[1] > HARM * loss and left < GROSS * gap[1]
    return is_costly or harm[0] > EXPLAINS * gap[0] or left < 2 * gap[1]


def _of_this_time(case: Case, roots: list[Root], first: Onset) -> list[Root]:
    """Roots that began when this began, or that ring by themselves: others are slow and old, and did not cause this."""

    def rings(root: Root) -> bool:
        places = [case.reference.place(kind, root.column) for kind in ("m", "s", "r", "n", "u")]
        return any(place is not None and case.ringing[place] for place in places)

    def belongs(root: Root) -> bool:
        own = _own_onset(case, root)
        return own is not None and first.low - NEAR <= own[0].at <= first.high + NEAR

    near = {root.column: belongs(root) for root in roots}
    kept = [root for root in roots if near[root.column] or rings(root)]
    return sorted(kept or roots, key=lambda root: not near[root.column])


def _gap(contrast: Contrast, channel: str = "") -> tuple[float, float] | None:
    """The rise of the loss beyond what these cases let expect, and its standard error, of the slice when `channel` is one's; None while
    no label is in."""
    kind, _, level = channel.partition(":")
    at = contrast.case.reference.place(kind, level) if kind == "slice" else contrast.case.reference.place("gap")
    if at is None or not np.isfinite(contrast.case.apart[contrast.post, at]).any():
        return None
    return float(contrast.effect()[0][at]), float(contrast.error()[at])


def _faults(contrast: Contrast, roots: list[Root]) -> list[Cause]:
    """Each root read and priced, all others repaired on both sides."""
    case = contrast.case
    entity = case.reference.columns.entity
    found = []
    for root in roots:
        if root.column == entity and root.hard == "new_category":
            harm, error = mix_harm(contrast)
            if (measured := account(contrast, [])) is not None:
                rise, rise_error = measured[0], max(measured[1], 1e-9)
                weight = error**2 / (error**2 + rise_error**2)
                harm, error = weight * rise + (1 - weight) * harm, float(np.sqrt(weight) * rise_error)
            found.append(Cause("covariate_shift", root.column, harm, error, root.score, mix_of(contrast)[1], mix_words(contrast)))
            continue
        others = [name for name in (*case.old, *(other.column for other in roots)) if name not in (root.column, entity)]
        own = _own_onset(case, root)
        read = signature_of(contrast, root, [name for name in others if name != root.partner], own[0] if own else None)
        priced = price(contrast, root, read, others)
        cost, doubt = priced if priced is not None else (None, None)
        facts = {} if root.hard or root.partner else {"beyond": _beyond(contrast, root)}
        found.append(Cause(read.kind, root.column, cost, doubt, root.score, read.scope, read.detail, facts))
    return found


def _beyond(contrast: Contrast, root: Root) -> float:
    """How far a column moved from what the others tell, over what might still be rare weather; less than one is no fault.

    The reference is well, and the farthest that it has been for as long is known. A spike of one batch is as far off as a fault is, where
    the reference has spikes; a fault stays, and the longer the less far the reference has ever been.
    """
    reference = contrast.case.reference
    limits = RECORD * reference.null.farthest(len(contrast.post))
    places = {kind: place for kind in ("m", "s") if (place := reference.place(kind, root.column)) is not None}

    def over(misfit: float, spread: float) -> float:
        moved = {"m": misfit, "s": spread}
        return max((abs(moved[kind]) / max(float(limits[place]), 1e-9) for kind, place in places.items()), default=np.inf)

    found = over(root.misfit, root.spread)  # with all other broken columns repaired
    return min(found, over(*in_their_season(contrast, root))) if found > 1 else found


def _first(case: Case) -> tuple[Onset, str]:
    """The sharpest onset among what rings."""
    best = _sharpest(case, [(int(at), int(case.sides[at])) for at in np.flatnonzero(case.ringing)])
    if best is None:  # it rang in the first batches: there is nothing before it yet
        last = len(case.numbers) - 1
        return Onset(last, max(last - 1, 0), last, "step", 0.0, 0.0), ""
    return best


def _sharpest(case: Case, channels: list[tuple[int, int]]) -> tuple[Onset, str] | None:
    """The onset that raises the likelihood most, of (channel, side)s, and its channel's name."""
    found = [(one, case.reference.channels[at].name) for at, sign in channels if (one := _scan(case, at, sign)) is not None]
    return max(found, key=lambda pair: pair[0].score, default=None)


def _scan(case: Case, at: int, sign: int) -> Onset | None:
    """The onset in one channel, positions counted in the case's batches."""
    channel = case.reference.channels[at]
    there = np.flatnonzero(np.isfinite(case.z[:, at]))[0 if channel.kind in HARD else -LOOK_BACK :]
    if len(there) < 3:
        return None
    found = scan(case.z[there, at] * sign, shortest=3 if channel.is_of_labels else 1, level=LEVEL)
    return replace(found, at=int(there[found.at]), low=int(there[found.low]), high=int(there[found.high]))


def _own_onset(case: Case, root: Root) -> tuple[Onset, str] | None:
    """The onset in the root's own channels, the sharpest of them."""
    moved = {"m": root.misfit, "s": root.spread}
    kinds = [OWN[root.hard]] if root.hard else ["m", "s", "r"]
    signs = {kind: -1 if moved.get(kind, 0.0) < 0 else 1 for kind in kinds}
    places = ((case.reference.place(kind, root.column), sign) for kind, sign in signs.items())
    return _sharpest(case, [(at, sign) for at, sign in places if at is not None])


def _of_labels(case: Case) -> tuple[Onset, str] | None:
    """The sharpest onset among the label channels and the estimate that ring."""
    mine = [at for at, channel in enumerate(case.reference.channels) if channel.is_of_labels or channel.kind == "diff"]
    return _sharpest(case, [(at, int(case.sides[at])) for at in mine if case.ringing[at]])


def _began(case: Case, onset: Onset, channel: str) -> Began:
    """An onset in time. That half of a batch has changed means: from a moment after half of the rows before it and before its last row."""
    width = case.reference.width
    first, low, high = (int(case.numbers[min(at, len(case.numbers) - 1)]) for at in (onset.at, onset.low, onset.high))
    earlier, last = (case.rows.time[case.batch == batch] for batch in (low - 1, high))
    early = float(np.median(earlier)) if len(earlier) else (low - 1) * width
    late = float(last.max()) if len(last) else (high + 1) * width
    at, since, until = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=float(value)) for value in (first * width, early, late))
    return Began(at, since, until, LEVEL, onset.shape, channel)
