"""Serve: bring a version back to life, answer, and keep every answer beside the truth that comes later.

A version and rows come in; answers with ids go out. An answer is given only once the journal holds it.
"""

from keepwell.serving.journal import Journal
from keepwell.serving.ledger import (
    LABEL_KEY,
    LABELS,
    LEDGER,
    POSTED,
    PREDICTION_KEY,
    batch_id,
    batch_predictions,
    find_prediction,
    joined,
    keep_journal,
    representative,
)
from keepwell.serving.predictor import Predictor, signature_of
from keepwell.serving.segments import closed_segments
from keepwell.serving.segments import read as read_segment
from keepwell.serving.shipping import ship
from keepwell.serving.tables import (
    Labelling,
    get_batch,
    get_labelling,
    last_batch,
    record_batch,
    record_labelling,
    total_labels,
    total_predictions,
)

__all__ = [
    "LABELS",
    "LABEL_KEY",
    "LEDGER",
    "POSTED",
    "PREDICTION_KEY",
    "Journal",
    "Labelling",
    "Predictor",
    "batch_id",
    "batch_predictions",
    "closed_segments",
    "find_prediction",
    "get_batch",
    "get_labelling",
    "joined",
    "keep_journal",
    "last_batch",
    "read_segment",
    "record_batch",
    "record_labelling",
    "representative",
    "ship",
    "signature_of",
    "total_labels",
    "total_predictions",
]
