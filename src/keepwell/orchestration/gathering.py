"""The gather step: fetch, hold against the contract, keep what is good, set aside what is broken, in one transaction."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from keepwell.errors import FunctionBroken, SchemaMismatch, SourceInvalid, SourceUnavailable
from keepwell.ingestion import ALL, MOMENT, Gathered, Window, changed_rows, fetch, key_of, last_gather, record_gather, window
from keepwell.orchestration.context import Context
from keepwell.storage import COMMIT, KNOWN, Event, digest_of, record_event
from keepwell.validation import (
    Contract,
    ContractInForce,
    Finding,
    Report,
    check,
    contract_in_force,
    from_toml,
    infer,
    put_in_force,
    to_toml,
)

QUARANTINE: dict[str, type[pl.DataType] | pl.DataType] = {
    "row_id": pl.String,
    "entity": pl.String,
    "time": MOMENT,
    "reason": pl.String,
    "row": pl.String,
    "state": pl.String,
    "by": pl.String,
}


def gather(context: Context, cycle: str, as_of: datetime) -> Gathered:
    """Fetch the window that this cycle owes, and keep it. Running it again for the same cycle changes nothing.

    A source that fails is a fact of the cycle, not the cycle's end: the cursor stays, the check-up says so.
    """
    with context.database.read() as connection:
        before = last_gather(connection, context.name)
        if before and before.cycle == cycle:
            return before
    span = window(context.settings.gather, before.newest if before else None, as_of)
    error: str | None = None
    try:
        fetched = fetch(context.model, context.source, span)
    except (SourceUnavailable, SourceInvalid, FunctionBroken, SchemaMismatch) as problem:
        fetched, error = pl.DataFrame(), problem.message
    contract = _contract(context, cycle, as_of)
    with context.database.read() as connection:
        stored = context.observations.rows(since=span.since - _context_span(context, contract), until=as_of, connection=connection)
        set_aside_already = context.quarantine.rows(since=span.since - timedelta(days=1), connection=connection)
    report = _judge(context, contract, _unknown(context, fetched, stored, set_aside_already), stored, before, as_of, error)
    return _keep(context, cycle, as_of, span, fetched, stored, set_aside_already, report, before, error)


def _context_span(context: Context, contract: Contract | None) -> timedelta:
    """How far before the window rows are read to give a small batch context."""
    step = (contract.freshness_days if contract else None) or 2.0
    return timedelta(days=min(365.0, max(1.0, context.settings.contract.window_rows * step / 2)))


def _contract(context: Context, cycle: str, as_of: datetime) -> Contract | None:
    """The contract in force: contract.toml when it was edited, else the one recorded, else inferred from the first good rows."""
    path = context.folder / context.settings.contract.file
    text = path.read_text("utf-8") if path.is_file() else ""
    file_digest = digest_of(text.encode())
    with context.database.read() as connection:
        in_force = contract_in_force(connection, context.name)
    if in_force and (not text or in_force.file_digest == file_digest):
        if not text:  # it was taken away, or a kill came between the record and the file
            _write(path, context.artifacts.get(in_force.digest).decode())
        return context.contract(in_force.digest)
    inferred = not text
    if text:
        reason = "contract.toml was edited" if in_force else "contract.toml is there"
        contract = from_toml(text)
    else:
        first = context.observations.rows(until=as_of)
        if first.height < context.settings.contract.first_rows:
            return None
        first = first.drop([COMMIT, KNOWN, *([] if context.model.entity else [ALL])])
        contract = infer(first, entity=context.model.entity, time=context.model.time, units=context.model.units)
        text, reason = to_toml(contract), f"inferred from the first {first.height} rows"
        file_digest = digest_of(text.encode())
    digest = context.artifacts.put(text.encode())
    with context.database.begin() as connection:
        put_in_force(connection, context.name, f"{cycle}/{digest[:12]}", ContractInForce(digest, file_digest, as_of, reason))
        sentence = f"Contract {digest[:12]} is in force: {reason}"
        record_event(connection, context.name, f"{cycle}/contract", Event("contract", as_of, sentence, {"digest": digest}))
    if inferred:  # after the record: the file alone would be taken for a person's
        _write(path, text)
    return contract


def _write(path: Path, text: str) -> None:
    """All of the file or nothing of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def _unknown(context: Context, fetched: pl.DataFrame, stored: pl.DataFrame, waiting: pl.DataFrame) -> pl.DataFrame:
    """Fetched rows that are neither stored as they are nor in quarantine already."""
    if fetched.is_empty():
        return fetched
    key = key_of(context.model.entity, context.model.time)
    new, changed = changed_rows(fetched, stored, key)
    unique = pl.concat([new, changed]) if changed.height else new
    unique = unique.unique(maintain_order=True) if unique.height > 1 else unique
    if waiting.is_empty() or unique.is_empty():
        return unique
    return unique.filter(~pl.Series(row_ids(unique)).is_in(waiting["row_id"].to_list()))


