"""Train: from observations to a fitted estimator in a safe file, by steps that can be repeated.

Observations and labels come in; a training set, a forward split and a model file go out, each named by its digest. `Code` and
`environment` say what the steps ran with, `run_step` reuses a result whose identity has not changed.
"""

from keepwell.training.answers import answers, latency_ms
from keepwell.training.boosters import NativeModel
from keepwell.training.code import Code, Outline, git_state
from keepwell.training.environment import Packages, check_environment, environment, environment_lock, lock_of, machine, needed_packages
from keepwell.training.features import TOLERANCE, features_of, labels_of, prove_no_lookahead
from keepwell.training.fit import check_estimator, fit
from keepwell.training.formats import ModelFile, canonical_digest
from keepwell.training.formats import load as load_model
from keepwell.training.formats import save as save_model
from keepwell.training.golden import golden_digest, golden_rows
from keepwell.training.pins import Pins, content_digest, content_of, pin, unpin
from keepwell.training.prepare import Split, from_bytes, inputs_and_labels, split, to_bytes, training_set
from keepwell.training.proofs import Early, Mixed, early_labels, mixed_entities
from keepwell.training.recalibration import Recalibrated, corrected, log_odds, recalibrate, ridge_logistic
from keepwell.training.search import search
from keepwell.training.smoke import smoke
from keepwell.training.steps import Result, Runner, StepRecord, Trial, identity_of, run_step
from keepwell.training.tables import Proof, Run, begin_run, end_run, get_run, list_proofs, list_runs, list_steps, record_proof

__all__ = [
    "TOLERANCE",
    "Code",
    "Early",
    "Mixed",
    "ModelFile",
    "NativeModel",
    "Outline",
    "Packages",
    "Pins",
    "Proof",
    "Recalibrated",
    "Result",
    "Run",
    "Runner",
    "Split",
    "StepRecord",
    "Trial",
    "answers",
    "begin_run",
    "canonical_digest",
    "check_environment",
    "check_estimator",
    "content_digest",
    "content_of",
    "corrected",
    "early_labels",
    "end_run",
    "environment",
    "environment_lock",
    "features_of",
    "fit",
    "from_bytes",
    "get_run",
    "git_state",
    "golden_digest",
    "golden_rows",
    "identity_of",
    "inputs_and_labels",
    "labels_of",
    "latency_ms",
    "list_proofs",
    "list_runs",
    "list_steps",
    "load_model",
    "lock_of",
    "log_odds",
    "machine",
    "mixed_entities",
    "needed_packages",
    "pin",
    "prove_no_lookahead",
    "recalibrate",
    "record_proof",
    "ridge_logistic",
    "run_step",
    "save_model",
    "search",
    "smoke",
    "split",
    "to_bytes",
    "training_set",
    "unpin",
]
