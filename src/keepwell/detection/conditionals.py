"""Does a column still fit the other columns? Each column is told from the others, and what is left over is watched.

Seasons and changes of who turns up move columns together and leave what one says given the others alone; a broken sensor does not. If
columns are jointly normal with precision matrix P, a shift of size D in column j moves the standardised residual of column k by
D P_jk / sqrt(P_kk), which is largest at k = j (Cauchy-Schwarz): so the root can be told from its echoes.

All columns share one basis (each number as a line and three hinges, categories one-hot, season and entity), so that one product of
matrices tells all of them; a column's own part of the basis is left out of its model. Inputs are clipped to the reference's range, so
that one broken column moves the others only so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keepwell.detection.columns import NULL, Columns, Rows

FOLDS = 3  # contiguous in time: random ones would leak, and make residuals look smaller than they will be
RIDGE = 3.0  # in rows: what the prior that a coefficient is zero is worth
CLIP = 6.0  # residuals beyond this many scales count as this many
SEASON_DAYS = 300.0  # a shorter reference cannot tell season from drift
BASIS_SHARE = 0.01  # a level rarer than this gets no coefficient of its own
BASIS_LEVELS = 30
BASIS_ENTITIES = 200
NUMBER, CATEGORY, CLOCK = 0, 1, 2
YEAR = 365.2425


@dataclass(frozen=True, eq=False)
class Conditionals:
    """The fitted models: `weights` (k, d) for numbers, `category_weights` (k, all levels), `scales` (d,) out-of-fold residual sd,
    `r2` (d,) out-of-fold share of a column's variance that the others tell."""

    columns: Columns
    span_days: float
    weights: np.ndarray
    category_weights: np.ndarray
    scales: np.ndarray
    r2: np.ndarray

    @classmethod
    def fit(cls, columns: Columns, rows: Rows) -> tuple[Conditionals, np.ndarray]:
        """Fit on a reference in time order. Answers also its out-of-fold residuals, in scales, (n, d)."""
        span = float(rows.time[-1] - rows.time[0]) if len(rows) else 0.0
        bare = cls(columns, span, np.empty((0, 0)), np.empty((0, 0)), np.ones(len(columns.numbers)), np.zeros(len(columns.numbers)))
        basis = bare.basis(rows)
        targets = bare._standard(rows.numbers, clip=True)
        fold = np.minimum(np.arange(len(rows)) * FOLDS // max(len(rows), 1), FOLDS - 1)
        held = np.full_like(targets, np.nan)
        for number in range(FOLDS):
            mine = fold == number
            held[mine] = basis[mine] @ bare._solve(basis[~mine], targets[~mine])
        apart = targets - held
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.nanmean(apart**2, axis=0) if len(rows) else np.ones(len(columns.numbers))
            variance = np.nanvar(targets, axis=0) if len(rows) else np.ones(len(columns.numbers))
        scales = np.sqrt(np.maximum(np.nan_to_num(spread, nan=1.0), 1e-6))
        r2 = np.clip(1 - np.nan_to_num(spread, nan=1.0) / np.maximum(np.nan_to_num(variance, nan=1.0), 1e-9), 0.0, 1.0)
        fitted = cls(columns, span, bare._solve(basis, targets), bare._solve_categories(basis, rows.codes), scales, r2)
        return fitted, fitted._in_scales(apart)

    # --- use ----------------------------------------------------------------------------------------------------------

    def expected(self, rows: Rows) -> np.ndarray:
        """What each number should be given the others, in its own unit, (n, d)."""
        return np.asarray(self.basis(rows) @ self.weights * self._scale + self._mean)

    def residuals(self, rows: Rows) -> np.ndarray:
        """How far each number is from what the others say, in scales of the reference's own residuals, (n, d); NaN where missing."""
        return self._in_scales(self._standard(rows.numbers, clip=False) - self.basis(rows) @ self.weights)

    def likely_levels(self, rows: Rows, place: int) -> np.ndarray:
        """The most likely level of a category given the other columns: codes (n,)."""
        at = sum(len(column.levels) for column in self.columns.categories[:place])
        count = len(self.columns.categories[place].levels)
        if count == 0:
            return np.full(len(rows), NULL, np.int32)
        return np.asarray((self.basis(rows) @ self.category_weights[:, at : at + count]).argmax(axis=1), np.int32)

    def repaired(self, rows: Rows, numbers: list[int], categories: list[int]) -> Rows:
        """Rows whose named columns are replaced by what the others say; categories only where they are missing or unseen."""
        values, codes = rows.numbers.copy(), rows.codes.copy()
        # Several broken columns must not be told from one another: they are blanked first, then told from the rest, twice.
        values[:, numbers] = np.nan
        for _ in range(1 if len(numbers) < 2 else 2):
            told = self.expected(Rows(rows.time, rows.entity, values, codes))
            values[:, numbers] = told[:, numbers]
        for place in categories:
            odd = codes[:, place] < 0
            if odd.any():
                codes[odd, place] = self.likely_levels(Rows(rows.time, rows.entity, values, codes).take(odd), place)
        return Rows(rows.time, rows.entity, values, codes)

    # --- the basis ----------------------------------------------------------------------------------------------------

    @cached_property
    def _mean(self) -> np.ndarray:
        return np.array([column.mean for column in self.columns.numbers])

    @cached_property
    def _scale(self) -> np.ndarray:
        return np.array([column.scale for column in self.columns.numbers])

    def _standard(self, numbers: np.ndarray, *, clip: bool) -> np.ndarray:
        if clip:
            low = np.array([column.low for column in self.columns.numbers])
            high = np.array([column.high for column in self.columns.numbers])
            numbers = np.clip(numbers, low, high)
        return np.asarray((numbers - self._mean) / self._scale)

    def _in_scales(self, apart: np.ndarray) -> np.ndarray:
        return np.asarray(np.clip(apart / self.scales, -CLIP, CLIP))

    @cached_property
    def _owners(self) -> list[tuple[int, int]]:
        """(kind, place) of the column that each part of the basis belongs to."""
        found = [(CLOCK, -1)]
        for place, column in enumerate(self.columns.numbers):
            if column.is_watched or column.scale > 0:
                found += [(NUMBER, place)] * (1 + len(column.knots) + (column.nulls > 0.005))
        for place, column in enumerate(self.columns.categories):
            found += [(CATEGORY, place)] * (len(self._levels(place)) + (column.nulls > 0.005))
        return found + [(CLOCK, -1)] * self._clock(np.zeros(1)).shape[1]

    def _levels(self, place: int) -> np.ndarray:
        column = self.columns.categories[place]
        is_entity = column.name == self.columns.entity
        share = 0.0 if is_entity else BASIS_SHARE
        kept = [code for code, size in enumerate(column.shares) if size >= share]
        return np.array(kept[: BASIS_ENTITIES if is_entity else BASIS_LEVELS], np.int32)

    def _clock(self, time: np.ndarray) -> np.ndarray:
        parts = []
        if self.span_days >= SEASON_DAYS:
            for wave in (1, 2):
                angle = 2 * np.pi * wave * time / YEAR
                parts += [np.sin(angle), np.cos(angle)]
        for wave in (1, 2):  # the hour; zero work where all rows have one
            angle = 2 * np.pi * wave * (time % 1)
            parts += [np.sin(angle), np.cos(angle)]
        day = np.floor(time) % 7
        parts += [(day == number).astype(float) for number in range(6)]
        return np.stack(parts, axis=1)

    def basis(self, rows: Rows) -> np.ndarray:
        """The shared basis, (n, k)."""
        n = len(rows)
        parts = [np.ones((n, 1))]
        standard = self._standard(rows.numbers, clip=True)
        for place, column in enumerate(self.columns.numbers):
            if not (column.is_watched or column.scale > 0):
                continue
            line = standard[:, place]
            missing = np.isnan(line)
            line = np.where(missing, 0.0, line)
            hinges = [np.maximum(line - (knot - column.mean) / column.scale, 0.0) for knot in column.knots]
            parts.append(np.stack([line, *(np.where(missing, 0.0, hinge) for hinge in hinges)], axis=1))
            if column.nulls > 0.005:
                parts.append(missing[:, None].astype(float))
        for place, column in enumerate(self.columns.categories):
            codes = rows.codes[:, place]
            parts.append((codes[:, None] == self._levels(place)[None, :]).astype(float))
            if column.nulls > 0.005:
                parts.append((codes < 0)[:, None].astype(float))
        parts.append(self._clock(rows.time))
        return np.concatenate(parts, axis=1)

    # --- fit ----------------------------------------------------------------------------------------------------------

    def _own(self, kind: int, place: int) -> np.ndarray:
        return np.array([owner != (kind, place) for owner in self._owners])

    def _solve(self, basis: np.ndarray, targets: np.ndarray) -> np.ndarray:
        gram = basis.T @ basis
        found = np.zeros((basis.shape[1], targets.shape[1]))
        for place in range(targets.shape[1]):
            missing = np.isnan(targets[:, place])
            mine = gram - basis[missing].T @ basis[missing] if missing.any() else gram
            keep = self._own(NUMBER, place)
            right = basis[~missing].T @ targets[~missing, place]
            found[keep, place] = _ridge(mine[np.ix_(keep, keep)], right[keep])
        return found

    def _solve_categories(self, basis: np.ndarray, codes: np.ndarray) -> np.ndarray:
        gram = basis.T @ basis
        parts = [np.empty((basis.shape[1], 0))]
        for place, column in enumerate(self.columns.categories):
            count = len(column.levels)
            known = codes[:, place] >= 0
            part = np.zeros((basis.shape[1], count))
            # A column with very many levels is not told: the usual ones would be a guess.
            if 0 < count <= BASIS_ENTITIES:
                targets = (codes[known, place][:, None] == np.arange(count)[None, :]).astype(float)
                mine = gram - basis[~known].T @ basis[~known]
                keep = self._own(CATEGORY, place)
                part[keep] = _ridge(mine[np.ix_(keep, keep)], (basis[known].T @ targets)[keep])
            parts.append(part)
        return np.concatenate(parts, axis=1)


def _ridge(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    penalty = np.full(len(gram), RIDGE)
    penalty[0] = 1e-6  # the constant
    return np.asarray(np.linalg.solve(gram + np.diag(penalty), right))
