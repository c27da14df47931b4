"""What a diagnosis works on, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from keepwell.detection import Reference, Rows

CLASSES = {
    "unit_change": "data_quality",
    "scaled": "data_quality",
    "bias_ramp": "data_quality",
    "stuck": "data_quality",
    "noise": "data_quality",
    "missing": "data_quality",
    "new_category": "data_quality",
    "swapped": "data_quality",
    "outage": "data_quality",
    "duplicate_rows": "data_quality",
    "late_labels": "data_quality",
    "selective_labels": "data_quality",
    "covariate_shift": "covariate_shift",
    "label_shift": "label_shift",
    "concept_shift": "concept_shift",
    "unknown": "unknown",
}
LEAST_SHARE = 0.2  # of the rise, for a broken column to be what a decline is about
Predict = Callable[[pl.DataFrame], np.ndarray]


@dataclass(frozen=True, eq=False)
class Case:
    """What is known when something rings.

    Parameters
    ----------
    numbers : (T,) numbers of the batches seen, increasing, reference included. apart, z, counts : (T, C) deseasonalised means, innovations
        and rows; NaN where a channel had no row.
    frame, rows : the rows kept of these batches, as they came and as arrays; `batch` (n,) their batch numbers; `answer` (n,) or
        (n, classes); `label` (n,) NaN while unknown.
    ringing, sides : (C,) which channels ring, and to which side each moved.
    old : columns that have been off for long: what rings by them, or looks broken beside them, is nothing new.
    predict : asks the model about rows like `frame`'s; None when it cannot be asked.
    """

    reference: Reference
    numbers: np.ndarray
    apart: np.ndarray
    z: np.ndarray
    counts: np.ndarray
    frame: pl.DataFrame
    rows: Rows
    batch: np.ndarray
    answer: np.ndarray
    label: np.ndarray
    ringing: np.ndarray
    sides: np.ndarray
    predict: Predict | None = None
    old: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cause:
    """One cause: its kind (see `CLASSES`), the column it sits on ("" for none), how sure, and what it costs.

    `harm` is the rise of the loss that it explains, in the loss's unit (None when it cannot be priced), `error` its standard error;
    `scope` names the entities or the slice it touches, `detail` tells it in words. `facts`:
    "beyond", how far a column moved over what might still be rare weather; "intercept", the constant on the logit scale of a label shift.
    """

    kind: str
    column: str = ""
    harm: float | None = None
    error: float | None = None
    evidence: float = 0.0
    scope: str = ""
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def cls(self) -> str:
        """The broad class: data_quality, covariate_shift, label_shift, concept_shift or unknown."""
        return CLASSES[self.kind]


@dataclass(frozen=True)
class Began:
    """When it began: the most likely moment and the interval that holds it with `level`; `shape` is step, ramp or burst."""

    at: datetime
    low: datetime
    high: datetime
    level: float
    shape: str
    channel: str


@dataclass(frozen=True)
class Part:
    """One line of the accounting: its name and its part of the change of the loss."""

    name: str
    amount: float


@dataclass(frozen=True)
class Estimate:
    """The loss to expect of rows whose labels are not in: `value`, and `low` to `high` that hold what will be measured with `level`.

    `withdrawn` says why it must not be used, "" when it may.
    """

    value: float
    low: float
    high: float
    level: float
    withdrawn: str = ""

    @property
    def sentence(self) -> str:
        """In words."""
        if self.withdrawn:
            return f"the estimate of the loss is {self.withdrawn}"
        return f"estimated without labels, the loss is {self.value:.3f} ({self.low:.3f} to {self.high:.3f}, {self.level:.0%})"


@dataclass(frozen=True)
class Explanation:
    """Since when and why.

    `causes` are ranked, the likeliest first, empty when nothing is proven; `rise` is the measured change of the loss since the onset (None
    without labels; without a broken column since labels show it best), `parts` add up to it; `gap` is how much more than expected of
    these very cases it rose; `avoidable` is how much less answers recalibrated on the labels since then would lose, however it rose;
    `expected` is the reference's mean loss. `estimate` stands in while no label is in, and `notes` say in words
    what cannot be seen then. `earlier` is the onset that was told first, where this diagnosis puts it outside the interval that was told.
    """

    began: Began
    causes: tuple[Cause, ...]
    harm: float | None
    harm_error: float | None
    rise: float | None
    rise_error: float | None
    parts: tuple[Part, ...]
    gap: float | None
    gap_error: float | None
    expected: float
    has_labels: bool
    notes: tuple[str, ...] = ()
    estimate: Estimate | None = None
    earlier: datetime | None = None
    avoidable: float | None = None
    avoidable_error: float | None = None

    @property
    def cause(self) -> Cause | None:
        """The likeliest."""
        return self.causes[0] if self.causes else None

    @property
    def culprit(self) -> Cause | None:
        """The likeliest, unless it is a broken column that explains next to nothing of the rise: nobody is sent to mend it for this, and no
        training waits for it."""
        return self.cause if self.cause is not None and self.explains(self.cause) else None

    def share(self, cause: Cause) -> float | None:
        """How much of what labels measured a broken column explains; None where that is not known.

        Of the rise of the loss, or of that beyond what these cases let expect: whichever is more, for easier cases hide a part of it.
        """
        measured = max(self.rise or 0.0, self.gap or 0.0) if self.rise is not None else 0.0
        if cause.cls != "data_quality" or cause.harm is None or measured <= 0:
            return None
        return min(max(cause.harm / measured, 0.0), 1.0)

    def explains(self, cause: Cause) -> bool:
        """Is it more than next to nothing of the rise, as far as that is known?"""
        share = self.share(cause)
        return share is None or share >= LEAST_SHARE
