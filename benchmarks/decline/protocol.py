"""What a monitor is asked and what it answers: `fit` once, `update` for every batch, and events come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DATA_QUALITY = ("unit_change", "scaled", "bias_ramp", "stuck", "noise", "missing", "new_category", "swapped")
SHIFTS = ("label_shift", "concept_shift", "covariate_shift")
CLASS_OF = {**dict.fromkeys(DATA_QUALITY, "data_quality"), **{kind: kind for kind in SHIFTS}, "data_quality": "data_quality"}


@dataclass
class Event:
    """One statement, made at the end of a batch.

    kind : "decline" is an alarm (the model answers worse, or will be seen to); "data" is a note that claims no harm.
    onset : when the monitor thinks that it began, or None.
    causes : (kind or class of cause, column), best first; either may be None.
    """

    kind: str
    onset: Any = None
    causes: list[tuple[str | None, str | None]] = field(default_factory=list)


class Monitor:
    """One object a scenario. `model` has features, categorical, threshold, batch, label_delay (None: no labels) and predict(X)."""

    def fit(self, reference_X: Any, reference_y: Any, reference_p: Any, timestamps: Any, model: Any) -> None:
        """Learn what is usual: rows that the model was not trained on, their labels 0/1, its answers P(1), their times."""

    def update(self, batch_X: Any, batch_p: Any, labels: Any, timestamps: Any, window: Any) -> list[Event]:
        """Look at one batch. `labels` holds those that came in since the last call, by row id; None when none ever comes."""
        return []
