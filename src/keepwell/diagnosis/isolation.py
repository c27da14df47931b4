"""Which column is the root? A broken column makes its neighbours look broken; only when the root is repaired do they look well again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from keepwell.detection import YEAR, Rows
from keepwell.diagnosis.contrast import Contrast

HARD = {"n": (0.05, 4.0), "u": (0.01, 3.0), "r": (0.10, 4.0)}  # channel -> (change of the share, in standard errors)
KINDS = {"n": "missing", "u": "new_category", "r": "stuck"}
MISFIT, SPREAD, SURE = 0.18, 0.12, 4.0
IDLE_MISFIT, IDLE_SPREAD = 0.10, 0.08
CANDIDATES = 5
WEEK = 7.0  # days
ELSEWHEN = 1.5  # times as much as before the change must other columns fit better at another time of the year
ROOTS = 3
SWAPPED = 0.35  # exchanging two columns back must leave no more than this share of the misfit, and less than repairing one of them does


@dataclass(frozen=True)
class Root:
    """A column that no other explains. `hard` is "missing", "new_category", "stuck" or "" (told by its misfit); `partner` the column it
    was exchanged with; `misfit`, `spread` how far it moved, in residual scales; `score` in standard errors."""

    column: str
    hard: str = ""
    partner: str = ""
    misfit: float = 0.0
    spread: float = 0.0
    score: float = 0.0
    share: float = 0.0


def roots_of(contrast: Contrast) -> list[Root]:
    """The columns at the root of what moved, the hard signatures first."""
    # Exchanged columns can look stuck or broken each by itself: whether they fit when exchanged back is asked first.
    if pair := _exchanged(contrast):
        return pair
    hard = [root for root in _hard(contrast) if root.column not in contrast.case.old]
    return [*hard, *_soft(contrast, hard)]


def repaired(contrast: Contrast, columns: list[str], rows: Rows | None = None) -> Rows:
    """Rows of both sides with some columns told by the others."""
    names = frozenset(columns)
    if rows is None and names in contrast.repairs:
        return contrast.repairs[names]
    reference = contrast.case.reference
    numbers = [place for place, column in enumerate(reference.columns.numbers) if column.name in names]
    categories = [place for place, column in enumerate(reference.columns.categories) if column.name in names]
    found = reference.conditionals.repaired(rows if rows is not None else contrast.both, numbers, categories, contrast.told)
    if rows is None:
        contrast.repairs[names] = found
    return found


def in_their_season(contrast: Contrast, root: Root) -> tuple[float, float]:
    """A root's misfit and spread if each row were of that time of the year which its other columns tell; as they are, unless those fit
    much better there than rows did before.

    Rows of another season, as those that come again or bear a wrong time, make columns look broken that fit one another.
    """
    reference, rows = contrast.case.reference, contrast.both
    numbers = reference.columns.numbers
    place = next(at for at, column in enumerate(numbers) if column.name == root.column)
    others = np.array([column.is_watched and column.name not in (root.column, *contrast.case.old) for column in numbers])
    mended = repaired(contrast, [root.column])
    # At the same hour, of the same weekday.
    moments = [rows.time + WEEK * round(month * YEAR / 12 / WEEK) for month in range(12)]
    apart = reference.conditionals.residuals_at(moments, mended, contrast.told)
    off = np.array([np.nansum(part[:, others] ** 2, axis=1) for part in apart])
    better = off[0] - off.min(axis=0)
    now, was = better[contrast.is_after], better[~contrast.is_after]
    if min(len(now), len(was)) == 0 or now.mean() < ELSEWHEN * was.mean():
        return root.misfit, root.spread
    time = np.choose(off.argmin(axis=0), moments)
    own = reference.conditionals.residuals_at([time], rows, contrast.told)[0][:, place]
    usual = reference.null.usual(time)
    found = []
    for kind, values in (("m", own), ("s", np.abs(own))):
        channel = reference.place(kind, root.column)
        values = values - usual[:, channel] if channel is not None else values
        sides = (values[mine & np.isfinite(values)] for mine in (contrast.is_after, ~contrast.is_after))
        after, before = (float(side.mean()) if len(side) else 0.0 for side in sides)
        found.append(after - before)
    return found[0], found[1]


def _hard(contrast: Contrast) -> list[Root]:
    reference = contrast.case.reference
    change, z = contrast.effect()
    found: dict[str, Root] = {}
    for at, channel in enumerate(reference.channels):
        if channel.kind not in HARD:
            continue
        least, sure = HARD[channel.kind]
        is_sure = z[at] > sure or contrast.case.ringing[at]
        if change[at] > least and is_sure:
            root = Root(channel.column, KINDS[channel.kind], score=float(z[at]), share=float(change[at]))
            known = found.get(channel.column)
            if known is None or known.share < root.share:
                found[channel.column] = root
    return sorted(found.values(), key=lambda root: -root.share)


def _soft(contrast: Contrast, hard: list[Root]) -> list[Root]:
    names, watched, m_error, s_error = _numbers(contrast)
    fixed = [*contrast.case.old, *(root.column for root in hard)]
    found: list[Root] = []
    for _ in range(ROOTS):
        base = repaired(contrast, fixed) if fixed else contrast.both
        misfit, spread = contrast.misfits(base)
        free = watched & ~np.isin(names, fixed)
        is_off = (np.abs(misfit) > np.maximum(MISFIT, SURE * m_error)) | (np.abs(spread) > np.maximum(SPREAD, SURE * s_error))
        off = free & is_off
        size = np.maximum(np.abs(misfit) / MISFIT, np.abs(spread) / SPREAD) * off
        candidates = [int(place) for place in np.argsort(-size)[:CANDIDATES] if off[place]]
        if not candidates:
            break
        left = {place: _left(contrast, fixed, names, place, free) - 0.02 * size[place] for place in candidates}
        best = min(left, key=lambda place: left[place])
        score = max(abs(misfit[best]) / max(m_error[best], 1e-9), abs(spread[best]) / max(s_error[best], 1e-9))
        found.append(Root(names[best], "", "", float(misfit[best]), float(spread[best]), float(score)))
        fixed.append(names[best])
    return found


def _exchanged(contrast: Contrast) -> list[Root]:
    names, watched, m_error, s_error = _numbers(contrast)
    misfit, spread = contrast.misfits(contrast.both)
    size = np.maximum(np.abs(misfit) / MISFIT, np.abs(spread) / SPREAD) * watched
    candidates = [int(place) for place in np.argsort(-size)[:CANDIDATES] if size[place] > 1]
    if len(candidates) < 2 or size[candidates[0]] < 3:
        return []
    total = _anomaly(misfit, spread, watched)
    single = min(_left(contrast, [], names, place, watched) for place in candidates)
    pair = _swapped(contrast, candidates, min(SWAPPED * total, 0.6 * single), watched)
    if pair is None:
        return []
    found = []
    for place, other in (pair, pair[::-1]):
        score = max(abs(misfit[place]) / max(m_error[place], 1e-9), abs(spread[place]) / max(s_error[place], 1e-9))
        found.append(Root(names[place], "", names[other], float(misfit[place]), float(spread[place]), float(score)))
    return found


def _numbers(contrast: Contrast) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Of the numbers: names, which are watched, and the standard errors of their two channels' changes."""
    reference = contrast.case.reference
    names = [column.name for column in reference.columns.numbers]
    watched = np.array([column.is_watched for column in reference.columns.numbers], bool)
    errors = contrast.error()
    m_error, s_error = (np.array([_at(errors, reference.place(kind, name)) for name in names]) for kind in ("m", "s"))
    return names, watched, m_error, s_error


