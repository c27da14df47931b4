"""Compare: what differs between two of anything a model is made of.

Two codes, frames, environments or tables of settings come in; differences go out, each by name and in one sentence. Pure: no
store is opened here.
"""

from keepwell.comparison.answers import AnswerChange, answer_change
from keepwell.comparison.code import code_differences
from keepwell.comparison.frames import frame_differences
from keepwell.comparison.packages import package_differences
from keepwell.comparison.records import Difference
from keepwell.comparison.settings import setting_differences

__all__ = [
    "AnswerChange",
    "Difference",
    "answer_change",
    "code_differences",
    "frame_differences",
    "package_differences",
    "setting_differences",
]
