"""A version brought back to life: its own code, its own estimator, its own signature."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from keepwell.errors import AnswersDiffer, InputInvalid
from keepwell.model import Model
from keepwell.registry import Version
from keepwell.settings import ModelSection, TrustSection
from keepwell.storage import ArtifactStore
from keepwell.training import Code, answers, features_of, from_bytes, golden_digest, load_model


@dataclass(frozen=True, eq=False)
class Predictor:
    """One version, ready to answer.

    `signature` is feature name -> polars type name, in the order the estimator was trained with.
    """

    version: Version
    model: Model
    estimator: Any
    signature: Mapping[str, str]

    @classmethod
    def load(cls, version: Version, artifacts: ArtifactStore, cache: Path, trust: TrustSection) -> Predictor:
        """Read a version's artifacts, verify them, and ask it its golden rows again.

        Raises
        ------
        ArtifactMissing, ArtifactCorrupt : something was lost or changed.
        FormatRefused, TrustRefused : the deployment does not allow this model file.
        AnswersDiffer : it loads, but does not answer what it answered when it was built.
        """
        where = json.loads(artifacts.get(version.settings))["model"]
        model = Code.get(artifacts, version.code).load(ModelSection(**where), cache)
        estimator = load_model(version.format, artifacts.get(version.model_file), trust)
        predictor = cls(version, model, estimator, version.facts["signature"])
        golden = version.facts["golden"]
        rows = from_bytes(artifacts.get(golden["rows"]))
        if (found := golden_digest(predictor.answer(rows))) != golden["answers"]:
            raise AnswersDiffer(version.number, golden["answers"], found)
        return predictor

    def features(self, observations: pl.DataFrame) -> pl.DataFrame:
        """Feature rows by this version's own code: (entity, time, features...)."""
        return features_of(self.model, observations)

    def answer(self, rows: pl.DataFrame) -> np.ndarray:
        """Probability of class 1, or the predicted value; shape (n,)."""
        if rows.is_empty():
            return np.empty(0)
        return answers(self.estimator, rows.select(list(self.signature)), self.model.task, frame=self.model.frame)

    def read(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """Rows of a request as a frame of this version's features.

        Raises
        ------
        InputInvalid : a feature is missing, unknown or of another type; says which, in which row.
        """
        for place, row in enumerate(rows):
            if missing := [name for name in self.signature if name not in row]:
                raise InputInvalid(f"Row {place} lacks {', '.join(missing)}", f"Version {self.version.number} needs {', '.join(self.signature)}.")
            if unknown := [name for name in row if name not in self.signature]:
                raise InputInvalid(f"Row {place} has unknown {', '.join(unknown)}", f"Version {self.version.number} takes {', '.join(self.signature)}.")
            for name, kind in self.signature.items():
                _check_value(place, name, kind, row[name])
        return pl.DataFrame(
            {name: pl.Series([row[name] for row in rows], dtype=_dtype(kind), strict=False) for name, kind in self.signature.items()}
        )


NUMBERS = {"Float64", "Float32"}
WHOLE = {"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"}


def _check_value(place: int, name: str, kind: str, value: Any) -> None:
    if value is None:
        return
    if kind in NUMBERS | WHOLE:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputInvalid(f"'{name}' in row {place} is {value!r}", "A number is needed.")
        if not np.isfinite(value):
            raise InputInvalid(f"'{name}' in row {place} is {value!r}", "Send null for a missing number.")
        if kind in WHOLE and value != int(value):
            raise InputInvalid(f"'{name}' in row {place} is {value!r}", "A whole number is needed.")
    elif kind == "Boolean":
        if not isinstance(value, bool):
            raise InputInvalid(f"'{name}' in row {place} is {value!r}", "true or false is needed.")
    elif not isinstance(value, str):
        raise InputInvalid(f"'{name}' in row {place} is {value!r}", "A text is needed.")


def _dtype(kind: str) -> Any:
    return getattr(pl, kind.split("(")[0], pl.String)


def signature_of(rows: pl.DataFrame) -> dict[str, str]:
    """Feature name -> type name of a frame of features."""
    return {name: str(kind) for name, kind in rows.schema.items()}
