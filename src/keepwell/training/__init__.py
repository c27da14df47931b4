"""Train: from observations to a fitted estimator in a safe file, by steps that can be repeated.

Observations and labels come in; a training set, a forward split and a model file go out, each named by its digest. `Code` and
`environment` say what the steps ran with, `run_step` reuses a result whose identity has not changed.
"""

from keepwell.training.answers import answers, latency_ms
from keepwell.training.code import Code, Outline
from keepwell.training.environment import environment, environment_digest
from keepwell.training.features import features_of, labels_of, prove_no_lookahead
from keepwell.training.fit import check_estimator, fit
from keepwell.training.formats import ModelFile, canonical_digest
from keepwell.training.formats import load as load_model
from keepwell.training.formats import save as save_model
from keepwell.training.golden import golden_digest, golden_rows
from keepwell.training.prepare import Split, from_bytes, inputs_and_labels, split, to_bytes, training_set
from keepwell.training.steps import StepRecord, identity_of, run_step
from keepwell.training.tables import Run, begin_run, end_run, get_run, list_runs, list_steps

__all__ = [
    "Code",
    "ModelFile",
    "Outline",
    "Run",
    "Split",
    "StepRecord",
    "answers",
    "begin_run",
    "canonical_digest",
    "check_estimator",
    "end_run",
    "environment",
    "environment_digest",
    "features_of",
    "fit",
    "from_bytes",
    "get_run",
    "golden_digest",
    "golden_rows",
    "identity_of",
    "inputs_and_labels",
    "labels_of",
    "latency_ms",
    "list_runs",
    "list_steps",
    "load_model",
    "prove_no_lookahead",
    "run_step",
    "save_model",
    "split",
    "to_bytes",
    "training_set",
]
