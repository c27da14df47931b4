"""Columns that did not come, and under which new name they may have."""

from __future__ import annotations

import difflib

import numpy as np
import polars as pl

from keepwell.validation.coerce import to_type
from keepwell.validation.marks import Mark, mark
from keepwell.validation.records import Column, Contract

ALIKE = 0.75  # names this similar (difflib ratio) are the same name spelled anew
RELATED = 0.45  # names this similar are the same when the values fit too


def check_columns(contract: Contract, batch: pl.DataFrame) -> list[Mark]:
    """Missing and renamed columns; either breaks every row, for no row can be used without it."""
    everything = np.ones(batch.height, dtype=bool)
    known = {column.name: column for column in contract.columns}
    missing = [name for name in (*contract.keys, *known) if name not in batch.columns]
    if not missing:
        return []
    new = [name for name in batch.columns if name not in known and name not in contract.keys]
    pairs = _pairs({name: known.get(name) for name in missing}, batch.select(new))
    marks = []
    for name in missing:
        if name in pairs:
            what = f"it is not there, but the new column '{pairs[name]}' looks like it"
            todo = f"Rename '{pairs[name]}' back to '{name}' in gather, or rename the column in contract.toml."
            marks.append(mark("renamed column", name, everything, _example(batch[pairs[name]]), what, todo, is_fault=True))
        else:
            what = f"it is not there; the batch has {', '.join(batch.columns)}"
            todo = "Mend gather, or remove the column from contract.toml."
            marks.append(mark("missing column", name, everything, "no value", what, todo, is_fault=True))
    return marks


def _pairs(missing: dict[str, Column | None], new: pl.DataFrame) -> dict[str, str]:
    """Missing name -> new name, best matches first, each new column used once."""
    ranked = sorted(
        ((_likeness(name, column, new[other]), name, other) for name, column in missing.items() for other in new.columns),
        reverse=True,
    )
    pairs: dict[str, str] = {}
    for score, name, other in ranked:
        if score >= ALIKE and name not in pairs and other not in pairs.values():
            pairs[name] = other
    return pairs


def _likeness(name: str, column: Column | None, values: pl.Series) -> float:
    old, new = _plain(name), _plain(values.name)
    score = 0.9 if min(len(old), len(new)) >= 3 and (old in new or new in old) else difflib.SequenceMatcher(None, old, new).ratio()
    if column is None:
        return score
    fit = _fit(column, values)
    if fit < 0.5:  # another name and other values: another column
        return 0.0
    return score + 0.25 if score >= RELATED and fit > 0.9 else score


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _fit(column: Column, values: pl.Series) -> float:
    """Share of the new column's values that the missing one could have had."""
    typed = to_type(values, column.type).drop_nulls()
    if typed.len() == 0:
        return 1.0 if values.null_count() == values.len() else 0.0
    if column.categories is not None:
        return int(typed.is_in(column.categories).sum()) / typed.len()
    if column.is_numeric and column.low is not None and column.high is not None:
        return int(typed.is_between(column.low, column.high).sum()) / typed.len()
    return 1.0 if column.type != "text" or values.dtype == pl.String else 0.0


def _example(values: pl.Series) -> str:
    present = values.drop_nulls()
    return repr(present[0]) if present.len() else "null"
