"""A version brought back to life: its own code, its own estimator, its own signature."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from keepwell.errors import AnswersDiffer, FunctionBroken, InputInvalid, KeepwellError
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
    golden: pl.DataFrame = field(default_factory=pl.DataFrame)  # the rows it was asked again when it was loaded

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
        return replace(predictor, golden=rows)

    def features(self, observations: pl.DataFrame) -> pl.DataFrame:
        """Feature rows by this version's own code: (entity, time, features...)."""
        return features_of(self.model, observations)

    def answer(self, rows: pl.DataFrame) -> np.ndarray:
        """Probability of class 1, or the predicted value; shape (n,).

        Raises
        ------
        FunctionBroken : the estimator raised.
        """
        if rows.is_empty():
            return np.empty(0)
        names = list(self.signature)
        try:
            X = rows if rows.columns == names else rows.select(names)  # a select costs more than a small model
            return answers(self.estimator, X, self.model.task, frame=self.model.frame)
        except KeepwellError:
            raise
        except Exception as error:  # the estimator is somebody else's code, and may be of another package version
            raise FunctionBroken("predict", f"of version {self.version.number} raised {type(error).__name__}: {error}") from error

    def read(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        """Rows of a request as a frame of this version's features.

        Raises
        ------
        InputInvalid : a feature is missing, unknown or of another type; says which, in which row.
        """
        for place, row in enumerate(rows):
            if missing := [name for name in self.signature if name not in row]:
                hint = f"Version {self.version.number} needs {', '.join(self.signature)}."
                raise InputInvalid(f"Row {place} lacks {listed(missing)}", hint)
            if unknown := [name for name in row if name not in self.signature]:
                hint = f"Version {self.version.number} takes {', '.join(self.signature)}."
                raise InputInvalid(f"Row {place} has unknown {listed(unknown)}", hint)
            for name, kind in self.signature.items():
                check_value(place, name, kind, row[name])
        return pl.DataFrame({name: _column(name, kind, [row[name] for row in rows]) for name, kind in self.signature.items()})


NUMBERS = {"Float64", "Float32"}
WHOLE = {"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"}


def _column(name: str, kind: str, values: list[Any]) -> pl.Series:
    found = pl.Series(values, dtype=_dtype(kind), strict=False)
    if found.null_count() != sum(value is None for value in values):  # polars makes null of what does not fit the type
        place = next(at for at, value in enumerate(values) if value is not None and found[at] is None)
        raise InputInvalid(f"'{name}' in row {place} is {_SHOWN.repr(values[place])}", f"A value that fits {kind} is needed.")
    return found


def listed(names: Sequence[str]) -> str:
    """Names from a request, which may be many and long."""
    return ", ".join(name[:50] for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


_SHOWN = reprlib.Repr()  # short and shallow, whatever a request holds


def check_value(place: int, name: str, kind: str, value: Any) -> None:
    """Refuse a value that a column of this type cannot hold; None, a missing one, fits all. Raises InputInvalid."""
    if value is None:
        return
    if kind in NUMBERS | WHOLE:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputInvalid(f"'{name}' in row {place} is {_SHOWN.repr(value)}", "A number is needed.")
        if not _is_finite(value):
            hint = "A finite number is needed; send null for a missing one."
            raise InputInvalid(f"'{name}' in row {place} is {_SHOWN.repr(value)}", hint)
        if kind in WHOLE and value != int(value):
            raise InputInvalid(f"'{name}' in row {place} is {_SHOWN.repr(value)}", "A whole number is needed.")
    elif kind == "Boolean":
        if not isinstance(value, bool):
            raise InputInvalid(f"'{name}' in row {place} is {_SHOWN.repr(value)}", "true or false is needed.")
    elif not isinstance(value, str):
        raise InputInvalid(f"'{name}' in row {place} is {_SHOWN.repr(value)}", "A text is needed.")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def _dtype(kind: str) -> Any:
    return getattr(pl, kind.split("(")[0], pl.String)


def signature_of(rows: pl.DataFrame) -> dict[str, str]:
    """Feature name -> type name of a frame of features."""
    return {name: str(kind) for name, kind in rows.schema.items()}
