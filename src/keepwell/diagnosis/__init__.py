"""Tell why: which column is broken, whether it costs anything, or what else changed.

What rings comes in, with the rows just before and after; a ranked list of causes with their harm goes out.
"""

from keepwell.diagnosis.explain import explain
from keepwell.diagnosis.records import CLASSES, Began, Case, Cause, Explanation, Part, Predict

__all__ = ["CLASSES", "Began", "Case", "Cause", "Explanation", "Part", "Predict", "explain"]
