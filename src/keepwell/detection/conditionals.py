"""Does a column still fit the other columns? Each column is told from the others, and what is left over is watched.

Seasons and changes of who turns up move columns together and leave what one says given the others alone; a broken sensor does not. If
columns are jointly normal with precision matrix P, a shift of size D in column j moves the standardised residual of column k by
D P_jk / sqrt(P_kk), which is largest at k = j (Cauchy-Schwarz): so the root can be told from its echoes.

All columns share one basis (each number as a line and three hinges, categories one-hot, season and entity), so that one product of
matrices tells all of them; a column's own part of the basis is left out of its model. Inputs are clipped to the reference's range, so
that one broken column moves the others only so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from keepwell.detection.columns import NULL, SEASON_DAYS, YEAR, Columns, Rows
from keepwell.detection.outcome import FOLDS, folds

RIDGE = 3.0  # in rows: what the prior that a coefficient is zero is worth
WILD = 4.0  # standard deviations of a normal with the same quartiles: what lies farther off does not make the scale any larger
CLIP = 6.0  # residuals beyond this many scales count as this many
BASIS_SHARE = 0.01  # a level rarer than this gets no coefficient of its own
BASIS_LEVELS = 30
BASIS_ENTITIES = 200
SELDOM = 0.005  # a column missing no oftener has no part that says so
NUMBER, CATEGORY = 0, 1


@dataclass(frozen=True, eq=False)
class Told:
    """Rows with what the basis tells of their numbers, (n, d), and of the levels of categories as far as they were asked for.

    A column owns a block of the basis, so rows that differ in a few columns are told from these by those blocks alone.
    """

    rows: Rows
    numbers: np.ndarray
    levels: dict[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Conditionals:
    """The fitted models: `weights` (k, d) for numbers, `category_weights` (k, all levels), `scales` (d,) out-of-fold residual sd, without
    spikes, `r2` (d,) out-of-fold share of a column's variance that the others tell."""

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
        fold = folds(len(rows))
        held = np.full_like(targets, np.nan)
        for number in range(FOLDS):
            mine = fold == number
            held[mine] = basis[mine] @ bare._solve(basis[~mine], targets[~mine])
        apart = targets - held
        spread = _known_mean(apart**2)
        variance = _known_mean((targets - _known_mean(targets)) ** 2)
        scales = _scales(apart, spread)
        r2 = np.clip(1 - spread / np.maximum(variance, 1e-9), 0.0, 1.0)
        fitted = cls(columns, span, bare._solve(basis, targets), bare._solve_categories(basis, rows.codes), scales, r2)
        return fitted, fitted._in_scales(apart)

    # --- use ----------------------------------------------------------------------------------------------------------

    def told(self, rows: Rows) -> Told:
        """Rows that many others are to be told from."""
        return Told(rows, self._tell(rows, None))

    def expected(self, rows: Rows, near: Told | None = None) -> np.ndarray:
        """What each number should be given the others, in its own unit, (n, d).

        Parameters
        ----------
        near : the same rows but for some columns; the answer is the same, and comes sooner.
        """
        return np.asarray(self._tell(rows, near) * self._scale + self._mean)

    def residuals(self, rows: Rows, near: Told | None = None) -> np.ndarray:
        """How far each number is from what the others say, in scales of the reference's own residuals, (n, d); NaN where missing."""
        return self._in_scales(self._apart(rows, near))

    def residuals_at(self, moments: Sequence[np.ndarray], rows: Rows, near: Told | None = None) -> list[np.ndarray]:
        """The same as if the rows were of other moments, (n,) each."""
        apart, now = self._apart(rows, near), self._clock(rows.time)
        weights = self.weights[len(self.weights) - now.shape[1] :]
        return [self._in_scales(apart - (self._clock(time) - now) @ weights) for time in moments]

    def likely_levels(self, rows: Rows, place: int, near: Told | None = None) -> np.ndarray:
        """The most likely level of a category given the other columns: codes (n,)."""
        count = len(self.columns.categories[place].levels)
        if count == 0:
            return np.full(len(rows), NULL, np.int32)
        at = sum(len(column.levels) for column in self.columns.categories[:place])
        weights = self.category_weights[:, at : at + count]
        if near is None:
            return np.asarray((self.basis(rows) @ weights).argmax(axis=1), np.int32)
        if place not in near.levels:
            near.levels[place] = self.basis(near.rows) @ weights
        return np.asarray(self._moved(near.levels[place], rows, near.rows, weights).argmax(axis=1), np.int32)

    def repaired(self, rows: Rows, numbers: list[int], categories: list[int], near: Told | None = None) -> Rows:
        """Rows whose named columns are replaced by what the others say; categories only where they are missing or unseen."""
        values, codes = rows.numbers.copy(), rows.codes.copy()
        # Several broken columns must not be told from one another: they are blanked first, then told from the rest, twice.
        values[:, numbers] = np.nan
        for _ in range(1 if len(numbers) < 2 else 2):
            told = self.expected(Rows(rows.time, rows.entity, values, codes), near)
            values[:, numbers] = told[:, numbers]
        for place in categories:
            odd = codes[:, place] < 0
            if odd.any():
                codes[odd, place] = self.likely_levels(Rows(rows.time, rows.entity, values, codes), place, near)[odd]
        return Rows(rows.time, rows.entity, values, codes)

    def _apart(self, rows: Rows, near: Told | None) -> np.ndarray:
        return np.asarray(self._standard(rows.numbers, clip=False) - self._tell(rows, near))

    def _tell(self, rows: Rows, near: Told | None) -> np.ndarray:
        if near is None:
            return np.asarray(self.basis(rows) @ self.weights)
        return self._moved(near.numbers, rows, near.rows, self.weights)

    def _moved(self, product: np.ndarray, rows: Rows, near: Rows, weights: np.ndarray) -> np.ndarray:
        """`basis(rows) @ weights` from that of rows which differ in some places of some columns."""
        found = product.copy()
        apart = (rows.numbers != near.numbers) & ~(np.isnan(rows.numbers) & np.isnan(near.numbers))
        for place in np.flatnonzero(apart.any(axis=0)).tolist():
            at = np.flatnonzero(apart[:, place])
            lift = self._of_number(place, rows.numbers[at, place]) - self._of_number(place, near.numbers[at, place])
            found[at] += lift @ weights[self._blocks[NUMBER, place]]
        changed = rows.codes != near.codes
        for place in np.flatnonzero(changed.any(axis=0)).tolist():
            at = np.flatnonzero(changed[:, place])
            lift = self._of_category(place, rows.codes[at, place]) - self._of_category(place, near.codes[at, place])
            found[at] += lift @ weights[self._blocks[CATEGORY, place]]
        return found

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
    def _blocks(self) -> dict[tuple[int, int], slice]:
        """Which part of the basis belongs to each (kind, place); the constant stands before them, the clock behind."""
        found, at = {}, 1
        for kind, place, width in self._widths():
            found[kind, place] = slice(at, at + width)
            at += width
        return found

    def _widths(self) -> Iterator[tuple[int, int, int]]:
        nothing, no_code = np.empty(0), np.empty(0, np.int32)
        for place in range(len(self.columns.numbers)):
            yield NUMBER, place, self._of_number(place, nothing).shape[1]
        for place in range(len(self.columns.categories)):
            yield CATEGORY, place, self._of_category(place, no_code).shape[1]

    @cached_property
    def _levels(self) -> list[np.ndarray]:
        """Of each category, the levels that have a place in the basis."""
        found = []
        for column in self.columns.categories:
            is_entity = column.name == self.columns.entity
            kept = [code for code, size in enumerate(column.shares) if is_entity or size >= BASIS_SHARE]
            found.append(np.array(kept[: BASIS_ENTITIES if is_entity else BASIS_LEVELS], np.int32))
        return found

    def _clock(self, time: np.ndarray) -> np.ndarray:
        parts = []
        if self.span_days >= SEASON_DAYS:
            for wave in (1, 2):
                angle = 2 * np.pi * wave * time / YEAR
                parts += [np.sin(angle), np.cos(angle)]
        # Where rows say the hour or the weekday themselves, they are believed: their time may be that of their arrival.
        told = {column.clock for column in self.columns.numbers}
        for wave in (1, 2) if "hour" not in told else ():
            angle = 2 * np.pi * wave * (time % 1)
            parts += [np.sin(angle), np.cos(angle)]
        day = np.floor(time) % 7
        parts += [(day == number).astype(float) for number in range(6) if "weekday" not in told]
        return np.stack(parts, axis=1) if parts else np.empty((len(time), 0))

    def basis(self, rows: Rows) -> np.ndarray:
        """The shared basis, (n, k)."""
        parts = [np.ones((len(rows), 1))]
        parts += [self._of_number(place, rows.numbers[:, place]) for place in range(len(self.columns.numbers))]
        parts += [self._of_category(place, rows.codes[:, place]) for place in range(len(self.columns.categories))]
        return np.concatenate([*parts, self._clock(rows.time)], axis=1)

    def _of_number(self, place: int, values: np.ndarray) -> np.ndarray:
        """A number's own part: a line and hinges, zero where it is missing; and whether it is, where that is not rare."""
        column = self.columns.numbers[place]
        line = (np.clip(values, column.low, column.high) - column.mean) / column.scale
        missing = np.isnan(line)
        line = np.where(missing, 0.0, line)
        hinges = [np.maximum(line - (knot - column.mean) / column.scale, 0.0) for knot in column.knots]
        parts = [line, *(np.where(missing, 0.0, hinge) for hinge in hinges)]
        return np.stack([*parts, missing.astype(float)] if column.nulls > SELDOM else parts, axis=1)

    def _of_category(self, place: int, codes: np.ndarray) -> np.ndarray:
        """A category's own part: its levels one-hot; and whether it is missing or unseen, where it is not rarely missing."""
        levels = (codes[:, None] == self._levels[place][None, :]).astype(float)
        if self.columns.categories[place].nulls > SELDOM:
            return np.column_stack([levels, (codes < 0).astype(float)])
        return np.asarray(levels)

    # --- fit ----------------------------------------------------------------------------------------------------------

    def _without(self, kind: int, place: int, width: int) -> np.ndarray:
        """Mask of the basis without a column's own part."""
        keep = np.ones(width, bool)
        keep[self._blocks[kind, place]] = False
        return keep

    def _solve(self, basis: np.ndarray, targets: np.ndarray) -> np.ndarray:
        gram = basis.T @ basis
        found = np.zeros((basis.shape[1], targets.shape[1]))
        for place in range(targets.shape[1]):
            missing = np.isnan(targets[:, place])
            mine = gram - basis[missing].T @ basis[missing] if missing.any() else gram
            keep = self._without(NUMBER, place, basis.shape[1])
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
                keep = self._without(CATEGORY, place, basis.shape[1])
                part[keep] = _ridge(mine[np.ix_(keep, keep)], (basis[known].T @ targets)[keep])
            parts.append(part)
        return np.concatenate(parts, axis=1)


def _scales(apart: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The sd of each column's residuals (n, d), the wild ones drawn in: a few spikes of a price must not hide what happens between them."""
    found = np.sqrt(np.maximum(variance, 1e-6))
    for place in range(apart.shape[1]):
        known = apart[np.isfinite(apart[:, place]), place]
        low, high = np.quantile(known, [0.25, 0.75]) if len(known) else (0.0, 0.0)
        if (core := WILD * (high - low) / 1.349) > 0:
            found[place] = max(float(np.sqrt((np.clip(known, -core, core) ** 2).mean())), 1e-3)
    return np.asarray(found)


def _known_mean(values: np.ndarray) -> np.ndarray:
    """Of each column over the rows that have a value; one where none has."""
    there = np.isfinite(values)
    count = there.sum(axis=0)
    return np.where(count > 0, np.where(there, values, 0.0).sum(axis=0) / np.maximum(count, 1), 1.0)


def _ridge(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    penalty = np.full(len(gram), RIDGE)
    penalty[0] = 1e-6  # the constant
    return np.asarray(np.linalg.solve(gram + np.diag(penalty), right))
