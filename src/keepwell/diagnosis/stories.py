"""What could have changed the labels, told as stories of one size each: how likely does each make the labels that came, and since when?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from keepwell.detection import Onset, clipped, logit, scan_told, sigmoid
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.records import Case

ASKED, SCANNED, LOOK_BACK = 1_500, 6_000, 300  # rows that stories are told of, rows and batches in which a beginning is looked for
FEW = 10  # rows of which no story is told
LEVELS = 8  # of a category
IDLE = 0.02  # of the scale of the answers: a column that moves them less is not used
OVER = 3.0  # more than so many times the chance of its rows no day differs from others
STEPS = 12  # sizes between none and the largest
SIZES = {
    "constant": (-2.4, -1.6, -1.0, -0.6, -0.3, 0.3, 0.6, 1.0, 1.6, 2.4),
    "line": (-1.5, -1.0, -0.6, -0.3, -0.15, 0.15, 0.3, 0.6, 1.0, 1.5),
    "faded": (-0.6, -0.3, 0.3, 0.6, 1.0, 1.5, 2.0),
    "turned": (0.15, 0.3, 0.5, 0.75, 1.0),
}
SIZES |= {"level": SIZES["constant"], "mirrored": SIZES["turned"]}


@dataclass(frozen=True)
class Story:
    """A way in which labels follow otherwise.

    `form` is "constant" (more or fewer of them, whatever the columns say), or of a column: "line" (its weight is another), "faded" (what
    the model makes of it counts less, or more), "mirrored" (labels follow it upside down), and of a `region` of it: "turned" (a label
    there is often the other one), "level" (more or fewer there). `centre` is where the direction is zero, so that no constant hides in it.
    `gain` is how much likelier than the reference it makes the labels, in nats, all sizes weighed; `size` the likeliest one.
    """

    form: str
    column: str = ""
    region: int = 0
    centre: float = 0.0
    gain: float = 0.0
    size: float = 0.0


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled rows of a case, and what is expected of them.

    `index` their positions; `usual` (n,) the expectation on the logit scale, or in standard deviations of a regression's error (`scale`,
    else 0; squared errors beyond `top` count as it); `chosen` the class that is asked about; `constant` what was off before already.
    """

    case: Case
    index: np.ndarray
    label: np.ndarray
    usual: np.ndarray
    scale: float = 0.0
    top: float = 0.0
    chosen: int = 0
    constant: float = 0.0

    @classmethod
    def of(cls, case: Case, index: np.ndarray, chosen: int = 0) -> Labelled:
        """The rows at `index` that have labels."""
        index = index[np.isfinite(case.label[index])]
        outcome, label, answer = case.reference.outcome, case.label[index], case.answer[index]
        if outcome.task == "regression":
            scale = float(np.sqrt(outcome.spread))
            return cls(case, index, (label - outcome.bias) / scale, answer / scale, scale, outcome.cap / scale**2)
        hit = label == (1 if outcome.task == "binary" else chosen)
        return cls(case, index, hit.astype(float), logit(outcome.calibrated(answer)[:, chosen]), chosen=chosen)

    def thinned(self, most: int) -> Labelled:
        """Evenly spread ones, where there are more."""
        if len(self.index) <= most:
            return self
        places = np.linspace(0, len(self.index) - 1, most).astype(int)
        return replace(self, index=self.index[places], label=self.label[places], usual=self.usual[places])

    def moved(self, by: float) -> Labelled:
        """With a constant in what is expected."""
        return replace(self, usual=self.usual + by, constant=by)

    @cached_property
    def off(self) -> float:
        """The constant that makes the mean expectation the mean label."""
        if len(self.label) == 0:
            return 0.0
        return float((self.label - self.usual).mean()) if self.scale else intercept(self.usual, self.label)

    @cached_property
    def expected(self) -> np.ndarray:
        """Of each label."""
        return self.usual if self.scale else sigmoid(self.usual)

    @cached_property
    def weight(self) -> np.ndarray:
        """How much a small move on the scale of `usual` moves each expectation: the label's variance."""
        return np.ones(len(self.usual)) if self.scale else self.expected * (1 - self.expected)

    @cached_property
    def over(self) -> float:
        """How many times more days differ than their rows would by chance."""
        if len(self.index) < FEW:
            return 1.0
        _, place = np.unique(self.case.batch[self.index], return_inverse=True)
        sums, chance = np.bincount(place, self.label - self.expected), np.bincount(place, self.weight)
        return float(np.clip((sums**2).sum() / max(chance.sum(), 1e-9), 1.0, OVER))

    def told(self, story: Story, sizes: np.ndarray) -> np.ndarray:
        """How much likelier than the reference a story of each size makes each label, (sizes, n) in nats."""
        move = np.asarray(sizes, float)[:, None] * self._direction(story)
        if story.form in ("turned", "mirrored"):
            expected = self.expected + move
        else:
            expected = self.usual + move if self.scale else sigmoid(self.usual + move)
        return np.asarray(self._likelihood(expected) - self._likelihood(self.expected))

    def _likelihood(self, expected: np.ndarray) -> np.ndarray:
        if self.scale:
            return np.asarray(-np.minimum((self.label - expected) ** 2, self.top) / 2)
        chance = clipped(expected)
        return np.asarray(np.log(np.where(self.label == 1, chance, 1 - chance)))

    def _direction(self, story: Story) -> np.ndarray:
        if story.form == "constant":
            return np.ones(len(self.usual))
        if story.form in ("faded", "mirrored"):
            return self.effects[story.column][story.form]
        if story.form == "line":
            return self.line(story.column) - story.centre
        inside = self.inside(story.column, story.region).astype(float)
        return inside * (1 - 2 * self.expected) if story.form == "turned" else inside - story.centre

    @cached_property
    def effects(self) -> dict[str, dict[str, np.ndarray]]:
        """What the model makes of numbers, as far as it was asked."""
        return {}

    def uses(self, name: str, usual: np.ndarray) -> bool:
        """Does the model make anything of a number? It is asked with other values of it; `usual` are those before."""
        columns = self.case.reference.columns.numbers
        place = next(at for at, column in enumerate(columns) if column.name == name)
        values, usual = self.case.rows.numbers[self.index, place], np.sort(usual[np.isfinite(usual)])
        if len(usual) < FEW or self.case.predict is None or not self.case.frame.schema[name].is_numeric():
            return False
        # A value's counterpart has as many of the usual ones above it as this has below.
        below = np.searchsorted(usual, np.nan_to_num(values)) / len(usual)
        mirrored = self._asked(name, np.where(np.isnan(values), values, np.quantile(usual, np.clip(1 - below, 0, 1))))
        if np.abs(mirrored - self.usual).mean() < IDLE:
            return False
        plain = self._asked(name, np.where(np.isnan(values), values, np.median(usual)))
        upside_down = mirrored if self.scale else sigmoid(mirrored)
        self.effects[name] = {"mirrored": upside_down - self.expected, "faded": plain - self.usual}
        return True

    def _asked(self, name: str, values: np.ndarray) -> np.ndarray:
        """What is expected where a number is another one, on the scale of `usual`."""
        assert self.case.predict is not None
        frame = self.case.frame[self.index].with_columns(pl.Series(name, values).fill_nan(None))
        answer = np.asarray(self.case.predict(frame), float)
        if self.scale:
            return np.asarray(answer / self.scale + self.constant)
        return np.asarray(logit(self.case.reference.outcome.calibrated(answer)[:, self.chosen]) + self.constant)

    def line(self, name: str) -> np.ndarray:
        """A number in standard deviations, within three, zero where it is missing."""
        return np.asarray(np.nan_to_num(self.case.reference.columns.line(self.case.rows.numbers[self.index], name)))

    def inside(self, name: str, region: int) -> np.ndarray:
        """Which rows lie in a region: the lowest (0) or the highest (1) quarter of a number, or a level of a category."""
        columns = self.case.reference.columns
        for place, column in enumerate(columns.numbers):
            if column.name == name:
                values = self.case.rows.numbers[self.index, place]
                return np.asarray(values >= column.knots[2] if region else values < column.knots[0])
        place = next(at for at, column in enumerate(columns.categories) if column.name == name)
        return np.asarray(self.case.rows.codes[self.index, place] == region)

    def centred(self, values: np.ndarray) -> float:
        """Where a direction has to be zero so that no constant hides in it."""
        return float((values * self.weight).sum() / max(self.weight.sum(), 1e-9))

    def region(self, story: Story) -> str:
        """The region of a column that a story is about, in words."""
        if story.form not in ("turned", "level"):
            return ""
        columns = self.case.reference.columns
        for column in columns.numbers:
            if column.name == story.column:
                return f"from {column.knots[2]:.4g} up" if story.region else f"below {column.knots[0]:.4g}"
        return next(column for column in columns.categories if column.name == story.column).levels[story.region]


