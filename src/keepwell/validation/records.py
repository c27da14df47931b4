"""The nouns of validation: what a column promises, the contract, a finding, the report."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

import polars as pl

Type = Literal["number", "integer", "text", "boolean", "time"]
Action = Literal["quarantine", "note"]
Strictness = Literal["off", "note", "quarantine", "stop"]

TYPES: tuple[Type, ...] = ("number", "integer", "text", "boolean", "time")
LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""The levels of `Column.quantiles`."""

REASON = "_reason"
"""The column that `Report.broken` has beside the batch's own."""


@dataclass(frozen=True)
class Column:
    """What one column promises.

    Attributes
    ----------
    unit : the unit the values are in, as the user wrote it; None when nobody said.
    nullable : False makes every single null a broken value.
    null_rate, max_null_rate : share of nulls in the reference, and the share above which nulls are a spike.
    low, high : values outside are broken; None leaves that side open.
    categories : the known texts; None for free text.
    quantiles : of the reference at `LEVELS`; empty when the column is not numeric or never had a value.
    longest_run : most equal values in a row within the reference; see `window.stuck_limit` for how many are too many.
    may_be_constant : never call this column stuck.
    """

    name: str
    type: Type
    unit: str | None = None
    nullable: bool = True
    null_rate: float = 0.0
    max_null_rate: float = 1.0
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] | None = None
    quantiles: tuple[float, ...] = ()
    longest_run: int = 0
    may_be_constant: bool = False

    @property
    def is_numeric(self) -> bool:
        return self.type in ("number", "integer")


@dataclass(frozen=True)
class Contract:
    """What a model's observations promise; keys are `entity` (None when there is only one) and `time`.

    Attributes
    ----------
    freshness_days : the newest row may be this old before the feed counts as stale; None never asks.
    rows : how many reference rows the contract was made from.
    """

    entity: str | None
    time: str
    columns: tuple[Column, ...]
    freshness_days: float | None
    rows: int

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.time,) if self.entity is None else (self.entity, self.time)

    @property
    def digest(self) -> str:
        """The version: SHA-256 of the content, so two contracts that promise the same are the same."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Finding:
    """One way in which a batch differs from its contract.

    Attributes
    ----------
    kind : one of `keepwell.validation.KINDS`.
    column : None when it is about rows or the whole feed.
    rows : how many rows of the batch show it (0 for a stale feed).
    example : one value, or key, that shows it.
    action : "quarantine" when those rows are broken, "note" when they stay.
    is_fault : hold retraining, the feed itself looks broken.
    what : what is wrong, without the counts.
    first : ISO time of the batch's earliest row that shows it; "" when none has a time.
    after : ISO time of the newest row that does not show it and lies before all that do, also those that were accepted before it was
        known; "" when there is none.
    conversion : of a unit change, which one it is (`Conversion.story`); a later batch that may go on in that unit is told so.
    """

    kind: str
    column: str | None
    rows: int
    example: str
    message: str
    action: Action
    is_fault: bool = False
    what: str = ""
    first: str = ""
    after: str = ""
    conversion: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """The verdict on a batch: every delivered row is in `good` or in `broken`, or was an exact copy.

    Attributes
    ----------
    good : the rows to keep, with the types of the contract.
    broken : the rows to set aside, as they were delivered, and why (`_reason`).
    """

    findings: tuple[Finding, ...]
    good: pl.DataFrame
    broken: pl.DataFrame

    @property
    def is_fault(self) -> bool:
        return any(finding.is_fault for finding in self.findings)
