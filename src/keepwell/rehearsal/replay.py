"""Live through kept rows under one policy: a project of its own in a folder that goes away, run by the same cycles as the real one."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from keepwell.evaluation import losses
from keepwell.ingestion import ALL
from keepwell.monitoring import ENDS, list_signals
from keepwell.orchestration import Context, Plain, attach, detach, run_cycle
from keepwell.registry import CHAMPION, list_alias_changes, list_versions
from keepwell.rehearsal.outcomes import Alarm, Outcome, false_alarms, rolling_loss
from keepwell.rehearsal.policies import Policy
from keepwell.serving import POSTED, joined, representative
from keepwell.storage import COMMIT, KNOWN, literal
from keepwell.training import Result, identity_of

OBSERVATIONS, LABELS, SETTINGS, CODE, CONTRACT = "observations.parquet", "labels.parquet", "settings.json", "code.zip", "contract.toml"
PREFIX = "KEEPWELL_"
POINTS = 120  # of the chart


@dataclass(frozen=True)
class Span:
    """The moments to live through, and by which yardstick."""

    since: datetime
    until: datetime
    every: timedelta
    window_days: float
    min_labels: int
    tolerance: float
    max_loss: float | None

    def share(self, moment: datetime) -> float:
        """How far along the way a cycle is."""
        return min((moment - self.since + self.every) / (self.until - self.since + self.every), 1.0)


def lay_out(context: Context, root: Path) -> None:
    """Write what all policies share into `root`: the kept rows, posted labels, code, contract and settings."""
    drop = [COMMIT, KNOWN, *(() if context.outline.entity else (ALL,))]
    context.observations.rows().drop(drop, strict=False).write_parquet(root / OBSERVATIONS)
    labels = context.labels.rows()
    if not labels.is_empty():
        labels = labels.filter((pl.col("origin") == POSTED) & (pl.col("prediction_id") == "")).drop(COMMIT)
    labels.write_parquet(root / LABELS)
    (root / CODE).write_bytes(context.code.archive)
    contract = context.folder / context.settings.contract.file
    if contract.is_file():
        shutil.copy(contract, root / CONTRACT)
    kept = context.settings.model_dump(mode="json", exclude={"store": True, "source": True, "serve": True, "schedule": True})
    (root / SETTINGS).write_text(json.dumps(kept))


def replay(root: Path, policy: Policy, span: Span, told: Callable[[str, datetime], None]) -> Outcome:
    """Run every cycle of the span under a policy, and reckon what came of it.

    Raises
    ------
    SettingInvalid : the policy holds a value that cannot be.
    """
    begun = time.process_time()
    with _alone():
        context = _open(root, policy)
        steps = _Shared(root / "steps")
        context.runner = steps.run
        attach(context)
        cycles = failed = 0
        try:
            posted, moment = pl.read_parquet(root / LABELS), span.since
            before = datetime.min.replace(tzinfo=span.since.tzinfo)
            while moment <= span.until:
                _post(context, posted, before, moment)
                record = run_cycle(Plain(), context, moment)
                cycles, failed = cycles + 1, failed + (record.status != "done")
                told(policy.name, moment)
                before, moment = moment, moment + span.every
            outcome = _reckon(context, policy, span)
        finally:
            detach(context)
            context.database.close()
    seconds = time.process_time() - begun + steps.reused_s
    return replace(outcome, cycles=cycles, failed=failed, seconds=round(seconds, 1))


def first_expected(root: Path, name: str) -> float | None:
    """The loss expected of the first version of a policy's life."""
    kept = root / name / "expected.json"
    found: float | None = json.loads(kept.read_text()) if kept.is_file() else None
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """Without the environment's settings: they are in those that were written down, and a store of theirs must not be touched."""
    held = {name: os.environ.pop(name) for name in list(os.environ) if name.upper().startswith(PREFIX)}
    try:
        yield
    finally:
        os.environ.update(held)


def _open(root: Path, policy: Policy) -> Context:
    folder = root / policy.name
    folder.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO((root / CODE).read_bytes())) as archive:
        archive.extractall(folder)
    (folder / "keepwell.toml").write_text("")
    flags: dict[str, Any] = json.loads((root / SETTINGS).read_text())
    for section, values in policy.sections.items():
        flags[section] = {**flags[section], **values}
    flags["build"]["lookahead_checks"] = 1  # that features do not look ahead was proved when they were built
    flags["model"]["risk"] = "low"
    if flags["promotion"]["mode"] == "approve":
        flags["promotion"]["mode"] = "auto"  # nobody is there to ask: approval is taken as given
    if (root / CONTRACT).is_file():
        shutil.copy(root / CONTRACT, folder / flags["contract"]["file"])
    flags["store"] = {"artifacts": str(root / "artifacts"), "flush_commits": 1_000_000}
    context = Context.open(folder, flags)
    context.database.hurry()
    rows = pl.read_parquet(root / OBSERVATIONS)
    at = pl.col(context.outline.time)

    def gather(since: datetime, until: datetime) -> pl.DataFrame:
        return rows.filter((at >= literal(since)) & (at <= literal(until)))

    context.model = replace(context.model, gather=gather)
    return context


