"""What is wrong with the root column: another unit, another scale, an offset, noise, stuck, or other people who turned up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keepwell.detection import CLIP, Onset, Rows, season_of
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.isolation import Root, repaired

Fake = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# What a value may have been turned into: (name, factor, offset) of new = factor * old + offset.
CONVERSIONS: tuple[tuple[str, float, float], ...] = (
    ("°C to °F", 1.8, 32.0),
    ("°F to °C", 1 / 1.8, -32 / 1.8),
    ("°C to K", 1.0, 273.15),
    ("K to °C", 1.0, -273.15),
    ("°F to K", 1 / 1.8, 459.67 / 1.8),
    ("hPa to kPa", 0.1, 0.0),
    ("kPa to hPa", 10.0, 0.0),
    ("hPa to inHg", 0.02953, 0.0),
    ("inHg to hPa", 1 / 0.02953, 0.0),
    ("km/h to m/s", 1 / 3.6, 0.0),
    ("m/s to km/h", 3.6, 0.0),
    ("km/h to knots", 1 / 1.852, 0.0),
    ("knots to km/h", 1.852, 0.0),
    ("knots to m/s", 0.514444, 0.0),
    ("m/s to knots", 1 / 0.514444, 0.0),
    ("mph to km/h", 1.609344, 0.0),
    ("km/h to mph", 1 / 1.609344, 0.0),
    ("mm to inches", 1 / 25.4, 0.0),
    ("inches to mm", 25.4, 0.0),
    ("cm to inches", 1 / 2.54, 0.0),
    ("inches to cm", 2.54, 0.0),
    ("feet to m", 0.3048, 0.0),
    ("m to feet", 1 / 0.3048, 0.0),
    ("lb to kg", 0.453592, 0.0),
    ("kg to lb", 1 / 0.453592, 0.0),
    ("fraction to percent", 100.0, 0.0),
    ("percent to fraction", 0.01, 0.0),
    ("thousandfold", 1000.0, 0.0),
    ("a thousandth", 0.001, 0.0),
)
FEW = 8  # rows on a side that tell nothing
OFF = 1.6  # mean absolute misfit of an entity that is touched; two times what it is when all is well
NEAR_FACTOR = 0.06  # how far, in logs, the factor may be from that of a conversion
SURELY = 2.0  # standard errors by which a slope must be nearer to one than to a factor
MOVED = 4.0  # standard errors by which the others must have moved along
SHIFTED = 0.6  # of the change of the scatter: with less, the mean has not moved, values scatter
CALM = 0.8  # mean absolute value of a standard normal


@dataclass(frozen=True)
class Signature:
    """`kind` of the cause, the entities it touches ("" for all), and in words.

    `fake` does the same to good values, so that the cost can be tried out: it takes values (n,) and random numbers, and is None where it
    is not known what happened; `entities` are the codes of those touched (None for all) and `share` how much of their rows.
    """

    kind: str
    scope: str
    detail: str
    fake: Fake | None = None
    entities: tuple[int, ...] | None = None
    share: float = 1.0


def signature_of(contrast: Contrast, root: Root, others: list[str], onset: Onset | None) -> Signature:
    """Read what happened to a root column.

    Parameters
    ----------
    others : columns that are broken too, told by the rest on both sides. onset : of the column's own channel, for its shape.
    """
    if root.hard:
        words = {"missing": "values are missing", "new_category": "unknown values came", "stuck": "the last value is repeated"}
        return Signature(root.hard, "", f"{words[root.hard]} in {root.share:.0%} more of the rows")
    if root.partner:
        return Signature("swapped", "", f"exchanged with {root.partner}")
    return _Column.of(contrast, root, others).read(onset)


@dataclass(frozen=True, eq=False)
class _Column:
    """The root column on both sides: values `x`, what the others tell `g`, both (n,), and which rows after the onset are `touched`."""

    contrast: Contrast
    root: Root
    place: int
    rows: Rows
    x: np.ndarray
    g: np.ndarray
    touched: np.ndarray
    scope: str
    entities: tuple[int, ...] | None

    @classmethod
    def of(cls, contrast: Contrast, root: Root, others: list[str]) -> _Column:
        reference = contrast.case.reference
        place = next(at for at, column in enumerate(reference.columns.numbers) if column.name == root.column)
        rows = repaired(contrast, others) if others else contrast.both
        x, g = rows.numbers[:, place], reference.conditionals.expected(rows, contrast.told)[:, place]
        residual = np.abs(reference.conditionals.residuals(rows, contrast.told)[:, place])
        touched, scope, entities = _touched(contrast, residual)
        return cls(contrast, root, place, rows, x, g, touched & np.isfinite(x), scope, entities)

    @property
    def unit(self) -> float:
        """One residual scale in the column's own unit."""
        reference = self.contrast.case.reference
        return float(reference.columns.numbers[self.place].scale * reference.conditionals.scales[self.place])

    def off(self, x: np.ndarray, g: np.ndarray) -> float:
        """Mean absolute misfit, in residual scales."""
        return float(np.minimum(np.abs(x - g) / self.unit, CLIP).mean()) if len(x) else 0.0

    def read(self, onset: Onset | None) -> Signature:
        x, g = self.x[self.touched], self.g[self.touched]
        r2 = float(self.contrast.case.reference.conditionals.r2[self.place])
        before = self.x[~self.contrast.is_after & np.isfinite(self.x)]
        if min(len(x), len(before)) < FEW:
            return self._said("noise", "too few rows to tell more")
        if self._is_selection(r2):
            return Signature("covariate_shift", self.scope, "the rows that come are others: the other columns moved along")
        fit = _fit(g, x)
        now = self.off(x, g)
        level, share = _most(x)
        if (fit < 0.35 * r2 and x.std() < 0.3 * before.std()) or (share > 0.4 and (before == level).mean() < 0.1):
            return self._said("stuck", "hardly moves any more", lambda values, _: np.full_like(values, level))
        if (found := self._conversion(x, g, before, now)) is not None:
            return found
        if abs(self.root.misfit) > SHIFTED * self.root.spread and abs(self.root.misfit) > 0.15:
            is_ramp = onset is not None and onset.shape == "ramp"
            newest = slice(-max(len(x) // 3, 8), None) if is_ramp else slice(None)
            shift = float(np.median((x - g)[newest]))
            words = f"reads {abs(shift):.3g} too {'high' if shift > 0 else 'low'}{', and drifts on' if is_ramp else ''}"
            return self._said("bias_ramp", words, lambda values, _: values + shift)
        quiet = self.x[~self.contrast.is_after] - self.g[~self.contrast.is_after]
        extra = float(np.sqrt(max(_spread(x - g) ** 2 - _spread(quiet[np.isfinite(quiet)]) ** 2, 0.0)))
        words = f"scatters {now / CALM:.1f} times as much around what the others tell"
        return self._said("noise", words, lambda values, draw: values + draw.normal(0, extra, len(values)))

    def _said(self, kind: str, detail: str, fake: Fake | None = None) -> Signature:
        after = self.contrast.is_after & np.isfinite(self.x)
        share = 1.0 if self.entities is not None else float(self.touched.sum() / max(after.sum(), 1))
        return Signature(kind, self.scope, detail, fake, self.entities, share)

    def _is_selection(self, r2: float) -> bool:
        """Selecting rows by a column moves the others along; a broken sensor does not."""
        if r2 < 0.15 or abs(self.root.misfit) > 1.2 or abs(self.root.misfit) < SHIFTED * self.root.spread:
            return False
        before, after = (mask & np.isfinite(self.x) for mask in (~self.contrast.is_after, self.contrast.is_after))
        told = self.g - season_of(self.g, self.rows.time, before)
        left = self.x - self.g
        index = np.r_[self.contrast.before, self.contrast.after]
        (post, post_error), (pre, pre_error) = (self.contrast.mean_by_batch(told[mask], index[mask]) for mask in (after, before))
        moved_g, moved_e = post - pre, float(left[after].mean() - left[before].mean())
        if moved_g * moved_e <= 0 or abs(moved_g) < MOVED * np.hypot(post_error, pre_error):
            return False
        return moved_g / (moved_g + moved_e) > r2 / 2

    def _conversion(self, x: np.ndarray, g: np.ndarray, before: np.ndarray, now: float) -> Signature | None:
        """A conversion, or a free factor, whose undoing brings the column home."""
        calm = self.off(before, self.g[~self.contrast.is_after & np.isfinite(self.x)])
        found = []
        scale = self._factor(x, g, before)
        # Values of a sign that never was come from no conversion without an offset.
        is_signed = len(before) > 0 and before.min() >= 0 and (x < -1e-9).mean() > 0.02
        for name, factor, offset in CONVERSIONS:
            if offset == 0 and (is_signed or scale is None or abs(np.log(scale / factor)) > NEAR_FACTOR):
                continue
            if offset == 0 and _is_offset(g, x, factor):
                continue
            undone = (x - offset) / factor
            found.append((self.off(undone, g) + self._shape(undone, before), name, factor, offset))
        if scale and not is_signed and not _is_offset(g, x, scale):
            found.append((self.off(x / scale, g) + self._shape(x / scale, before) + 0.08, "", scale, 0.0))
        if not found:
            return None
        best = min(found)
        home = self.off((x - best[3]) / best[2], g)
        if not (home < 2.0 * max(calm, 0.5 * CALM) and home < 0.75 * now) or now + self._shape(x, before) < best[0] + 0.25:
            return None
        factor, offset, name = best[2], best[3], best[1]

        def fake(values: np.ndarray, _: np.random.Generator) -> np.ndarray:
            return values * factor + offset

        if name:
            words = f"looks converted, {name} (values times {factor:.4g}{f', plus {offset:.4g}' if offset else ''})"
            return self._said("unit_change", words, fake)
        return self._said("scaled", f"is multiplied by {factor:.3g}", fake)

    def _factor(self, x: np.ndarray, g: np.ndarray, before: np.ndarray) -> float | None:
        both = (np.abs(x) > 1e-9) & (np.abs(g) > 0.25 * np.abs(g).mean() + 1e-9)
        if both.sum() < FEW:
            return None
        ratio = float((x[both] * g[both]).sum() / (g[both] ** 2).sum())
        positive, positive_before = x[x > 0], before[before > 0]
        if len(positive) > 8 and len(positive_before) > 8:
            by_size = float(np.exp(np.log(positive).mean() - np.log(positive_before).mean()))
            r2 = float(self.contrast.case.reference.conditionals.r2[self.place])
            ratio = by_size if r2 < 0.4 else ratio
        return ratio if ratio > 0 and abs(np.log(ratio)) > 0.1 else None

    def _shape(self, x: np.ndarray, before: np.ndarray) -> float:
        """Distance of two distributions, in standard deviations of the one before; it speaks where the others tell little."""
        r2 = float(self.contrast.case.reference.conditionals.r2[self.place])
        if len(before) < 20:
            return 0.0
        levels = np.linspace(0.05, 0.95, 19)
        spread = max(float(before.std()), 1e-9)
        apart = np.abs(np.quantile(x, levels) - np.quantile(before, levels)).mean() / spread
        return float(min(apart, 3.0) * (1 - r2))


def _touched(contrast: Contrast, residual: np.ndarray) -> tuple[np.ndarray, str, tuple[int, ...] | None]:
    """Rows after the onset of the entities that are off, and their names; all rows where that says nothing."""
    columns = contrast.case.reference.columns
    everything = contrast.is_after.copy()
    if columns.entity_place is None:
        # Some rows far off and the others well: one of several feeds is broken.
        far = everything & (residual > 3)
        usual = (residual[~everything & np.isfinite(residual)] > 3).mean() if (~everything).any() else 0.0
        share = far.sum() / max(everything.sum(), 1)
        rest = residual[everything & ~far & np.isfinite(residual)]
        if usual + 0.05 < share < 0.9 and len(rest) >= 10 and rest.mean() < 1.2:
            return far, f"{share:.0%} of the rows", None
        return everything, "", None
    entity = contrast.both.entity
    levels = columns.categories[columns.entity_place].levels
    off = []
    present = np.unique(entity[contrast.is_after & (entity >= 0)])
    for code in present:
        mine = (entity == code) & np.isfinite(residual)
        after, before = residual[mine & contrast.is_after], residual[mine & ~contrast.is_after]
        usual = before.mean() if len(before) >= 10 else CALM
        if len(after) and after.mean() > max(OFF, 1.6 * usual):
            off.append(int(code))
    if not off or len(off) == len(present):
        return everything, "", None
    names = ", ".join(levels[code] for code in off[:4]) + (f" and {len(off) - 4} more" if len(off) > 4 else "")
    return everything & np.isin(entity, off), names, tuple(off)


def _most(values: np.ndarray) -> tuple[float, float]:
    """The commonest value and its share."""
    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()]), float(counts.max() / len(values))


def _spread(values: np.ndarray) -> float:
    """Standard deviation of a normal with the same quartiles: a few wild values do not count."""
    if len(values) < 4:
        return 0.0
    low, high = np.quantile(values, [0.25, 0.75])
    return float((high - low) / 1.349)


def _is_offset(g: np.ndarray, x: np.ndarray, factor: float) -> bool:
    """Is x surely nearer to g plus something than to g times the factor? A line on g has slope one then, and not the factor's."""
    if len(x) < FEW or g.std() < 1e-12:
        return False
    slope = float(((g - g.mean()) * (x - x.mean())).mean() / g.var())
    error = float((x - x.mean() - slope * (g - g.mean())).std() / (g.std() * np.sqrt(len(x))))
    return abs(slope - 1) + SURELY * error < abs(slope - factor)


def _fit(g: np.ndarray, x: np.ndarray) -> float:
    """Share of the variance of x that a line on g tells."""
    if g.std() < 1e-12 or x.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(g, x)[0, 1] ** 2)
