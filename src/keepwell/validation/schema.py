"""The contract in pandera's words, for people who already speak them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keepwell.validation.coerce import DTYPES, TIME
from keepwell.validation.records import Contract

if TYPE_CHECKING:
    from pandera.polars import DataFrameSchema


def schema(contract: Contract) -> DataFrameSchema:
    """A pandera schema with the contract's types, ranges, nulls and categories.

    What needs more than one row (units, spikes, stuck, stale) pandera has no words for; `check` has. Columns that the
    contract does not know are allowed, as in `check`.
    """
    import pandera.polars as pa  # takes seconds: only on use

    columns: dict[str, Any] = {contract.time: pa.Column(TIME, nullable=False)}
    if contract.entity is not None:
        columns[contract.entity] = pa.Column(DTYPES["text"], nullable=False)
    for column in contract.columns:
        checks = []
        if column.is_numeric:
            # Infinity is broken in `check` even where a side is open.
            low = -1.7976931348623157e308 if column.low is None else column.low
            high = 1.7976931348623157e308 if column.high is None else column.high
            checks.append(pa.Check.in_range(low, high))
        if column.categories is not None:
            checks.append(pa.Check.isin(column.categories))
        columns[column.name] = pa.Column(DTYPES[column.type], checks, nullable=column.nullable)
    return pa.DataFrameSchema(columns, strict=False)
