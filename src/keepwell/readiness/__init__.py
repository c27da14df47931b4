"""How ready is a model for production? The 28 points of the ML Test Score, each with its proof in the record or the next step.

The record comes in; points go out. Nothing is awarded without evidence, and evidence lapses.

References
----------
Breck, Cai, Nielsen, Salib, Sculley (2017), The ML Test Score: A Rubric for ML Production Readiness and Technical Debt
Reduction, IEEE Big Data.
"""

from keepwell.readiness.evidence import Evidence, collect
from keepwell.readiness.records import SECTIONS, Point, Score
from keepwell.readiness.scoring import judge, score

__all__ = ["SECTIONS", "Evidence", "Point", "Score", "collect", "judge", "score"]
