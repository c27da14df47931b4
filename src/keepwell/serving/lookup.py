"""Fitted scikit-learn preprocessing as lookup tables: what imputers, scalers and encoders learnt, read out once.

A `ColumnTransformer` spends milliseconds on a row that it changes in microseconds: it slices frames, checks names and starts its
parallel machinery. Here each column of the matrix that the last step sees is one small rule over one column of the row. Encoders
are not imitated but asked: every category, one never seen and a missing one go through the fitted encoder, and what it answers is
the table. What is not known here makes `prepared` answer nothing, and the estimator itself is asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from keepwell.serving.signature import Row, Signature

UNSEEN = "\x00a word that no row had\x00"
NAN = float("nan")


@dataclass(frozen=True)
class Column:
    """One column on its way: from which value of the row, what stands for a missing one, and what is done to it.

    `steps` are (operation, number) in order: - + * / with a number. `table` makes `width` numbers of one value.
    """

    source: int
    is_text: bool
    fill: Any = None
    steps: tuple[tuple[str, float], ...] = ()
    table: Mapping[Any, tuple[float, ...]] | None = None
    other: tuple[float, ...] | None = None
    width: int = 1
    part: int = 0  # which of the `width` numbers this column is, once a table has widened it


@dataclass(eq=False)
class Prepared:
    """Rows in, the matrix that the last step was fitted on out."""

    columns: list[Column]
    _rules: list[tuple[int, Any, Any, Any, Any]] = field(default_factory=list)
    _width: int = 0

    def __post_init__(self) -> None:
        at = 0
        while at < len(self.columns):
            column = self.columns[at]
            whole = self.columns[at : at + column.width]
            if column.table is not None and [(one.source, one.part) for one in whole] != [(column.source, p) for p in range(column.width)]:
                raise ValueError("parts of one table are not together")
            self._rules.append((column.source, column.fill, column.steps, column.table, column.other))
            at += column.width
        self._width = len(self.columns)

    def __call__(self, rows: Sequence[Row]) -> Any:
        return np.array([self._one(row) for row in rows], np.float64)

    def _one(self, row: Row) -> list[float]:
        made: list[float] = []
        for source, fill, steps, table, other in self._rules:
            value = row[source]
            if value is None:
                value = fill
            if table is not None:
                found = table.get(value, other)
                if found is None:
                    raise LookupError(f"{value!r} was never seen")
                made += found
                continue
            if value is None:
                value = NAN
            for operation, number in steps:
                if operation == "-":
                    value = value - number
                elif operation == "/":
                    value = value / number
                elif operation == "*":
                    value = value * number
                else:
                    value = value + number
            made.append(value)
        return made


def prepared(estimator: Any, signature: Signature) -> tuple[Prepared | None, Any]:
    """The preprocessing of an estimator as tables, and its last step; None when a step has no such form."""
    names = getattr(estimator, "feature_names_in_", None)
    order = signature.names if names is None else list(names)
    try:
        columns = [Column(signature.place[name], signature.kinds[name] == "String") for name in order]
        last = estimator
        while hasattr(last, "steps"):
            for _, step in last.steps[:-1]:
                columns = _through(step, columns, order)
                order = []  # after the first step columns are known by place alone
            last = last.steps[-1][1]
        if getattr(last, "_preprocessor", None) is not None or any(column.is_text and column.table is None for column in columns):
            return None, last
        return Prepared(columns), last
    except (KeyError, AttributeError, IndexError, ValueError, TypeError):
        return None, None


def _through(step: Any, columns: list[Column], names: Sequence[str]) -> list[Column]:
    kind = "passthrough" if isinstance(step, str) else type(step).__name__
    if kind == "Pipeline":
        for _, one in step.steps:
            columns = _through(one, columns, names)
            names = []
        return columns
    if kind == "ColumnTransformer":
        return _side_by_side(step, columns, names)
    if kind == "passthrough" or (kind == "FunctionTransformer" and step.func is None):
        return columns
    if kind == "SimpleImputer":
        return _filled(step, columns)
    if kind in ("OneHotEncoder", "OrdinalEncoder"):
        return _encoded(step, columns)
    return _scaled(kind, step, columns)


def _side_by_side(step: Any, columns: list[Column], names: Sequence[str]) -> list[Column]:
    if step.transformer_weights:
        raise ValueError("weights")
    made: list[Column] = []
    for _, one, chosen in step.transformers_:
        if isinstance(one, str) and one == "drop":
            continue
        made += _through(one, [columns[at] for at in _places(chosen, columns, names)], [])
    return made


def _places(chosen: Any, columns: list[Column], names: Sequence[str]) -> list[int]:
    if isinstance(chosen, slice):
        if any(isinstance(end, str) for end in (chosen.start, chosen.stop)):
            raise ValueError("a slice of names")
        return list(range(len(columns)))[chosen]
    listed = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if listed and all(isinstance(one, bool | np.bool_) for one in listed):
        return [at for at, is_in in enumerate(listed) if is_in]
    return [list(names).index(one) if isinstance(one, str) else int(one) for one in listed]


def _filled(step: Any, columns: list[Column]) -> list[Column]:
    if step.add_indicator or any(column.fill is not None or column.steps or column.table is not None for column in columns):
        raise ValueError("an imputer after another step")
    missing = step.missing_values
    if not (missing is None or (isinstance(missing, float) and math.isnan(missing))):
        raise ValueError("an imputer of a value of its own")
    fills = [value if isinstance(value, str) else float(value) for value in step.statistics_]
    if any(isinstance(value, float) and math.isnan(value) for value in fills):
        raise ValueError("an imputer that drops a column")
    return [replace(column, fill=fill) for column, fill in zip(columns, fills, strict=True)]


def _scaled(kind: str, step: Any, columns: list[Column]) -> list[Column]:
    if any(column.is_text or column.table is not None for column in columns):
        raise ValueError("numbers are needed")
    if kind == "StandardScaler":
        pairs = [("-", step.mean_ if step.with_mean else None), ("/", step.scale_ if step.with_std else None)]
    elif kind == "MinMaxScaler" and not step.clip:
        pairs = [("*", step.scale_), ("+", step.min_)]
    elif kind == "RobustScaler" and not step.unit_variance:
        pairs = [("-", step.center_ if step.with_centering else None), ("/", step.scale_ if step.with_scaling else None)]
    elif kind == "MaxAbsScaler":
        pairs = [("/", step.scale_)]
    else:
        raise ValueError(kind)
    made = []
    for at, column in enumerate(columns):
        steps = tuple((operation, float(numbers[at])) for operation, numbers in pairs if numbers is not None)
        made.append(replace(column, steps=column.steps + steps))
    return made


def _encoded(step: Any, columns: list[Column]) -> list[Column]:
    if any(column.steps or column.table is not None for column in columns):
        raise ValueError("an encoder after another step")
    known = [list(values) for values in step.categories_]
    widths = list(step._n_features_outs) if type(step).__name__ == "OneHotEncoder" else [1] * len(columns)
    first = [values[0] for values in known]
    starts = np.concatenate([[0], np.cumsum(widths)])
    made: list[Column] = []
    for at, column in enumerate(columns):
        text = all(isinstance(value, str) for value in known[at] if value is not None)
        rows = [[*first[:at], value, *first[at + 1 :]] for value in known[at]]
        found = _asked(step, rows)
        part = slice(int(starts[at]), int(starts[at + 1]))
        table = {_key(value): tuple(map(float, row[part])) for value, row in zip(known[at], found, strict=True)}
        if len(table) != len(known[at]):
            raise ValueError("two categories are one key")
        other = _unseen(step, [*first[:at], UNSEEN if text else 1e300, *first[at + 1 :]], part)
        width = int(widths[at])
        one = replace(column, table=table, other=other, width=width)
        made += [replace(one, part=place) for place in range(width)]
        if width == 0:
            raise ValueError("a column of no category")
    return made


def _key(value: Any) -> Any:
    """A category as a row has it: a missing one is None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _asked(step: Any, rows: list[list[Any]]) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = object if any(isinstance(value, str) for value in rows[0]) else np.float64
        given: Any = np.array(rows, kind)
        names = getattr(step, "feature_names_in_", None)
        if names is not None:
            import polars as pl

            given = pl.DataFrame({name: [row[at] for row in rows] for at, name in enumerate(names)}, strict=False)
        found = step.transform(given)
    found = found.toarray() if hasattr(found, "toarray") else found
    return np.asarray(found.to_numpy() if hasattr(found, "to_numpy") else found, np.float64)


def _unseen(step: Any, row: list[Any], part: slice) -> tuple[float, ...] | None:
    try:
        return tuple(map(float, _asked(step, [row])[0][part]))
    except ValueError:  # it refuses what it has not seen
        return None
