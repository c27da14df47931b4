"""Models that are not scikit-learn's, behind one small face: ``predict``, ``predict_proba`` and the fast ``answer``.

Each is made from the library's own file and gives those bytes back unchanged. Libraries load on use.
"""

from __future__ import annotations

import json
import re
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from keepwell.training.rows import column_order, matrix

Floats = NDArray[np.float64]
FEW_ROWS = 1000  # below, waking the other threads costs more than they help (measured: 3.3 ms against 0.06 ms for one row)


class NativeModel:
    """What LightGBM, XGBoost and ONNX models have in common once they are loaded.

    Attributes
    ----------
    feature_names : in the order of the model's columns, or None when it was fitted on bare arrays.
    classifies : whether `answer` gives probabilities.
    """

    format = ""
    feature_names: list[str] | None = None
    classifies = False

    def answer(self, rows: Any) -> Floats:
        """Probability of class 1 (or all classes, shape (n, k)), or the prediction; `rows` has shape (n, features)."""
        raise NotImplementedError

    def predict_proba(self, X: Any) -> Floats:
        """Probabilities of the classes, shape (n, classes)."""
        if not self.classifies:
            raise AttributeError(f"this {self.format} model does not classify")
        found = self.answer(self.rows(X))
        return found if found.ndim == 2 else np.column_stack([1 - found, found])

    def predict(self, X: Any) -> Floats:
        """The likeliest class, or the prediction; shape (n,)."""
        if self.classifies:
            return np.asarray(self.predict_proba(X).argmax(axis=1), np.float64)
        return self.answer(self.rows(X))

    def data(self) -> bytes:
        """The library's own file."""
        raise NotImplementedError

    def rows(self, X: Any) -> Any:
        """A frame or array as what `answer` takes."""
        return matrix(X, self.feature_names)


class LightGBMModel(NativeModel):
    """A LightGBM booster from its text."""

    format = "lightgbm"

    def __init__(self, text: str) -> None:
        import lightgbm

        self._text = text
        self._booster = lightgbm.Booster(model_str=text)
        names = self._booster.feature_name()
        self.feature_names = None if all(name == f"Column_{i}" for i, name in enumerate(names)) else list(names)
        objective = re.search(r"^objective=(\S+)", text, re.MULTILINE)
        self.classifies = bool(objective) and objective[1].startswith(("binary", "multiclass", "cross_entropy"))  # type: ignore[index]
        self._categories = bool(self._booster.pandas_categorical)

    def answer(self, rows: Any) -> Floats:
        threads: dict[str, Any] = {"num_threads": 1} if len(rows) < FEW_ROWS else {}
        return np.asarray(self._booster.predict(rows, **threads), np.float64)

    def data(self) -> bytes:
        return self._text.encode("utf-8")

    def rows(self, X: Any) -> Any:
        if not self._categories or not hasattr(X, "columns"):
            return super().rows(X)
        import pandas  # LightGBM keeps the categories of a pandas frame in its text, and translates only such frames

        ordered = column_order(list(X.columns), self.feature_names or list(X.columns))
        frame = pandas.DataFrame({name: np.asarray(X[name].to_numpy()) for name in ordered})
        return frame.astype(dict.fromkeys(frame.select_dtypes(exclude=["number", "bool"]).columns, "category"))


class XGBoostModel(NativeModel):
    """An XGBoost booster from its UBJSON (or JSON)."""

    format = "xgboost"

    def __init__(self, data: bytes) -> None:
        import xgboost

        self._data = data
        self._booster = xgboost.Booster()
        self._booster.load_model(bytearray(data))
        self.feature_names = list(self._booster.feature_names) if self._booster.feature_names else None
        objective = json.loads(self._booster.save_config())["learner"]["objective"]["name"]
        self.classifies = objective in ("binary:logistic", "multi:softprob", "reg:logistic")
        best = self._booster.attr("best_iteration")
        self._rounds = (0, int(best) + 1) if best is not None else (0, 0)

    def answer(self, rows: Any) -> Floats:
        self._booster.set_param({"nthread": 1 if len(rows) < FEW_ROWS else 0})
        found = self._booster.inplace_predict(rows, iteration_range=self._rounds, validate_features=False)
        return np.asarray(found, np.float64)

    def data(self) -> bytes:
        return self._data


