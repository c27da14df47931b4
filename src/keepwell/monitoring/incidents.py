"""From evidence to a signal: what costs nothing is a note, what costs is an incident, and an incident has an end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from keepwell.diagnosis import Explanation, explain

if TYPE_CHECKING:
    from keepwell.monitoring.signals import Signal
    from keepwell.monitoring.watch import Watch

HARM = 0.04  # of the reference's loss: a change in the data that costs less is a note
MEASURED = 0.02  # the same for a rise that labels have measured, less its standard error
LOOKS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)  # batches after something new rings at which it is diagnosed
SETTLING = (1, 2, 4, 7, 10, 14, 21, 28)  # batches after a decline was told at which its diagnosis is made better


@dataclass(eq=False)
class Incident:
    """A decline that was told: in which batch, and the channels that rang."""

    told: int
    channels: np.ndarray
    explanation: Explanation


@dataclass(eq=False)
class Judgement:
    """What is being looked at before it is told: since which batch this set of channels rings, and how often harm was found in a row."""

    ringing: np.ndarray
    since: int
    harmful: int = 0
    roots: set[str] = field(default_factory=set)


def judge(watch: Watch, number: int) -> list[Signal]:
    """Signals of the batch that has just closed."""
    ringing = watch.detector.ringing
    if watch.incident is not None:
        return _settle(watch, number)
    if not ringing.any():
        watch.judgement = None
        return []
    judgement = watch.judgement
    if judgement is None or (ringing & ~judgement.ringing).any():
        judgement = watch.judgement = Judgement(ringing, number, judgement.harmful if judgement else 0, judgement.roots if judgement else set())
    if number - judgement.since not in LOOKS and (number - judgement.since) % 4 and not judgement.harmful:
        return []
    explanation = explain(watch.case())
    kinds = {channel.kind for at, channel in enumerate(watch.reference.channels) if ringing[at]}
    # An error that has a sign is proven long before its cost is: it counts when what was measured says that it costs.
    by_labels = bool(kinds & {"gap", "loss", "diff"}) or (
        bool(kinds & {"signed", "score"}) and (explanation.gap or 0.0) - (explanation.gap_error or 0.0) > MEASURED * explanation.expected
    )
    harm = (explanation.harm or 0.0) - (explanation.harm_error or 0.0)
    judgement.harmful = judgement.harmful + 1 if harm > HARM * explanation.expected else 0
    if by_labels or judgement.harmful >= 2:
        watch.incidents += 1
        watch.incident = Incident(number, ringing, explanation)
        return [watch.signal("decline", number, explanation.causes, explanation)]
    told = [cause for cause in explanation.causes if cause.column not in judgement.roots]
    if not told or judgement.harmful:
        return []
    judgement.roots |= {cause.column for cause in told}
    return [watch.signal("note", number, told, explanation)]


def _settle(watch: Watch, number: int) -> list[Signal]:
    incident = watch.incident
    assert incident is not None
    if number - incident.told not in SETTLING:
        return []
    incident.explanation = explain(watch.case())
    return [watch.signal("decline", number, incident.explanation.causes, incident.explanation)]
