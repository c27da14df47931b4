"""The score: all four sections over one look at the record."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from keepwell.readiness import data, infrastructure, model, watching
from keepwell.readiness.evidence import Evidence, collect
from keepwell.readiness.records import Score

if TYPE_CHECKING:
    from keepwell.orchestration import Context


def score(context: Context, at: datetime | None = None, now: datetime | None = None) -> Score:
    """The ML Test Score of a model, now or as it was at a moment of its own time."""
    return judge(context.name, collect(context, at, now))


def judge(name: str, evidence: Evidence) -> Score:
    """The 28 points over what was collected."""
    sections = (data.points, model.points, infrastructure.points, watching.points)
    return Score(name, evidence.at, tuple(point for points in sections for point in points(evidence)))
