"""The check-up of one cycle: realised performance beside the expected one, and a word for the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from keepwell.evaluation import losses, mean_interval

if TYPE_CHECKING:
    from keepwell.settings import CheckSection  # the settings library takes a tenth of a second to load

VERDICTS = ("well", "watch", "unwell", "unknown")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a check-up looks at.

    Parameters
    ----------
    metric : the deciding metric.
    scored : predictions of the window with `version`, `answer`, `label` (null while unknown), in time order.
    due : how many of them should have a label by now.
    expected : version -> its loss at evaluation. doubts : version -> half of that one's 95 % interval, where it is known.
    champion : the version that serves, or None.
    newest : time of the newest good observation, or None.
    faults : messages of the contract's findings that speak of a broken source.
    source_error : why the source gave nothing, or None.
    before : verdict of the last check-up; a model that was not well must come clearly back before it counts as well.
    decline : what the watch says of a decline that has not ended, or None.
    """

    metric: str
    scored: pl.DataFrame
    due: int
    expected: Mapping[int, float]
    champion: int | None
    newest: datetime | None
    faults: Sequence[str] = ()
    source_error: str | None = None
    before: str = "well"
    decline: str | None = None
    doubts: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkup:
    """One dated check-up: `verdict` is one of `VERDICTS`, `sentence` says it in words, `facts` holds the numbers."""

    as_of: datetime
    verdict: str
    sentence: str
    facts: dict[str, Any]


def check_up(settings: CheckSection, evidence: Evidence, now: datetime) -> Checkup:
    """Judge a model by the labels that are in.

    *unknown* when nothing serves, the data is old or too few labels are in: never taken for health.
    *unwell* when the watch has proven a decline that has not ended, or the loss is proven to be above the expected one by more than the
    tolerance (by more than both 95 % intervals leave open), or above `max_loss`. *watch* when it is above but not proven, or the source
    or contract complains. *well* otherwise. A loss near the limit would change the word every few days, so the way back is longer than
    the way out: an unwell model stays so while the loss is above the limit, and one on watch until half the tolerance is left.
    """
    facts = _measure(settings, evidence, now)
    verdict, because = _judge(settings, evidence, facts)
    return Checkup(now, verdict, because, facts)


def _measure(settings: CheckSection, evidence: Evidence, now: datetime) -> dict[str, Any]:
    known = evidence.scored.filter(pl.col("label").is_not_null()) if evidence.scored.height else evidence.scored
    facts: dict[str, Any] = {
        "metric": evidence.metric,
        "champion": evidence.champion,
        "window_days": settings.window_days,
        "predictions": evidence.scored.height,
        "labels": known.height,
        "maturity": known.height / evidence.due if evidence.due else None,
        "newest": evidence.newest.isoformat() if evidence.newest else None,
        "age_days": (now - evidence.newest) / timedelta(days=1) if evidence.newest else None,
        "faults": list(evidence.faults),
        "source_error": evidence.source_error,
        "realised": None,
        "low": None,
        "high": None,
        "expected": None,
        "doubt": 0.0,
        "decline": evidence.decline,
    }
    if known.height:
        loss = losses(evidence.metric, known["label"].to_numpy(), known["answer"].to_numpy())
        value, low, high = mean_interval(loss)
        root = np.sqrt if evidence.metric == "rmse" else (lambda number: number)
        facts.update(realised=float(root(value)), low=float(root(max(low, 0.0))), high=float(root(high)))
        counts = known.group_by("version").len().rows()
        weights = {version: count for version, count in counts if version in evidence.expected}
        if weights:
            facts["expected"] = sum(evidence.expected[v] * n for v, n in weights.items()) / sum(weights.values())
            facts["doubt"] = sum(evidence.doubts.get(v, 0.0) * n for v, n in weights.items()) / sum(weights.values())
    return facts


def _judge(settings: CheckSection, evidence: Evidence, facts: dict[str, Any]) -> tuple[str, str]:
    if evidence.champion is None:
        return "unknown", "no version serves yet"
    if evidence.newest is None or facts["age_days"] > settings.max_age_days:
        age = f"the newest observation is {facts['age_days']:,.1f} days old" if evidence.newest else "there are no observations"
        return "unknown", f"{age}; {settings.max_age_days:g} days are allowed{_source(evidence)}"
    if facts["labels"] < settings.min_labels or facts["expected"] is None:
        return "unknown", f"{facts['labels']} labels are in, {settings.min_labels} are needed to judge"
    if evidence.decline is not None:
        return "unwell", evidence.decline
    limit = facts["expected"] * (1 + settings.tolerance)
    numbers = (
        f"{evidence.metric} {facts['realised']:.4f} ({facts['low']:.4f} to {facts['high']:.4f}) over {facts['labels']} labels, "
        f"expected {facts['expected']:.4f}"
    )
    if settings.max_loss is not None and facts["realised"] > settings.max_loss:
        return "unwell", f"{numbers}; above the limit {settings.max_loss:g}"
    # What was expected was measured on some rows itself: both doubts count, as those of two independent means.
    doubt = math.hypot(facts["realised"] - facts["low"], facts["doubt"] * (1 + settings.tolerance))
    if facts["realised"] - doubt > limit:
        return "unwell", f"{numbers}; proven to be more than {settings.tolerance:.0%} worse"
    if facts["realised"] > limit and evidence.before == "unwell":
        return "unwell", f"{numbers}; still more than {settings.tolerance:.0%} worse"
    if facts["realised"] > limit:
        return "watch", f"{numbers}; more than {settings.tolerance:.0%} worse, not proven yet"
    if evidence.before in ("watch", "unwell") and facts["realised"] > facts["expected"] * (1 + settings.tolerance / 2):
        return "watch", f"{numbers}; on the way back"
    if evidence.source_error:
        return "watch", f"{numbers}; the source failed: {evidence.source_error}"
    if evidence.faults:
        return "watch", f"{numbers}; the data has a fault: {evidence.faults[0]}"
    return "well", numbers


def _source(evidence: Evidence) -> str:
    return f" (the source failed: {evidence.source_error})" if evidence.source_error else ""
