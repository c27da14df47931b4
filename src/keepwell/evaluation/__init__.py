"""Is a version good enough? Labels and answers come in, in time order; scores with intervals, slices, naive baselines,
the gate's decision and the model card go out. Nothing here reads a store or a clock."""

from keepwell.evaluation.baselines import BASELINES, Baseline, climatology, last_known, last_label, persistence
from keepwell.evaluation.card import model_card
from keepwell.evaluation.gate import Check, Evidence, GateDecision, decide
from keepwell.evaluation.intervals import effective_rows, mean_bound, mean_interval, spread
from keepwell.evaluation.metrics import DECIDING, Metric, losses, score
from keepwell.evaluation.slices import SliceScore, by_slice
from keepwell.evaluation.worth import worth

__all__ = [
    "BASELINES",
    "DECIDING",
    "Baseline",
    "Check",
    "Evidence",
    "GateDecision",
    "Metric",
    "SliceScore",
    "by_slice",
    "climatology",
    "decide",
    "effective_rows",
    "last_known",
    "last_label",
    "losses",
    "mean_bound",
    "mean_interval",
    "model_card",
    "persistence",
    "score",
    "spread",
    "worth",
]
