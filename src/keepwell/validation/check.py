"""Check a batch against its contract.

    kind             what it means                                        rows         holds retraining
    ---------------  ---------------------------------------------------  -----------  ----------------------
    missing column   a promised column did not come                       set aside    yes
    renamed column   it came under another name                           set aside    yes
    wrong type       values that cannot be read as the promised type      set aside    half of >= 3 rows
                     text that reads cleanly is taken                     kept         no
    all null         a run of nulls, to the end, that chance cannot make  set aside *  yes
    null spike       more nulls among the newest rows than allowed        kept         yes
    out of range     outside low..high, or infinite                       set aside    half of >= 3 rows
    new category     a text that the reference did not have               kept         5% of the newest rows
    unit change      far from usual, and a conversion brings it home      set aside    yes
    constant         the same value far longer than ever before           kept         yes
    duplicate keys   same key, different values                           set aside    half of >= 3 rows
                     exact copies are dropped                             one is kept  no
    future time      later than now                                       set aside    half of >= 3 rows
    stale            the newest good row is older than freshness_days     no rows      yes
    null key         entity or time is null                               set aside    half of >= 3 rows
    null value       null although nullable = false                       set aside    half of >= 3 rows

    * kept when the reference had nulls of its own: a column that comes and goes is not structure.

Set aside means the row cannot be what it says. Kept means each row may be honest and only together they are odd: taking
them out would bias what is left, so they stay, and nothing is trained until a person has looked. A level that moved for
honest reasons stops being odd when the newest rows have moved with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from keepwell.errors import ContractBroken
from keepwell.validation.coerce import TIME, coerce, to_type
from keepwell.validation.columns import check_columns
from keepwell.validation.keys import check_keys
from keepwell.validation.marks import Mark
from keepwell.validation.records import REASON, Contract, Finding, Report, Strictness
from keepwell.validation.values import Sight, check_constant, check_values
from keepwell.validation.window import stale_since

KINDS = (
    "missing column",
    "renamed column",
    "wrong type",
    "all null",
    "null spike",
    "out of range",
    "new category",
    "unit change",
    "constant",
    "duplicate keys",
    "future time",
    "stale",
    "null key",
    "null value",
)


def check(
    contract: Contract,
    batch: pl.DataFrame,
    *,
    recent: pl.DataFrame,
    now: datetime,
    strictness: Strictness = "quarantine",
    standing: Mapping[str, str] | None = None,
) -> Report:
    """Which rows of a batch may be used, and what is odd about it.

    Parameters
    ----------
    batch : shape (m, columns), any order, one row or a million.
    recent : the newest accepted rows (about 60, may be empty), in time order; they give context and are not judged.
    now : aware time of delivery.
    standing : column -> `Finding.conversion` of the batch before, for unit changes that may last.
    strictness : "off" looks at nothing; "note" keeps all rows; "quarantine" sets broken ones aside; "stop" refuses the batch.

    Returns
    -------
    The report. Its `good` rows have the contract's types, its `broken` rows are as delivered. In "note" a value that
    cannot be read as its type is null in `good`.

    Raises
    ------
    ContractBroken : strictness is "stop" and at least one row is broken.
    """
    if strictness == "off":
        return Report((), batch, _with_reason(batch.clear(), []))
    typed, marks = coerce(contract, batch)
    surplus = np.zeros(batch.height, dtype=bool)
    if batch.height:
        unread = {m.finding.column: m.where for m in marks if m.finding.column and m.finding.action == "quarantine"}
        order = _order(contract, typed)
        sight = Sight.of(contract, typed, recent)
        key_marks, surplus = check_keys(contract, typed, now)
        marks = [*check_columns(contract, batch), *marks, *check_values(contract, sight, unread, order, standing or {})]
        marks += [*check_constant(contract, sight, order), *key_marks]
    broken = np.zeros(batch.height, dtype=bool)
    for found in marks:
        if found.breaks:
            broken |= found.where
    findings = [_since(contract, typed, recent, found) for found in marks]
    findings += _stale(contract, typed.filter(pl.Series(~broken)) if broken.any() else typed, recent, now)
    if strictness == "stop" and broken.any():
        raise ContractBroken([finding.message for finding in findings if finding.action == "quarantine"])
    if strictness == "note":
        kept = (replace(f, action="note", message=f.message.replace("; set aside.", "; kept.")) for f in findings)
        return Report(tuple(kept), typed, _with_reason(batch.clear(), []))
    aside = broken & ~surplus
    good = typed.filter(pl.Series(~(broken | surplus))) if broken.any() or surplus.any() else typed
    return Report(tuple(findings), good, _with_reason(batch.filter(pl.Series(aside)), [(m, m.where[aside]) for m in marks if m.breaks]))


def _since(contract: Contract, typed: pl.DataFrame, recent: pl.DataFrame, found: Mark) -> Finding:
    """The finding with its moments: of the first row that shows it, and of the last one before that does not."""
    if contract.time not in typed.columns:
        return found.finding
    times = typed[contract.time]
    first = times.filter(pl.Series(found.where)).min()
    if first is None:
        return found.finding
    before = [times.filter(times < first)]
    if contract.time in recent.columns:
        before.append(recent[contract.time].head(recent.height - found.earlier))
    after = max((newest for some in before if (newest := some.filter(some < first).max()) is not None), default=None)
    return replace(found.finding, first=_aware(first).isoformat(), after=_aware(after).isoformat() if after is not None else "")


def _order(contract: Contract, typed: pl.DataFrame) -> np.ndarray | None:
    """Rows by time; None when they already are (most batches)."""
    if contract.time not in typed.columns or typed[contract.time].is_sorted():
        return None
    order: np.ndarray = typed[contract.time].arg_sort().to_numpy()
    return order


def _with_reason(rows: pl.DataFrame, marks: list[tuple[Mark, np.ndarray]]) -> pl.DataFrame:
    if rows.height == 0:
        return rows.with_columns(pl.Series(REASON, [], dtype=pl.String))
    parts = [pl.when(pl.Series(where)).then(pl.lit(found.reason)) for found, where in marks]
    return rows.with_columns(pl.concat_str(parts, separator="; ", ignore_nulls=True).alias(REASON))


def _stale(contract: Contract, good: pl.DataFrame, recent: pl.DataFrame, now: datetime) -> list[Finding]:
    times = [frame[contract.time].max() for frame in (good, recent) if contract.time in frame.columns and frame.height]
    newest = max((_aware(time) for time in times if time is not None), default=None)
    age = stale_since(newest, now, contract.freshness_days)
    if age is None:
        return []
    shown = f"{age:,.0f}" if age >= 100 else f"{age:.3g}"
    message = (
        f"stale: column '{contract.time}', 0 rows, newest good row {newest:%Y-%m-%d %H:%M} UTC: it is {shown} days old, "
        f"the contract allows {contract.freshness_days:g}. Ask the source why it stopped, or raise freshness_days in contract.toml."
    )
    return [Finding("stale", contract.time, 0, f"{newest:%Y-%m-%d %H:%M}", message, "note", is_fault=True)]


def _aware(time: object) -> datetime:
    """A time as it stands in an accepted row, which may not have passed through `coerce`."""
    aware: datetime = to_type(pl.Series([time]), "time").cast(TIME)[0]
    return aware
