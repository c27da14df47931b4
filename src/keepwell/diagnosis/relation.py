"""No column is broken: has the relation to the label changed, the share of labels, or who turns up?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keepwell.detection import Onset
from keepwell.diagnosis.accounting import account
from keepwell.diagnosis.contrast import Contrast
from keepwell.diagnosis.records import Case, Cause
from keepwell.diagnosis.stories import Labelled, Story, mean_of, onset_of, stories_of
from keepwell.diagnosis.turnout import MIX, mix_of, mix_words, moves_of, onset_of_mix

LABELS = 20  # after the onset: fewer tell no story
SURE, DOUBTED = 3.0, 8.0  # nats by which stories must be likelier than the reference; where the loss rose no more than the cases let expect
LEAN = 2.0  # nats: most changed relations move the share of labels too, and no story tells one exactly
RISEN, SURELY = 2.0, 3.0  # standard errors
NAMED, AGAIN = 4, 5  # columns that are told, and about which the model is asked a second time


@dataclass(frozen=True, eq=False)
class Unbroken:
    """Since when and why, when no column is broken."""

    onset: Onset
    causes: list[Cause]


def without_fault(case: Case, onset: Onset, channel: str) -> Unbroken:
    """What it is when no column is broken: concept shift, label shift, covariate shift, or not proven.

    Parameters
    ----------
    onset, channel : the sharpest among what rings of the labels. When that is a slice, the slice is named, and its onset stands.
    """
    contrast = Contrast.at(case, onset.at)
    if not channel.startswith("slice:"):
        return _asked(contrast, onset)
    level, column = channel.removeprefix("slice:"), case.reference.columns.slices or ""
    words = f"the loss rose where {column} is {level}"
    cause = Cause("concept_shift", column, _rise(contrast), None, 0.0, level, words)
    return Unbroken(onset, [cause, *_asked(contrast, onset).causes])


def _asked(contrast: Contrast, onset: Onset) -> Unbroken:
    told = Told.of(contrast, is_rough=True)
    rise = _rise(contrast)
    if told is not None and told.gain > (DOUBTED if _is_expected(contrast) else SURE):
        own = onset_of(contrast, told.best, told.over, told.rows)
        if own is not None:
            there = Contrast.at(contrast.case, own.at)
            anew = Told.of(there, is_rough=False, asked=[story.column for _, story in told.columns[:AGAIN]])
            if anew is not None and anew.gain > SURE:
                return Unbroken(own, anew.causes(rise))
        return Unbroken(onset, told.causes(rise))
    if others := _others(contrast, onset, rise):
        return others
    signed = _in_errors(contrast, "signed")
    if told is not None and abs(signed) > SURELY and _in_errors(contrast, "gap") > RISEN:
        return Unbroken(onset, [told.shifted(rise, signed)])
    # The decline may be proven and its cause not: the ranked list is shown as what it is.
    return Unbroken(onset, told.unproven(rise) if told is not None else [])


@dataclass(frozen=True, eq=False)
class Told:
    """What the stories say of the `rows` after an onset.

    `constant` is that of the label shift; `columns` the gain of each column's stories together, most first, with the best of them;
    `concept` that of all columns together; `over` how much more days differ than by chance.
    """

    rows: Labelled
    over: float
    constant: Story
    columns: list[tuple[float, Story]]
    concept: float

    @classmethod
    def of(cls, contrast: Contrast, *, is_rough: bool, asked: Sequence[str] | None = None) -> Told | None:
        """None when labels are too few."""
        if np.isfinite(contrast.case.label[contrast.after]).sum() < LABELS:
            return None
        stories, rows, over = stories_of(contrast, is_rough=is_rough, asked=asked)
        by_column: dict[str, list[Story]] = {}
        for story in stories:
            by_column.setdefault(story.column, []).append(story)
        constant = by_column.pop("")[0]
        columns = sorted(((mean_of([one.gain for one in mine]), mine[0]) for mine in by_column.values()), key=lambda pair: -pair[0])
        return cls(rows, over, constant, columns, mean_of([gain for gain, _ in columns]) if columns else -np.inf)

    @property
    def is_concept(self) -> bool:
        """Do labels follow a column otherwise, more likely than that their share moved whatever the columns say?"""
        return self.concept > self.constant.gain - LEAN

    @property
    def gain(self) -> float:
        """Of the likelier one."""
        return max(self.concept, self.constant.gain)

    @property
    def best(self) -> Story:
        """The likeliest story."""
        return self.columns[0][1] if self.is_concept else self.constant

    def causes(self, rise: float | None) -> list[Cause]:
        """Ranked."""
        concepts = [Cause("concept_shift", one.column, rise, None, gain, *self._words(one)) for gain, one in self.columns[:NAMED]]
        return concepts if self.is_concept else [self._shift(rise, self.constant), *concepts[:2]]

    def shifted(self, rise: float | None, signed: float) -> Cause:
        """Label shift that the season hides from the stories, and the signed error tells."""
        size = float(np.copysign(self.constant.size, signed))
        return self._shift(rise, replace(self.constant, size=size, gain=abs(signed)))

    def unproven(self, rise: float | None) -> list[Cause]:
        """What was looked at."""
        return [Cause("unknown", one.column, rise, None, gain) for gain, one in self.columns[:NAMED]]

    def _shift(self, rise: float | None, story: Story) -> Cause:
        words = f"the label became {'more' if story.size > 0 else 'less'} frequent whatever the columns say"
        return Cause("label_shift", "", rise, None, story.gain, "", words, {"intercept": story.size})

    def _words(self, story: Story) -> tuple[str, str]:
        region = self.rows.region(story)
        return region, f"the label follows {story.column} otherwise{f', most where it is {region}' if region else ''}"


def _is_expected(contrast: Contrast) -> bool:
    """Did the loss rise, and no more than these cases let expect?"""
    is_risen = max(_in_errors(contrast, "diff"), _in_errors(contrast, "loss")) > SURELY
    return is_risen and _in_errors(contrast, "gap") < RISEN


def _in_errors(contrast: Contrast, kind: str) -> float:
    """The change of a channel in standard errors; of several the largest."""
    z = contrast.effect()[1]
    found = [float(z[at]) for at, channel in enumerate(contrast.case.reference.channels) if channel.kind == kind]
    return max(found, key=abs, default=0.0)


def _others(contrast: Contrast, onset: Onset, rise: float | None) -> Unbroken | None:
    """Other rows come: their entities, or the columns that moved."""
    case = contrast.case
    share, gained = mix_of(contrast)
    if share <= MIX and max(_in_errors(contrast, "diff"), _in_errors(contrast, "loss")) <= SURELY:
        return None
    moves = moves_of(case)
    entity = [] if share <= MIX else [_mix(contrast, share, gained, rise)]
    if entity and (not moves or moves[0].is_of_entities):
        return Unbroken(onset_of_mix(contrast) or onset, entity)
    if not moves:
        return None
    words = "other rows come: {} moved by {:.2f} standard deviations for the season"
    columns = [
        Cause("covariate_shift", one.column, rise, None, abs(one.size), "", words.format(one.column, one.size)) for one in moves[:NAMED]
    ]
    return Unbroken(moves[0].onset, [*columns, *entity])


def _mix(contrast: Contrast, share: float, gained: str, rise: float | None) -> Cause:
    name = contrast.case.reference.columns.entity or ""
    return Cause("covariate_shift", name, rise, None, share, gained, mix_words(contrast))


def _rise(contrast: Contrast) -> float | None:
    """What labels measured."""
    accounted = account(contrast, [])
    return accounted[0] if accounted else None
