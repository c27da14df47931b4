"""Points of the ML Test Score: what was asked, how much it earned, and the proof or the next step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

SECTIONS = {"data": "Data", "model": "Model", "infrastructure": "Infrastructure", "monitoring": "Monitoring"}
# What the lowest section means, in the paper's words shortened; the first that is not below counts.
MEANS = (
    (0.0, "a research project"),
    (1.0, "not totally untested, but consider serious holes in reliability"),
    (2.0, "a first pass at basic productionisation"),
    (3.0, "reasonably tested"),
    (5.0, "strong levels of automated testing and monitoring"),
    (7.0, "exceptional levels of automated testing and monitoring"),
)


@dataclass(frozen=True)
class Point:
    """One of the 28 tests.

    Attributes
    ----------
    points : 1 when it is done by itself and again and again, 0.5 when by hand or in part, 0 without evidence.
    proof : what is on record, in words; `dated` says from when. None without evidence.
    next : what to do for the rest of the point, None when it is whole.
    lapsed : there was a proof and it is too old.
    """

    id: str
    section: str
    asked: str
    points: float
    proof: str | None = None
    dated: datetime | None = None
    next: str | None = None
    lapsed: bool = False


@dataclass(frozen=True)
class Asked:
    """A test without its answer; answers are made with these verbs."""

    id: str
    section: str
    question: str

    def none(self, next_step: str) -> Point:
        """There is no evidence."""
        return Point(self.id, self.section, self.question, 0.0, next=next_step)

    def given(self, points: float, proof: str, dated: datetime, at: datetime, days: float, next_step: str) -> Point:
        """There is a proof of a moment, good for so many days. `next_step` is what is missing, or renews it."""
        if at - dated > timedelta(days=days):
            age = (at - dated) / timedelta(days=1)
            again = f"The proof is {age:,.1f} days old, {days:g} are allowed. {next_step}"
            return Point(self.id, self.section, self.question, 0.0, proof, dated, again, lapsed=True)
        return Point(self.id, self.section, self.question, points, proof, dated, None if points == 1 else next_step)


@dataclass(frozen=True)
class Score:
    """All points of a model at a moment; the final score is the lowest section's sum."""

    model: str
    at: datetime
    points: tuple[Point, ...]

    @property
    def sections(self) -> dict[str, float]:
        """Section -> the sum of its points, of seven."""
        return {name: sum(point.points for point in self.points if point.section == name) for name in SECTIONS}

    @property
    def final(self) -> float:
        """The lowest sum."""
        return min(self.sections.values())

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        sums = ", ".join(f"{SECTIONS[name].lower()} {points:g}" for name, points in self.sections.items())
        means = next(words for most, words in MEANS if self.final <= most)
        return f"{self.model} scores {self.final:g} of 7 on {self.at:%-d %B %Y} ({sums}): {means}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the sentence."""
        points = [{**asdict(point), "dated": point.dated.isoformat() if point.dated else None} for point in self.points]
        return {
            "model": self.model,
            "at": self.at.isoformat(),
            "final": self.final,
            "sections": self.sections,
            "sentence": self.sentence,
            "points": points,
        }