def stories_of(contrast: Contrast, *, is_rough: bool, asked: Sequence[str] | None = None) -> tuple[list[Story], Labelled, float]:
    """All stories, the likeliest first; the labelled rows that they were told of, and how much more days differ than by chance.

    Parameters
    ----------
    is_rough : the onset may have been told too early; what came before the change would then speak for the reference. asked : the numbers
        about which the model is asked; default all.
    """
    case, chosen = contrast.case, _chosen(contrast)
    before = Labelled.of(case, contrast.before, chosen)
    constant = before.off
    over = before.moved(constant).over
    after = Labelled.of(case, contrast.after, chosen).moved(constant).thinned(ASKED)
    found = []
    for story in _stories(contrast, after, asked):
        told = after.told(story, np.array(SIZES[story.form])) / over
        since = np.cumsum(told[:, ::-1], axis=1)[:, FEW - 1 :] if is_rough else told.sum(axis=1, keepdims=True)
        best = int(since.max(axis=1).argmax())
        found.append(replace(story, gain=mean_of(since), size=SIZES[story.form][best]))
    return sorted(found, key=lambda story: -story.gain), after, over


def _stories(contrast: Contrast, after: Labelled, asked: Sequence[str] | None) -> list[Story]:
    columns = contrast.case.reference.columns
    found = [Story("constant")]
    for place, column in enumerate(columns.numbers):
        if not column.is_watched:
            continue
        found.append(Story("line", column.name, centre=after.centred(after.line(column.name))))
        if (asked is None or column.name in asked) and after.uses(column.name, contrast.case.rows.numbers[contrast.before, place]):
            found += [Story("faded", column.name), Story("mirrored", column.name)]
        if column.knots:
            found += _of_region(after, column.name, 0) + _of_region(after, column.name, 1)
    for column in columns.categories:
        if column.is_watched and len(column.levels) > 1:
            for level in range(min(len(column.levels), LEVELS)):
                found += _of_region(after, column.name, level, is_category=True)
    return found


