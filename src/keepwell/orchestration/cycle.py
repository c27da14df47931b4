"""One cycle of care: gather, label, check up, perhaps build and deploy, predict. Durable, and idempotent per (model, as-of)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from keepwell.errors import BackendError, CycleRefused, KeepwellError
from keepwell.orchestration import building, checking, deploying, gathering, predicting, rehearsing, tending
from keepwell.orchestration.context import Context
from keepwell.orchestration.durable import Engine, Plain, step, workflow
from keepwell.orchestration.tables import CycleRecord, begin_cycle, end_cycle, get_cycle, last_cycle, list_cycles
from keepwell.registry import list_versions
from keepwell.retraining import get_decision
from keepwell.storage import Event, record_event
from keepwell.training import list_runs

_open: dict[str, Context] = {}
AHEAD = timedelta(minutes=5)  # clocks of two machines may differ by this much


def attach(context: Context) -> None:
    """Let workflows of this model find their context; a recovered one has only the model's name."""
    _open[context.name] = context


def detach(context: Context) -> None:
    """Forget a model's context."""
    if _open.get(context.name) is context:
        del _open[context.name]


def run_cycle(engine: Engine | Plain, context: Context, as_of: datetime, *, build: bool = False, by: str = "keepwell") -> CycleRecord:
    """Run the cycle of a moment, or answer with what it did when it has run already. `by` is who asks for a build.

    Raises
    ------
    CycleRefused : a cycle of a later moment has run: the record only grows forward.
    KeepwellError : a step failed; the cycle is recorded as failed and may be run again.
    """
    as_of = as_of.astimezone(UTC).replace(microsecond=0)
    if as_of > datetime.now(UTC) + AHEAD:
        raise CycleRefused(context.name, as_of.isoformat(), "that moment has not come, and every cycle until then would be locked out")
    cycle = building.cycle_of(as_of)
    while True:
        # One transaction looks and begins: two workers that begin at once must not both find nothing in their way.
        with context.database.begin() as connection:
            known = get_cycle(connection, context.name, cycle)
            if known and known.status == "done":
                return known
            newest = last_cycle(connection, context.name, "done")
            if newest and newest.as_of > as_of:
                raise CycleRefused(
                    context.name, as_of.isoformat(), f"the newest cycle is of {newest.as_of.isoformat()}, and the record only grows forward"
                )
            others = [other for other in list_cycles(connection, context.name, "running") if other.cycle != cycle]
            if not others:
                record = begin_cycle(connection, context.name, cycle, as_of, build)
                if build:
                    told = Event("asked", as_of, f"{by} asked for a new version", {"by": by})
                    record_event(connection, context.name, f"{cycle}/asked", told)
        if not others:
            ended = _finish(engine, context, record)
            if ended.status == "failed" and known is not None and known.status == "running":
                continue  # it failed in the process that left it unfinished, perhaps of a full disk: that may be over, so begin anew
            return ended
        for other in reversed(others):
            _finish(engine, context, other)


def resume(engine: Engine | Plain, context: Context) -> list[CycleRecord]:
    """Go on with cycles that a crash left unfinished."""
    with context.database.read() as connection:
        unfinished = list_cycles(connection, context.name, "running")
    return [_finish(engine, context, record) for record in reversed(unfinished)]


def _finish(engine: Engine | Plain, context: Context, record: CycleRecord) -> CycleRecord:
    workflow_id = f"cycle/{context.name}/{record.cycle}/{record.attempt}"
    try:
        engine.run(care, workflow_id, context.name, record.cycle, record.as_of.isoformat(), bool(record.facts.get("asked")), record.attempt)
    except Exception as error:
        # The step that failed could not say so itself (a full disk, a database that went away). A later try begins anew.
        with context.database.begin() as connection:
            end_cycle(connection, context.name, record.cycle, "failed", str(error), {**record.facts, "error": type(error).__name__})
        with context.database.begin() as connection:  # apart: that the cycle failed must be kept whatever comes of the rest
            tending.failed(connection, context, record.cycle, record.as_of, str(error))
        raise
    with context.database.read() as connection:
        ended = get_cycle(connection, context.name, record.cycle)
    assert ended is not None
    return ended


@workflow("care")
def care(model: str, cycle: str, moment: str, asked: bool, attempt: int) -> None:
    """The durable cycle; a step that fails is recorded and ends it."""
    context, as_of = _open[model], datetime.fromisoformat(moment)
    if _is_given_up(context, cycle, building.run_of(cycle, attempt)):
        return
    done: dict[str, Any] = {"asked": asked}
    try:
        done["new"], done["changed"], done["quarantined"] = step("gather", _gather, context, cycle, as_of)
        done["labels"] = step("label", checking.label, context, cycle, as_of)
        if step("check", checking.check, context, cycle, as_of, asked):
            done["version"] = build(model, building.run_of(cycle, attempt), cycle, moment)
            done["promoted"] = step("deploy", deploying.deploy, context, cycle, as_of, done["version"])
        step("predict", _predict, context, cycle, as_of, done)
    except KeepwellError as error:
        step("fail", _fail, context, cycle, as_of, error, done)


