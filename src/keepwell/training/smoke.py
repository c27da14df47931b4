"""A test of the model's own code at each build: on a few rows, does training twice give the same model, and does it answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from keepwell.errors import KeepwellError
from keepwell.model import Model
from keepwell.training.answers import answers
from keepwell.training.fit import fit
from keepwell.training.formats import canonical_digest, load, save
from keepwell.training.prepare import inputs_and_labels

if TYPE_CHECKING:
    from keepwell.settings import TrustSection

FEW = 400  # rows


def smoke(model: Model, rows: pl.DataFrame, *, settings: dict[str, Any], seed: int, trust: TrustSection) -> dict[str, Any]:
    """Fit twice on the newest few rows and ask the saved model again.

    It refuses nothing: a model that cannot be trained on so few rows says so, and `keepwell score` shows it.

    Returns
    -------
    `rows`; `identical`: both fits give one canonical model; `kept`: the loaded file answers as the fitted one did, with finite
    numbers; or `problem`: why it could not be tried.
    """
    few = rows.tail(FEW)
    X, _ = inputs_and_labels(few)
    try:
        fitted = [fit(model, few, settings=settings, seed=seed) for _ in range(2)]
        files = [save(one, trust) for one in fitted]
        given = answers(fitted[0], X, model.task, frame=model.frame)
        again = answers(load(files[0].format, files[0].data, trust), X, model.task, frame=model.frame)
        identical = canonical_digest(files[0], trust) == canonical_digest(files[1], trust)
    except (KeepwellError, ValueError) as error:
        return {"rows": few.height, "problem": getattr(error, "message", str(error))}
    return {"rows": few.height, "identical": identical, "kept": bool(np.isfinite(given).all() and np.array_equal(given, again))}