def _post(context: Context, posted: pl.DataFrame, after: datetime, until: datetime) -> None:
    """Labels that people posted, when they were posted."""
    if posted.is_empty():
        return
    due = posted.filter((pl.col(KNOWN) > literal(after)) & (pl.col(KNOWN) <= literal(until))).drop(KNOWN)
    if due.height:
        with context.database.begin() as connection:
            context.labels.append(connection, f"posted/{until.isoformat()}", due, until)


class _Shared:
    """Build steps that any policy has run, by their identity: policies that build at one moment from one state share them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.reused_s = folder, 0.0
        folder.mkdir(exist_ok=True)

    def run(self, _run: str, name: str, parts: Result, work: Callable[[], Result]) -> Result:
        path = self._folder / f"{identity_of(name, parts)}.json"
        if path.is_file():
            kept = json.loads(path.read_text())
            self.reused_s += kept["seconds"]
            result: Result = kept["result"]
            return result
        begun = time.process_time()
        result = work()
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"result": result, "seconds": time.process_time() - begun}))
        partial.replace(path)
        return result


def _reckon(context: Context, policy: Policy, span: Span) -> Outcome:
    with context.database.read() as connection:
        versions = list_versions(connection, context.name)
        promotions = list_alias_changes(connection, context.name, CHAMPION)
        said = list_signals(connection, context.name)
    expected = context.expected(version.number for version in versions)
    rows = joined(representative(context.predictions.rows()), context.labels.rows()).drop_nulls("label")
    loss: Any = losses(context.metric, rows["label"].to_numpy(), rows["answer"].to_numpy()) if rows.height else []
    scored = rows.select("time", "version").with_columns(pl.Series("loss", loss, pl.Float64)).sort("time")
    first = expected.get(promotions[0].number) if promotions and promotions[0].number is not None else None
    (context.folder / "expected.json").write_text(json.dumps(first))
    target = span.max_loss if span.max_loss is not None else None if first is None else first * (1 + span.tolerance)
    days = scored.group_by(day=pl.col("time").dt.truncate("1d")).agg(pl.col("loss").sum(), rows=pl.len()).sort("day")
    rolling = rolling_loss(days, span.window_days, span.min_labels)
    alarms = _alarms(said, [(change.since, change.number) for change in promotions])
    years = scored.group_by(year=pl.col("time").dt.year()).agg(pl.col("loss").mean()).sort("year")
    step = max(rolling.height // POINTS, 1)
    return Outcome(
        policy=policy.name,
        what=policy.what,
        score=float(scored["loss"].mean()) if scored.height else float("nan"),  # type: ignore[arg-type]
        by_year=tuple((int(year), float(mean)) for year, mean in years.rows()),
        days=rolling.height,
        days_below=rolling.filter(pl.col("loss") > target).height if target is not None else 0,
        builds=len(versions),
        promotions=len(promotions),
        refused=sum(not version.passed for version in versions),
        alarms=len(alarms),
        false_alarms=false_alarms(alarms, scored, expected),
        cycles=0,
        failed=0,
        rows=scored.height,
        seconds=0.0,
        rolling=tuple((day.isoformat(), float(mean)) for day, mean in rolling.gather_every(step).rows()),
    )


def _alarms(said: list[Any], served: list[tuple[datetime, int | None]]) -> list[Alarm]:
    """Declines, each with its newest onset and its end: proven to be over, or another version took over."""
    found = []
    for key in dict.fromkeys((one.version, one.incident) for one in reversed(said) if one.kind == "decline"):
        mine = [one for one in said if (one.version, one.incident) == key]
        declines = [one for one in mine if one.kind == "decline"]  # newest first
        onset = datetime.fromisoformat(declines[0].facts["explanation"]["began"]["at"])
        told = declines[-1].as_of
        over = [one.as_of for one in mine if one.kind in ENDS]
        replaced = [since for since, number in served if since > told and number != key[0]]
        found.append(Alarm(key[0], onset, told, min([*over, *replaced], default=None)))
    return found