class OnnxModel(NativeModel):
    """An ONNX graph with one input of shape (n, features), or one input per feature, run on the CPU."""

    format = "onnx"

    def __init__(self, data: bytes) -> None:
        import onnxruntime

        self._data = data
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # rows are few; more threads only spin
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._inputs = [(given.name, np.float64 if "double" in given.type else np.float32) for given in self._session.get_inputs()]
        self.feature_names = [name for name, _ in self._inputs] if len(self._inputs) > 1 else None
        outputs = self._session.get_outputs()
        chance = [out.name for out in outputs if "prob" in out.name.lower()]
        self.classifies = bool(chance)
        self._output = chance[0] if chance else outputs[0].name

    def answer(self, rows: Any) -> Floats:
        if len(self._inputs) == 1:
            name, kind = self._inputs[0]
            fed = {name: np.ascontiguousarray(rows, kind)}
        else:
            fed = {name: np.ascontiguousarray(rows[:, i : i + 1], kind) for i, (name, kind) in enumerate(self._inputs)}
        found = self._session.run([self._output], fed)[0]
        if isinstance(found, list):  # a sequence of maps, class -> probability
            found = np.array([[row[label] for label in sorted(row)] for row in found])
        found = np.asarray(found, np.float64)
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def data(self) -> bytes:
        return self._data


def library(estimator: Any) -> str:
    """Which library made an estimator: lightgbm, xgboost, onnx or sklearn, or "".

    Told by the modules of its classes, so nothing is imported to find out; LightGBM's and XGBoost's scikit-learn classes
    count as theirs.
    """
    if isinstance(estimator, NativeModel):
        return estimator.format
    roots = {kind.__module__.split(".")[0] for kind in type(estimator).__mro__}
    known = {"lightgbm": "lightgbm", "xgboost": "xgboost", "onnx": "onnx", "onnxruntime": "onnx", "sklearn": "sklearn"}
    return next((known[root] for root in known if root in roots), "")


# An estimator is asked many times (evaluation, golden rows, latency) but need be written out only once.
_made: WeakKeyDictionary[Any, NativeModel] = WeakKeyDictionary()


def native(estimator: Any) -> NativeModel | None:
    """A LightGBM, XGBoost or ONNX model as a `NativeModel`, exactly as it will be after it is loaded; None for others.

    A fitted estimator is taken to stay as it is.
    """
    if isinstance(estimator, NativeModel):
        return estimator
    kind = library(estimator)
    if kind not in ("lightgbm", "xgboost", "onnx"):
        return None
    if kind == "onnx":
        return _native(kind, estimator)  # a graph is one of C++ and cannot be a key
    if estimator not in _made:
        made = _native(kind, estimator)
        if made is None:
            return None
        _made[estimator] = made
    return _made[estimator]


def _native(kind: str, estimator: Any) -> NativeModel | None:
    if kind == "lightgbm":
        booster = getattr(estimator, "booster_", estimator)
        return LightGBMModel(booster.model_to_string()) if hasattr(booster, "model_to_string") else None
    if kind == "xgboost":
        booster = estimator.get_booster() if hasattr(estimator, "get_booster") else estimator
        return XGBoostModel(bytes(booster.save_raw("ubj"))) if hasattr(booster, "save_raw") else None
    if hasattr(estimator, "SerializeToString"):
        return OnnxModel(bytes(estimator.SerializeToString(deterministic=True)))
    held = getattr(estimator, "_model_bytes", None)  # a session made from bytes; one made from a path does not keep them
    return OnnxModel(bytes(held)) if held else None