def _of_region(after: Labelled, name: str, region: int, *, is_category: bool = False) -> list[Story]:
    inside = after.inside(name, region)
    if inside.sum() < FEW:
        return []
    turned = [] if after.scale else [Story("turned", name, region)]
    level = [Story("level", name, region, after.centred(inside))] if is_category or after.scale else []
    return [*turned, *level]


def onset_of(contrast: Contrast, story: Story, over: float, like: Labelled) -> Onset | None:
    """Since when a story is true, in the case's batches; None when the model cannot be asked, or there are too few batches."""
    case = contrast.case
    place = np.searchsorted(case.numbers, case.batch)
    rows = Labelled.of(case, np.flatnonzero(place >= len(case.numbers) - LOOK_BACK), like.chosen).moved(like.constant).thinned(SCANNED)
    if story.form in ("faded", "mirrored"):
        at = next(at for at, column in enumerate(case.reference.columns.numbers) if column.name == story.column)
        if not rows.uses(story.column, case.rows.numbers[contrast.before, at]):
            return None
    most = max(SIZES[story.form]) if story.size > 0 else min(SIZES[story.form])
    told = rows.told(story, np.linspace(0, most, STEPS + 1)[1:]) / over
    batches, at_batch = np.unique(place[rows.index], return_inverse=True)
    if len(batches) < FEW:
        return None
    found = scan_told(np.stack([np.bincount(at_batch, row) for row in told]))
    return replace(found, at=int(batches[found.at]), low=int(batches[found.low]), high=int(batches[found.high]))


def mean_of(gains: np.ndarray | list[float]) -> float:
    """Log of the mean of exp: the gain when each of them may be it."""
    gains = np.asarray(gains, float).ravel()
    return float(gains.max() + np.log(np.exp(gains - gains.max()).mean()))


def intercept(x: np.ndarray, label: np.ndarray) -> float:
    """The constant that makes the mean of sigmoid(x + a) the mean label, held a little towards zero."""
    a = 0.0
    for _ in range(30):
        q = sigmoid(x + a)
        step = ((label - q).sum() - 0.5 * a) / ((q * (1 - q)).sum() + 0.5)
        a += float(np.clip(step, -1, 1))
        if abs(step) < 1e-8:
            break
    return a


def _chosen(contrast: Contrast) -> int:
    """The class whose share moved most speaks for all."""
    case, outcome = contrast.case, contrast.case.reference.outcome
    if outcome.task != "multiclass":
        return 0
    after = contrast.after[np.isfinite(case.label[contrast.after])]
    right = outcome.calibrated(case.answer[after])
    return int(np.abs([((case.label[after] == one) - right[:, one]).sum() for one in range(outcome.classes)]).argmax())
