"""LightGBM and XGBoost asked through their C interfaces, one row at a time in a buffer that stays.

The Python calls of both libraries spend 5 to 20 times the model's own time on making and checking arrays. `of` answers nothing
when the installed library does not have what is used here; the model's own call is then taken.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import struct
from collections.abc import Sequence
from typing import Any, Self

from keepwell.training import NativeModel

NAN = float("nan")
Row = tuple[Any, ...]


class _Rows:
    """A row buffer of doubles in the model's column order."""

    def __init__(self, width: int, order: Sequence[int] | None) -> None:
        self._order = order
        self._buffer = (ctypes.c_double * width)()
        self._pack = struct.Struct(f"={width}d").pack_into

    def _fill(self, row: Row) -> None:
        if self._order is not None:
            row = tuple([row[at] for at in self._order])
        if None in row:
            row = tuple([NAN if value is None else value for value in row])
        self._pack(self._buffer, 0, *row)


class LightGBMRows(_Rows):
    """`LGBM_BoosterPredictForMatSingleRowFast`: everything but the row is set up once."""

    name = "lightgbm, single row in C"

    def __init__(self, booster: Any, order: Sequence[int] | None) -> None:
        library: Any = importlib.import_module("lightgbm.basic")
        super().__init__(booster.num_feature(), order)
        self._booster = booster  # keeps what the handle points to
        self._free = library._LIB.LGBM_FastConfigFree
        # Without letting the interpreter go for each row: the call is shorter than the hand-over.
        api = ctypes.PyDLL(library._LIB._name)
        self._call = api.LGBM_BoosterPredictForMatSingleRowFast
        self._config = ctypes.c_void_p()
        self._length, self._found = ctypes.c_int64(), ctypes.c_double()
        doubles, normal = 1, 0
        failed = api.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(normal),
            ctypes.c_int(0),
            ctypes.c_int(booster.best_iteration),
            ctypes.c_int(doubles),
            ctypes.c_int32(booster.num_feature()),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(self._config),
        )
        if failed:
            raise OSError("LightGBM refused to set up single-row answers")
        self._arguments = (self._config, self._buffer, ctypes.byref(self._length), ctypes.byref(self._found))

    @classmethod
    def of(cls, model: NativeModel, order: Sequence[int] | None) -> list[Self]:
        """The model in this form; nothing when it cannot be."""
        booster: Any = getattr(model, "_booster", None)
        if booster is None or booster.pandas_categorical or booster.num_model_per_iteration() != 1:
            return []
        try:
            return [cls(booster, order)]
        except (OSError, AttributeError):
            return []

    def answer(self, rows: Sequence[Row]) -> list[float]:
        """The answer to each row."""
        found = []
        for row in rows:
            self._fill(row)
            if self._call(*self._arguments):
                raise RuntimeError("LightGBM could not answer a row")
            found.append(self._found.value)
        return found

    def __del__(self) -> None:
        if getattr(self, "_config", None):
            self._free(self._config)


class XGBoostRows(_Rows):
    """`XGBoosterPredictFromDense` on a buffer whose description is written once."""

    name = "xgboost, single row in C"

    def __init__(self, booster: Any, rounds: tuple[int, int], order: Sequence[int] | None) -> None:
        library: Any = importlib.import_module("xgboost.core")
        width = booster.num_features()
        super().__init__(width, order)
        self._booster = booster
        api = ctypes.PyDLL(library._LIB._name)
        self._call = api.XGBoosterPredictFromDense
        place = {"data": (ctypes.addressof(self._buffer), True), "shape": (1, width), "strides": None, "typestr": "<f8", "version": 3}
        asked = {"type": 0, "training": False, "iteration_begin": rounds[0], "iteration_end": rounds[1], "missing": NAN}
        asked |= {"strict_shape": False, "cache_id": 0}
        self._shape, self._dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self._found = ctypes.POINTER(ctypes.c_float)()
        self._arguments = (
            booster.handle,
            ctypes.c_char_p(json.dumps(place).encode()),
            ctypes.c_char_p(json.dumps(asked).encode()),
            None,
            ctypes.byref(self._shape),
            ctypes.byref(self._dimensions),
            ctypes.byref(self._found),
        )

    @classmethod
    def of(cls, model: NativeModel, order: Sequence[int] | None) -> list[Self]:
        """The model in this form; nothing when it cannot be."""
        booster: Any = getattr(model, "_booster", None)
        if booster is None:
            return []
        booster.set_param({"nthread": 1})
        try:
            made = cls(booster, getattr(model, "_rounds", (0, 0)), order)
            made.answer([(None,) * booster.num_features()])
        except (OSError, AttributeError, RuntimeError):
            return []
        return [made] if made._is_one else []

    @property
    def _is_one(self) -> bool:
        """Whether the last answer was a single number."""
        sizes = [self._shape[at] for at in range(self._dimensions.value)]
        return all(size == 1 for size in sizes)

    def answer(self, rows: Sequence[Row]) -> list[float]:
        """The answer to each row."""
        found = []
        for row in rows:
            self._fill(row)
            if self._call(*self._arguments):
                raise RuntimeError("XGBoost could not answer a row")
            found.append(self._found[0])
        return found
