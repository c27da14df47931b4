"""Models to bytes and back, without running code from a file.

scikit-learn estimators are kept as skops, LightGBM and XGBoost in their own formats, ONNX as it is. Everything else would
be a pickle, and is refused unless the deployment's settings name the SHA-256 of exactly that pickle.
What a file may hold is decided by `trust.TRUSTED` and ``[trust]`` in keepwell.toml, never by the file.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import dataclass
from typing import Any

from keepwell.errors import FormatRefused, ModelFileInvalid, TrustRefused
from keepwell.settings import TrustSection
from keepwell.training import recalibration
from keepwell.training.answers import answers, latency_ms
from keepwell.training.boosters import LightGBMModel, OnnxModel, XGBoostModel, library, native
from keepwell.training.canonical import skops_digest
from keepwell.training.trust import TRUSTED, check_trees

__all__ = ["SUFFIXES", "ModelFile", "answers", "canonical_digest", "latency_ms", "load", "save"]

SUFFIXES = {"skops": ".skops", "lightgbm": ".lgb.txt", "xgboost": ".xgb.ubj", "onnx": ".onnx", "pickle": ".pkl", "recalibrated": ".recal"}
NOTHING = TrustSection(types=(), pickle=())


@dataclass(frozen=True)
class ModelFile:
    """A model as bytes; `format` is a key of `SUFFIXES`."""

    format: str
    suffix: str
    data: bytes


def save(estimator: Any, trust: TrustSection = NOTHING) -> ModelFile:
    """Write a fitted estimator in the safest format that holds it.

    Raises
    ------
    FormatRefused : only a pickle could hold it, and `trust.pickle` does not name its digest.
    TrustRefused : the file would hold types that neither Keepwell nor `trust.types` trusts, so it could not be loaded.
    """
    booster = native(estimator)
    if booster is not None:
        return _file(booster.format, booster.data())
    if library(estimator) == "sklearn":
        written = _skops(estimator)
        if written is not None:
            _check_types(written, trust)
            return _file("skops", written)
    return _pickled(estimator, trust)


def load(kind: str, data: bytes, trust: TrustSection = NOTHING) -> Any:
    """Read a model; `answers` takes what comes back.

    Parameters
    ----------
    kind : the file's format, as in `ModelFile.format`.

    Raises
    ------
    TrustRefused : a skops file holds a type that is not trusted. Nothing of it was made.
    FormatRefused : a pickle whose digest the settings do not name, or no known format. Nothing was read from it.
    ModelFileInvalid : the bytes are not what the format says, or a tree in it points outside itself.
    """
    if kind == "pickle":
        digest = hashlib.sha256(data).hexdigest()
        if digest not in trust.pickle:
            raise FormatRefused("pickle file", digest)
        return pickle.loads(data)  # noqa: S301 (the deployment named exactly these bytes)
    if kind not in SUFFIXES:
        raise FormatRefused(f"unknown format '{kind}'", None)
    try:
        if kind == "lightgbm":
            return LightGBMModel(data.decode("utf-8"))
        if kind == "xgboost":
            return XGBoostModel(data)
        if kind == "onnx":
            return OnnxModel(data)
        if kind == recalibration.FORMAT:
            return recalibration.read(data, lambda inner, content: load(inner, content, trust))
        return _from_skops(data, trust)
    except (ImportError, TrustRefused, FormatRefused, ModelFileInvalid):
        raise
    except Exception as error:  # each library has its own tree of errors; all say that the file cannot be read
        raise ModelFileInvalid(kind, str(error).strip().split("\n")[0][:200]) from error


def canonical_digest(model: Any, trust: TrustSection = NOTHING) -> str:
    """The identity of a model: SHA-256 of a canonical form of its file, equal for equal models trained twice.

    Parameters
    ----------
    model : a fitted estimator or a `ModelFile`.

    Raises
    ------
    FormatRefused, TrustRefused : as `save`, for an estimator.
    """
    file = model if isinstance(model, ModelFile) else save(model, trust)
    if file.format == "skops":
        return skops_digest(file.data)
    if file.format == recalibration.FORMAT:
        inner = recalibration.read(file.data, lambda kind, data: load(kind, data, trust))
        inside = canonical_digest(_file(inner.kind, inner.inner_data), trust)
        return hashlib.sha256(json.dumps([file.format, inner.line, inside], sort_keys=True).encode()).hexdigest()
    return hashlib.sha256(file.format.encode() + b"\n" + file.data).hexdigest()


def _file(kind: str, data: bytes) -> ModelFile:
    return ModelFile(kind, SUFFIXES[kind], data)


def _skops(estimator: Any) -> bytes | None:
    from skops.io import dumps

    try:
        return bytes(dumps(estimator))
    except TypeError:  # skops' word for a type it cannot write
        return None


def _check_types(data: bytes, trust: TrustSection) -> list[str]:
    from skops.io import get_untrusted_types

    trusted = {*TRUSTED, *trust.types}
    found = get_untrusted_types(data=data)
    strange = [name for name in found if name not in trusted]
    if strange:
        raise TrustRefused(strange)
    return list(found)


def _from_skops(data: bytes, trust: TrustSection) -> Any:
    from skops.io import loads

    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ModelFileInvalid("skops", "it is not a skops file")
    estimator = loads(data, trusted=_check_types(data, trust))
    check_trees(estimator)
    return estimator


def _pickled(estimator: Any, trust: TrustSection) -> ModelFile:
    name = f"{type(estimator).__module__}.{type(estimator).__qualname__}"
    try:
        data = pickle.dumps(estimator, protocol=5)
    except Exception as error:  # pickling runs the object's own code, which may fail in any way
        raise FormatRefused(name, None) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest not in trust.pickle:
        raise FormatRefused(name, digest)
    return _file("pickle", data)
