"""Tell why: which column is broken, whether it costs anything, or what else changed.

What rings comes in, with the rows just before and after; a ranked list of causes with their harm goes out.
"""

from keepwell.diagnosis.changes import Change, Ranked, ranked, words_of
from keepwell.diagnosis.explain import HARM, explain
from keepwell.diagnosis.records import CLASSES, Began, Case, Cause, Explanation, Part, Predict

__all__ = [
    "CLASSES",
    "HARM",
    "Began",
    "Case",
    "Cause",
    "Change",
    "Explanation",
    "Part",
    "Predict",
    "Ranked",
    "explain",
    "ranked",
    "words_of",
]
