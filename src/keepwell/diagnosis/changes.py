"""What changed around an onset: the record's own events, ranked with the causes found in the data as one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from keepwell.diagnosis.records import Cause, Explanation

# How well a kind of change fits a class of cause: a new version cannot have broken a sensor, an edited source can.
FITS = {
    "source": {"data_quality": 1.0, "covariate_shift": 0.6, "label_shift": 0.3, "concept_shift": 0.3, "unknown": 0.5},
    "contract": {"data_quality": 0.8, "covariate_shift": 0.4, "unknown": 0.4},
    "code": {"data_quality": 0.8, "concept_shift": 0.5, "covariate_shift": 0.4, "unknown": 0.6},
    "version": {"concept_shift": 0.7, "label_shift": 0.5, "data_quality": 0.3, "unknown": 0.8},
    "packages": {"concept_shift": 0.4, "data_quality": 0.5, "unknown": 0.5},
    "settings": {"data_quality": 0.5, "concept_shift": 0.4, "covariate_shift": 0.4, "unknown": 0.5},
    "traffic": {"covariate_shift": 0.9, "label_shift": 0.6, "unknown": 0.4},
}
DAY = timedelta(days=1)
FAR = 10  # interval widths (at least days) outside which a change explains nothing


@dataclass(frozen=True)
class Change:
    """Something that was changed, at a moment: `kind` is one of `FITS`, `what` says it in words."""

    kind: str
    at: datetime
    what: str


@dataclass(frozen=True)
class Ranked:
    """A cause found in the data or a change on record, with a score between 0 and 1; `cause` or `change` is given."""

    score: float
    sentence: str
    cause: Cause | None = None
    change: Change | None = None


def ranked(explanation: Explanation, changes: Sequence[Change]) -> tuple[Ranked, ...]:
    """Causes and changes in one list, the likeliest first.

    A change scores by how near the onset's interval it fell (1 inside it, falling off over its width), times how well its kind fits the
    class of the first cause. A change cannot explain what began before it. Causes score by their share of the harm.
    """
    began, top = explanation.began, explanation.cause
    width = max(began.high - began.low, DAY)
    cls = top.cls if top else "unknown"
    found = [Ranked(_of_cause(explanation, place), words_of(cause), cause=cause) for place, cause in enumerate(explanation.causes)]
    for change in changes:
        if change.at > began.high or change.at < began.low - FAR * width:
            continue
        apart = max(began.low - change.at, timedelta(0)) / width
        score = FITS.get(change.kind, {}).get(cls, 0.2) / (1 + apart) ** 2
        found.append(Ranked(round(score, 3), f"{change.what} ({change.at:%-d %B %Y %H:%M})", change=change))
    return tuple(sorted(found, key=lambda one: -one.score))


def _of_cause(explanation: Explanation, place: int) -> float:
    cause = explanation.causes[place]
    if cause.kind == "unknown":
        return 0.1
    total = sum(max(one.harm or 0.0, 0.0) for one in explanation.causes if one.cls == "data_quality")
    if explanation.rise is not None:  # a fault that explains nothing of a measured rise is not its cause, though it may be one
        total = max(total, explanation.rise - (explanation.rise_error or 0.0))
    share = max(cause.harm or 0.0, 0.0) / total if total and cause.cls == "data_quality" else 1.0 / (1 + place)
    return round(0.95 * share, 3)


def words_of(cause: Cause) -> str:
    """A cause in words."""
    where = f" in {cause.column}" if cause.column else ""
    scope = f" ({cause.scope})" if cause.scope else ""
    return f"{WORDS[cause.kind]}{where}{scope}{': ' + cause.detail if cause.detail else ''}"


WORDS = {
    "unit_change": "the unit changed",
    "scaled": "the scale changed",
    "bias_ramp": "the readings are off",
    "stuck": "the readings are stuck",
    "noise": "the readings scatter more",
    "missing": "values are missing",
    "new_category": "new categories came",
    "swapped": "two columns are exchanged",
    "outage": "rows stay away",
    "duplicate_rows": "rows come twice",
    "late_labels": "labels come late",
    "selective_labels": "labels come of some rows only",
    "covariate_shift": "other rows come",
    "label_shift": "the label's share changed",
    "concept_shift": "the relation to the label changed",
    "unknown": "the cause is not proven",
}