def _judge(
    context: Context,
    contract: Contract | None,
    candidates: pl.DataFrame,
    stored: pl.DataFrame,
    before: Gathered | None,
    as_of: datetime,
    error: str | None,
) -> Report:
    """Which of the candidates are good. Without a contract: those whose time has come; the last of several for one key."""
    if error is not None or (candidates.width == 0 and (contract is None or stored.width == 0)):
        return Report((), candidates, candidates)
    if contract is not None:
        batch = candidates if candidates.width else stored.drop(COMMIT, KNOWN).clear()
        strictness = context.settings.contract.strictness
        standing = {one["column"]: one["conversion"] for one in before.findings if one.get("conversion")} if before else {}
        return check(contract, batch, recent=_recent(context, stored), now=as_of, strictness=strictness, standing=standing)
    key = key_of(context.model.entity, context.model.time)
    good = candidates.unique(list(key), keep="last", maintain_order=True).filter(pl.col(key[1]) <= as_of)
    return Report((), good, candidates.clear())


def _recent(context: Context, stored: pl.DataFrame) -> pl.DataFrame:
    return stored.drop([COMMIT, KNOWN], strict=False).tail(context.settings.contract.window_rows)


def _keep(
    context: Context,
    cycle: str,
    as_of: datetime,
    span: Window,
    fetched: pl.DataFrame,
    stored: pl.DataFrame,
    set_aside_already: pl.DataFrame,
    report: Report,
    before: Gathered | None,
    error: str | None,
) -> Gathered:
    key = key_of(context.model.entity, context.model.time)
    if report.good.is_empty():
        new = changed = report.good
    else:
        new, changed = changed_rows(report.good, stored, key)
    fresh = pl.concat([new, changed]) if changed.height else new
    newest = [before.newest] if before and before.newest else []
    if fresh.height:
        newest.append(fresh[key[1]].max())  # type: ignore[arg-type]
    with context.database.begin() as connection:
        commit = context.observations.append(connection, f"gather/{cycle}", fresh, as_of)
        mended = _mended(set_aside_already, fresh, key)
        context.quarantine.append(connection, f"gather/{cycle}/mended", mended, as_of)
        if report.broken.height:
            context.quarantine.append(connection, f"gather/{cycle}", set_aside(report.broken, key, as_of), as_of)
        gathered = Gathered(
            cycle=cycle,
            as_of=as_of,
            since=span.since,
            until=span.until,
            seen=fetched.height,
            new=new.height,
            changed=changed.height,
            quarantined=report.broken.height,
            table_version=commit.number,
            newest=max(newest) if newest else None,
            error=error,
            findings=[asdict(finding) for finding in report.findings],
        )
        record_gather(connection, context.name, gathered)
        _tell(connection, context.name, cycle, as_of, report.findings, before, error)
    return gathered


def _mended(waiting: pl.DataFrame, fresh: pl.DataFrame, key: tuple[str, str]) -> pl.DataFrame:
    """Rows that wait in quarantine although a good row has come in their place: letting them in later would undo it."""
    if waiting.is_empty() or fresh.is_empty():
        return waiting.clear()
    come = fresh.select(pl.col(key[0]).alias("entity"), pl.col(key[1]).alias("time"))
    found = waiting.filter(pl.col("state") == "waiting").join(come, on=["entity", "time"], how="semi")
    return found.drop(COMMIT, KNOWN).with_columns(pl.lit("mended").alias("state"), pl.lit("the source").alias("by"))


def _tell(
    connection: sa.Connection,
    model: str,
    cycle: str,
    as_of: datetime,
    findings: tuple[Finding, ...],
    before: Gathered | None,
    error: str | None,
) -> None:
    """Put findings on the timeline: all that set rows aside, and of the others those that the last gather did not have."""
    said = {(finding["kind"], finding["column"]) for finding in before.findings} if before else set()
    for finding in findings:
        if finding.action == "quarantine" or (finding.kind, finding.column) not in said:
            kind = "quarantined" if finding.action == "quarantine" else "data"
            key = f"{cycle}/{finding.kind}/{finding.column}"
            facts = {"kind": finding.kind, "column": finding.column, "rows": finding.rows}
            record_event(connection, model, key, Event(kind, as_of, finding.message, facts))
    if error is not None and (before is None or before.error is None):
        record_event(connection, model, f"{cycle}/source", Event("source_failed", as_of, error, {}))


def row_ids(rows: pl.DataFrame) -> list[str]:
    """A name for each row made of its content, so that the same broken row is set aside once."""
    texts = rows.select(pl.struct(sorted(rows.columns)).struct.json_encode()).to_series()
    return [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]


def set_aside(broken: pl.DataFrame, key: tuple[str, str], as_of: datetime) -> pl.DataFrame:
    """Quarantine rows for broken ones, as they were delivered."""
    rows = broken.drop("_reason")
    times = rows[key[1]] if key[1] in rows.columns and rows[key[1]].dtype == MOMENT else pl.Series([None] * rows.height, dtype=MOMENT)
    entities = rows[key[0]].cast(pl.String) if key[0] in rows.columns else pl.Series([""] * rows.height)
    return pl.DataFrame(
        {
            "row_id": row_ids(rows),
            "entity": entities.fill_null(""),
            "time": times.fill_null(as_of),
            "reason": broken["_reason"],
            "row": rows.select(pl.struct(rows.columns).struct.json_encode()).to_series(),
            "state": ["waiting"] * rows.height,
            "by": [""] * rows.height,
        },
        schema=QUARANTINE,
    )
