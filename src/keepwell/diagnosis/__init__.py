"""Tell why: which column is broken, whether it costs anything, or what else changed.

What rings comes in, with the rows just before and after; a ranked list of causes with their harm goes out.
"""

from keepwell.diagnosis.changes import Change, Ranked, ranked, words_of
from keepwell.diagnosis.contrast import BEFORE
from keepwell.diagnosis.estimate import BLIND, estimate_of
from keepwell.diagnosis.explain import DOUBTLESS, HARM, explain, is_disproved
from keepwell.diagnosis.price import weighed
from keepwell.diagnosis.records import CLASSES, Began, Case, Cause, Estimate, Explanation, Part, Predict

__all__ = [
    "BEFORE",
    "BLIND",
    "CLASSES",
    "DOUBTLESS",
    "HARM",
    "Began",
    "Case",
    "Cause",
    "Change",
    "Estimate",
    "Explanation",
    "Part",
    "Predict",
    "Ranked",
    "estimate_of",
    "explain",
    "is_disproved",
    "ranked",
    "weighed",
    "words_of",
]
