"""Serve: bring a version back to life, answer, and keep every answer beside the truth that comes later.

A version and rows come in; answers with ids go out. An answer is given only once the journal holds it.
"""

from keepwell.serving.agreement import BOUND, Agreement, Ready, compared, made_ready
from keepwell.serving.journal import Journal
from keepwell.serving.ledger import (
    BY_HAND,
    CANARY,
    LABEL_KEY,
    LABELS,
    LEDGER,
    LOOKED_UP,
    POSTED,
    PREDICTION_KEY,
    SHADOW_KEY,
    SHADOWS,
    batch_id,
    batch_predictions,
    find_prediction,
    joined,
    keep_journal,
    paired,
    prediction_rows,
    representative,
    shadow_answers,
)
from keepwell.serving.log_writer import obey_only, say, stop_of, write_log
from keepwell.serving.predictor import Predictor, signature_of
from keepwell.serving.remote import Log, RemoteJournal, write_for_others
from keepwell.serving.runtimes import Runtime
from keepwell.serving.sampling import is_kept
from keepwell.serving.segments import closed_segments
from keepwell.serving.segments import read as read_segment
from keepwell.serving.shipping import ship
from keepwell.serving.signature import Name, Row, Signature
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
    "BOUND",
    "BY_HAND",
    "CANARY",
    "LABELS",
    "LABEL_KEY",
    "LEDGER",
    "LOOKED_UP",
    "POSTED",
    "PREDICTION_KEY",
    "SHADOWS",
    "SHADOW_KEY",
    "Agreement",
    "Journal",
    "Labelling",
    "Log",
    "Name",
    "Predictor",
    "Ready",
    "RemoteJournal",
    "Row",
    "Runtime",
    "Signature",
    "batch_id",
    "batch_predictions",
    "closed_segments",
    "compared",
    "find_prediction",
    "get_batch",
    "get_labelling",
    "is_kept",
    "joined",
    "keep_journal",
    "last_batch",
    "made_ready",
    "obey_only",
    "paired",
    "prediction_rows",
    "read_segment",
    "record_batch",
    "record_labelling",
    "representative",
    "say",
    "shadow_answers",
    "ship",
    "signature_of",
    "stop_of",
    "total_labels",
    "total_predictions",
    "write_for_others",
    "write_log",
]
