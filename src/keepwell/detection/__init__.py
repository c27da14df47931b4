"""Tell when: channels whose mean stays put while a model is well, and one detector with a set rate of false alarms for all of them.

A labelled reference comes in; evidence per batch and the interval of an onset go out.
"""

from keepwell.detection.channels import Channel, Last, batch_means, column_values, label_noise, label_values
from keepwell.detection.columns import NULL, UNSEEN, YEAR, Column, Columns, Rows, day_of, moments
from keepwell.detection.conditionals import CLIP, Conditionals, Told
from keepwell.detection.detector import EDetector, batches_to_prove
from keepwell.detection.null import BETS, Null, season_of
from keepwell.detection.onset import Onset, scan, scan_told
from keepwell.detection.outcome import TASKS, Outcome, clipped, logit, sigmoid
from keepwell.detection.reference import MIN_BATCHES, Reference

__all__ = [
    "BETS",
    "CLIP",
    "MIN_BATCHES",
    "NULL",
    "TASKS",
    "UNSEEN",
    "YEAR",
    "Channel",
    "Column",
    "Columns",
    "Conditionals",
    "EDetector",
    "Last",
    "Null",
    "Onset",
    "Outcome",
    "Reference",
    "Rows",
    "Told",
    "batch_means",
    "batches_to_prove",
    "clipped",
    "column_values",
    "day_of",
    "label_noise",
    "label_values",
    "logit",
    "moments",
    "scan",
    "scan_told",
    "season_of",
    "sigmoid",
]
