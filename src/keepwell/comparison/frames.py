"""Two frames of keyed rows, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from keepwell.comparison.records import Difference

EXAMPLES = 3


def frame_differences(before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str]) -> list[Difference]:
    """Rows that only one side has, columns that only one side has, and per column the cells that differ.

    Parameters
    ----------
    key : columns that name a row, each row once on either side. Values are compared exactly; NaN equals NaN, null equals null.

    Returns
    -------
    `facts` hold `rows` (how many) and `said` (in words, with the first example); `detail` shows a few.
    """
    if before.is_empty() or after.is_empty():
        if before.height == after.height:
            return []
        return [_rows(before, after, key)]
    found = []
    gone, come = before.join(after, on=list(key), how="anti"), after.join(before, on=list(key), how="anti")
    if gone.height or come.height:
        found.append(_rows(gone, come, key))
    found += [Difference("data", name, str(kind), None) for name, kind in before.schema.items() if name not in after.columns]
    found += [Difference("data", name, None, str(kind)) for name, kind in after.schema.items() if name not in before.columns]
    shared = [name for name in before.columns if name in after.columns and name not in key]
    both = before.select(*key, *shared).join(after.select(*key, *shared), on=list(key), how="inner", suffix=" after", maintain_order="left")
    for name in shared:
        old, new = pl.col(name), pl.col(f"{name} after")
        if before.schema[name] != after.schema[name]:
            old, new = old.cast(pl.String), new.cast(pl.String)
        differ = both.filter(old.ne_missing(new)).select(*key, name, f"{name} after")
        if differ.height:
            found.append(_cells(name, differ, key))
    return found


def _cells(name: str, differ: pl.DataFrame, key: Sequence[str]) -> Difference:
    examples = [f"{_place(row, key)}: {row[name]} -> {row[f'{name} after']}" for row in differ.head(EXAMPLES).to_dicts()]
    first, n = differ.row(0, named=True), differ.height
    said = f"{n:,} row{'s differ' if n > 1 else ' differs'} in column {name} ({examples[0]}{' ...' if n > 1 else ''})"
    return Difference("data", name, str(first[name]), str(first[f"{name} after"]), "\n".join(examples), {"rows": n, "said": said})


def _rows(gone: pl.DataFrame, come: pl.DataFrame, key: Sequence[str]) -> Difference:
    parts = []
    for rows, word in ((gone, "only before"), (come, "only after")):
        if rows.height:
            many, first = rows.height > 1, _place(rows.row(0, named=True), key)
            parts.append(f"{rows.height:,} row{'s' if many else ''} {word} ({first}{' ...' if many else ''})")
    facts = {"rows": gone.height + come.height, "said": "; ".join(parts)}
    return Difference("data", "rows", str(gone.height), str(come.height), "\n".join(parts), facts)


def _place(row: dict[str, Any], key: Sequence[str]) -> str:
    values = [row[name] for name in key]
    return ", ".join(f"{one:%Y-%m-%d %H:%M}".removesuffix(" 00:00") if isinstance(one, date) else str(one) for one in values)