def _at(values: np.ndarray, place: int | None) -> float:
    return float(values[place]) if place is not None else float("inf")


def _anomaly(misfit: np.ndarray, spread: np.ndarray, free: np.ndarray) -> float:
    over = np.maximum(np.abs(misfit) - IDLE_MISFIT, 0) + np.maximum(spread - IDLE_SPREAD, 0)
    return float(over[free].sum())


def _left(contrast: Contrast, fixed: list[str], names: list[str], place: int, free: np.ndarray) -> float:
    """How badly the other columns still fit when one more is repaired."""
    others = free.copy()
    others[place] = False
    return _anomaly(*contrast.misfits(repaired(contrast, [*fixed, names[place]])), others)


def _swapped(contrast: Contrast, candidates: list[int], most: float, free: np.ndarray) -> tuple[int, int] | None:
    """Two columns that fit when they are exchanged afterwards."""
    base, best, found = contrast.both, most, None
    for one, other in combinations(candidates, 2):
        numbers = base.numbers.copy()
        numbers[contrast.is_after, one] = base.numbers[contrast.is_after, other]
        numbers[contrast.is_after, other] = base.numbers[contrast.is_after, one]
        left = _anomaly(*contrast.misfits(Rows(base.time, base.entity, numbers, base.codes)), free)
        if left < best:
            best, found = left, (one, other)
    return found