@workflow("build")
def build(model: str, run: str, cycle: str, moment: str) -> int | None:
    """The durable build. Answers the version's number, or None when a step refused or failed."""
    context, as_of = _open[model], datetime.fromisoformat(moment)
    if _is_given_up(context, cycle, run):
        return None
    registered: int | None = step("begin", _begin, context, run, cycle, as_of)
    if registered is not None:
        return registered
    try:
        prepared = step("prepare", building.prepare, context, run, as_of)
        trained = step("train", building.train, context, run, prepared)
        evaluated = step("evaluate", building.evaluate, context, run, as_of, prepared, trained)
        gated = step("gate", building.gate, context, run, trained, evaluated)
        number: int = step("register", building.enter, context, run, as_of, prepared, trained, evaluated, gated)
        return number
    except BackendError:
        raise  # not the build's fault: the cycle fails, and builds again when the store is back
    except KeepwellError as error:
        step("fail", _build_failed, context, run, as_of, error)
        return None


def _is_given_up(context: Context, cycle: str, run: str) -> bool:
    """Did the record give this attempt up, though the workflow library could not write that it failed (a full disk) and so takes
    it up again? It would work beside the next attempt, and both would make a version. A build that it began ends here."""
    with context.database.read() as connection:
        known = get_cycle(connection, context.name, cycle)
    if known is not None and known.status != "failed" and building.run_of(cycle, known.attempt) == run:
        return False
    building.fail(context, run, "Given up: its cycle failed, and the next attempt builds anew")
    return True


def _gather(context: Context, cycle: str, as_of: datetime) -> tuple[int, int, int]:
    gathered = gathering.gather(context, cycle, as_of)
    return gathered.new, gathered.changed, gathered.quarantined


def _begin(context: Context, run: str, cycle: str, as_of: datetime) -> int | None:
    """Keep that the build begins. Answers the version that the cycle has made already, when it begins anew: the workflow
    library may have forgotten what it did (after a restore), and an earlier attempt may have failed after building."""
    with context.database.read() as connection:
        runs = {found.run for found in list_runs(connection, context.name) if found.cycle == cycle}
        made = [version.number for version in list_versions(connection, context.name) if version.run in runs]
        decision = get_decision(connection, context.name, cycle)
    if made:
        return made[-1]
    assert decision is not None
    building.begin(context, run, cycle, as_of, decision.sentence, decision.plan)
    return None


def _build_failed(context: Context, run: str, as_of: datetime, error: KeepwellError) -> None:
    # A build that fails ends here: the champion goes on serving, and the timeline says why there is no new version.
    building.fail(context, run, error.message)
    with context.database.begin() as connection:
        sentence = f"The build failed: {error.message}"
        record_event(
            connection, context.name, f"{run}/build-failed", Event("build_failed", as_of, sentence, {"error": type(error).__name__})
        )


def _predict(context: Context, cycle: str, as_of: datetime, done: dict[str, Any]) -> None:
    """Answer what is due, go on with the trials, end the cycle's record, and see to the tables' waiting commits."""
    rows = predicting.predict(context, cycle, as_of)
    ended = deploying.conclude(context, cycle, as_of)
    rehearsing.rehearse_when_due(context, as_of)
    if ended:
        done = {**done, "trials": ended}
    sentence = f"{done['new']} new observations, {done['labels']} new labels, {rows} predictions{_aside(done)}"
    with context.database.begin() as connection:
        end_cycle(connection, context.name, cycle, "done", sentence, {**done, "predictions": rows})
        tending.done(connection, context, as_of, rows)
        due = [table for table in context.tables if table.waiting(connection) >= context.settings.store.flush_commits]
    for table in due:
        table.flush()


def _aside(done: dict[str, Any]) -> str:
    """Where the rows are when none of those that came was good."""
    if not done["quarantined"] or done["new"] or done["changed"]:
        return ""
    told = "the one row that came was" if done["quarantined"] == 1 else f"all {done['quarantined']:,} rows that came were"
    return f"; {told} set aside, `keepwell quarantine list` says why"


def _fail(context: Context, cycle: str, as_of: datetime, error: KeepwellError, done: dict[str, Any]) -> None:
    with context.database.begin() as connection:
        end_cycle(connection, context.name, cycle, "failed", error.message, {**done, "error": type(error).__name__})
        tending.failed(connection, context, cycle, as_of, error.message)
