"""Who turns up: rows of other entities, or rows whose columns lie elsewhere for the season."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keepwell.detection import Onset, batch_means, scan, scan_told
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.records import Case

MIX = 0.12  # of the rows come from others: less is how entities come and go
FAR, SURE = 0.25, 4.0  # standard deviations of the season that a number must have moved, and standard errors
LOOK_BACK = 400  # batches
STEPS = 8  # sizes of a change of the mix between none and the whole
FEW = 10  # batches or rows of which nothing is said


@dataclass(frozen=True)
class Move:
    """A number whose own mean moved for the season: when, by how many standard deviations of its season, `within` its entities, and how
    surely (`score`, in nats)."""

    column: str
    onset: Onset
    size: float
    within: float
    score: float

    @property
    def is_of_entities(self) -> bool:
        """Did it move because other entities come, rather than within them?"""
        return abs(self.within) < abs(self.size) / 4


def moves_of(case: Case) -> list[Move]:
    """The numbers that moved for the season and stayed so, the farthest first."""
    reference = case.reference
    null = reference.marginals
    values = reference.columns.standard(case.rows.numbers)
    numbers, place = np.unique(case.batch, return_inverse=True)
    means, counts = batch_means(values, place, len(numbers))
    usual = null.usual(reference.middle(numbers))
    apart = means - usual
    before = np.vstack([np.full((1, apart.shape[1]), np.nan), np.where((np.diff(numbers) == 1)[:, None], apart[:-1], np.nan)])
    z = np.where(counts > 0, null.innovations(apart, before, counts), np.nan)
    rest = values - usual[place]
    at = np.searchsorted(case.numbers, numbers)
    found = []
    for column, name in enumerate(one.name for one in reference.columns.numbers):
        there = np.flatnonzero(np.isfinite(z[:, column]))[-LOOK_BACK:]
        if not reference.columns.numbers[column].is_watched or len(there) < FEW:
            continue
        best = max((scan(z[there, column] * sign) for sign in (1, -1)), key=lambda one: one.score)
        since = place >= there[best.at]
        mine = np.isfinite(rest[:, column])
        old, new = mine & ~since, mine & since
        if best.score < SURE**2 / 2 or min(old.sum(), new.sum()) < FEW:
            continue
        spread = max(float(rest[old, column].std()), 1e-9)
        size = float(rest[new, column].mean() - rest[old, column].mean()) / spread
        if abs(size) < FAR:
            continue
        within = _within(rest[:, column], case.rows.entity, old, new) / spread
        onset = replace(best, at=int(at[there[best.at]]), low=int(at[there[best.low]]), high=int(at[there[best.high]]))
        found.append(Move(name, onset, size, within, best.score))
    return sorted(found, key=lambda move: -abs(move.size))


def _within(values: np.ndarray, entity: np.ndarray, old: np.ndarray, new: np.ndarray) -> float:
    """How far values moved in the mean of the entities that were there before and after, by their rows after."""
    total, rows = 0.0, 0
    for code in np.unique(entity[new]):
        was, is_now = old & (entity == code), new & (entity == code)
        if was.sum() >= 5:
            total += is_now.sum() * float(values[is_now].mean() - values[was].mean())
            rows += int(is_now.sum())
    return total / rows if rows else 0.0


def onset_of_mix(contrast: Contrast) -> Onset | None:
    """Since when entities come in the shares that they have after the contrast's onset, in the case's batches; None with too few."""
    case = contrast.case
    codes, code = np.unique(case.rows.entity, return_inverse=True)
    before, after = (np.bincount(code[side], minlength=len(codes)) + 0.5 for side in (contrast.before, contrast.after))
    times = (after / after.sum()) / (before / before.sum())
    place = np.searchsorted(case.numbers, case.batch)
    recent = place >= len(case.numbers) - LOOK_BACK
    batches, at_batch = np.unique(place[recent], return_inverse=True)
    if len(batches) < FEW:
        return None
    moved = np.linspace(0, 1, STEPS + 1)[1:, None]
    told = np.log(1 - moved + moved * times[code[recent]])
    found = scan_told(np.stack([np.bincount(at_batch, row) for row in told]))
    return replace(found, at=int(batches[found.at]), low=int(batches[found.low]), high=int(batches[found.high]))


def mix_of(contrast: Contrast) -> tuple[float, str]:
    """Total variation between the entities before and after, and the one that gained most."""
    columns = contrast.case.reference.columns
    if columns.entity_place is None:
        return 0.0, ""
    entity = contrast.case.rows.entity
    levels = columns.categories[columns.entity_place].levels
    codes = np.arange(-2, len(levels))

    def shares(index: np.ndarray) -> np.ndarray:
        return np.array([(entity[index] == code).mean() if len(index) else 0.0 for code in codes])

    apart = shares(contrast.after) - shares(contrast.before)
    most = int(apart.argmax())
    name = {-2: "new ones", -1: "missing"}.get(int(codes[most]), levels[codes[most]] if codes[most] >= 0 else "")
    return float(np.abs(apart).sum() / 2), name


def mix_words(contrast: Contrast) -> str:
    """How the mix of entities changed."""
    share, gained = mix_of(contrast)
    return f"{share:.0%} of the rows come from others in {contrast.case.reference.columns.entity}, most from {gained}"


def mix_harm(contrast: Contrast) -> tuple[float, float]:
    """Rise of the expected loss by new or gone entities: all rows after against the same season before, with its standard error."""
    case, reference = contrast.case, contrast.case.reference
    basis = reference.conditionals.basis(contrast.both)
    index = np.r_[contrast.before, contrast.after]
    expected = reference.outcome.expected(case.answer[index], basis)
    usual = reference.null.usual(contrast.both.time)[:, reference.place("diff") or 0]
    apart = expected - usual
    post = contrast.mean_by_batch(apart[contrast.is_after], contrast.after)
    pre = contrast.mean_by_batch(apart[~contrast.is_after], contrast.before)
    return post[0] - pre[0], float(np.hypot(post[1], pre[1]))
