"""Trials in the cycle: answer beside the champion, unseen, from what the ledger holds, and look at what the labels prove.

A live request is never slowed down by it: its shadow is answered in the next cycle, from the inputs that were kept with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.deployment import Judged, Terms, Trial, blocks_of, judge, keep_trial, living_trials, terms
from keepwell.errors import KeepwellError
from keepwell.evaluation import losses
from keepwell.ingestion import key_of
from keepwell.orchestration.context import Context
from keepwell.serving import joined, paired, shadow_answers
from keepwell.storage import Event, literal, record_event
from keepwell.training import from_bytes

PATIENCE = timedelta(days=14)  # past its label's horizon a day waits so long for labels that are missing
ENOUGH = 0.9  # share of a day's labels with which it is counted before that
BOUNDS = {"brier": 1.0, "log_loss": float(np.log(100.0))}  # the most that one answer can lose more than another
DAY = timedelta(days=1)


def terms_of(context: Context, number: int, beside: int) -> dict[str, Any]:
    """What a trial of version `number` beside `beside` is held to, from the days that the gate judged either on."""
    metric, pair = context.metric, None
    for judged, other, sign in ((number, beside, 1.0), (beside, number, -1.0)):
        facts = context.version(judged).facts
        if facts.get("parent") == other and facts.get("champion_metrics"):
            pair = (judged, sign)
            break
    sheet = from_bytes(context.artifacts.get(context.version(pair[0] if pair else number).facts["sheet"]))
    y = sheet["y"].to_numpy()
    mine = losses(metric, y, sheet["challenger"].to_numpy())
    if pair is None:
        found, loss = Terms(BOUNDS.get(metric, float(mine.max(initial=0.0)) or 1.0)), float(mine.mean())
    else:
        theirs = losses(metric, y, sheet["champion"].to_numpy())
        both = np.isfinite(theirs)
        gains = pair[1] * (theirs - mine)[both]
        bound = BOUNDS.get(metric, float(max(mine[both].max(initial=0.0), theirs[both].max(initial=0.0))) or 1.0)
        found = terms(_days(sheet["time"])[both], gains, bound)
        loss = float((theirs if pair[1] > 0 else mine)[both].mean())
    return {"metric": metric, "error": context.settings.promotion.error, **vars(found), "loss": loss, "counted": []}


def _days(times: pl.Series) -> np.ndarray:
    return times.dt.epoch("us").to_numpy() / 86400e6


def answer_unseen(context: Context, trial: Trial, cycle: str, as_of: datetime) -> int:
    """Answer what the champion answered since the trial began, and keep it apart from what was told. Answers how many."""
    since = datetime.fromisoformat(trial.facts["from"])
    with context.database.read() as connection:
        told = context.predictions.rows(since=since, until=min(as_of, trial.until), connection=connection)
        unseen = context.shadows.rows(since=since, connection=connection)
    if told.is_empty():
        return 0
    told = told.filter(pl.col("version").is_in([trial.version, trial.beside]))
    parts = []
    for number, role in ((trial.version, trial.kind), (trial.beside, "champion")):
        have = [told.filter(pl.col("version") == number)["prediction_id"]]
        if not unseen.is_empty():
            have.append(unseen.filter(pl.col("version") == number)["prediction_id"])
        rows = told.filter(~pl.col("prediction_id").is_in(pl.concat(have).implode()))
        if rows.height:
            rows, answer = _answers(context, number, rows, as_of)
            parts.append(shadow_answers(rows, answer, number, role))
    found = pl.concat(parts) if parts else pl.DataFrame()
    if found.height:
        with context.database.begin() as connection:
            context.shadows.append(connection, f"{trial.key}/{cycle}", found, as_of)
    return found.height


def _answers(context: Context, number: int, rows: pl.DataFrame, as_of: datetime) -> tuple[pl.DataFrame, np.ndarray]:
    """The rows that a version can answer, and its answers: from the inputs that were kept where it has the same, else by its own code."""
    predictor = context.predictor(number)
    asked = {other: context.version(other) for other in rows["version"].unique().to_list()}
    by_code = [other for other, version in asked.items() if version.code == predictor.version.code]
    by_name = [other for other, version in asked.items() if version.facts["signature"] == predictor.version.facts["signature"]]
    is_batch, is_same = pl.col("origin") == "batch", pl.col("version").is_in(by_code)
    kept = rows.filter(is_same | (~is_batch & pl.col("version").is_in(by_name)))
    names = predictor.signature
    kind = pl.Struct({name: getattr(pl, kind.split("(")[0], pl.String) for name, kind in names.items()})
    given = kept.with_columns(pl.col("inputs").str.json_decode(kind)).select("inputs").unnest("inputs")
    parts, answers = [kept], [predictor.answer(given)]
    anew = rows.filter(is_batch & ~is_same)
    if anew.height:
        entity, time = key_of(context.model.entity, context.model.time)
        first: datetime = anew["time"].min()  # type: ignore[assignment]
        reach = first - timedelta(days=predictor.model.lookback_days)
        made = predictor.features(context.observations.rows(since=reach, until=as_of))
        made = made.filter(pl.col(time) >= literal(first))
        answered = made.select(pl.col(entity).alias("entity"), pl.col(time).alias("time")).with_columns(_answer=predictor.answer(made))
        anew = anew.join(answered, on=["entity", "time"], maintain_order="left")
        parts.append(anew.drop("_answer"))
        answers.append(anew["_answer"].to_numpy())
    return pl.concat(parts), np.concatenate(answers)


def look(context: Context, trial: Trial, as_of: datetime, connection: sa.Connection) -> tuple[dict[str, Any], Judged]:
    """Count the days whose labels have come, each once, and judge. Answers what is known now, and the judgement.

    A day is counted when nearly all its labels are in, or have not come two weeks after they should; at the end of the trial
    with those that are in.
    """
    known = dict(trial.facts)
    width, horizon = int(known["block_days"]), timedelta(days=context.model.horizon_days)
    since = datetime.fromisoformat(known["from"])
    told = context.predictions.rows(since=since, until=trial.until, connection=connection)
    unseen = context.shadows.rows(since=since, connection=connection)
    counted = [tuple(one) for one in known["counted"]]
    if not told.is_empty() and not unseen.is_empty():
        pairs = joined(paired(told, unseen, trial.beside, trial.version), context.labels.rows(since=since, connection=connection))
        pairs = pairs.filter(pl.col("time") >= literal(trial.since))
        wrong = pairs.filter(~pl.col("other").is_finite()).height
        if wrong:
            known["silent"] = f"{wrong} of its answers are no numbers"
        counted += _new_blocks(pairs.filter(pl.col("other").is_finite()), known, {one[0] for one in counted}, width, horizon, as_of, trial)
    known["counted"] = [list(one) for one in counted]
    known["from"] = max(trial.since, since, as_of - PATIENCE - horizon - width * DAY).isoformat()
    judged = judge([one[2] for one in counted], known["reach"], known["error"])
    return known, judged


def _new_blocks(
    pairs: pl.DataFrame, known: dict[str, Any], seen: set[int], width: int, horizon: timedelta, as_of: datetime, trial: Trial
) -> list[tuple[int, int, float]]:
    if pairs.is_empty():
        return []
    day = _days(pairs["time"])
    number = np.floor(day / width + 1e-9).astype(int)
    has = pairs["label"].is_not_null().to_numpy()
    is_last = as_of >= trial.until
    ready = []
    for block in np.setdiff1d(number, sorted(seen)):
        mine = number == block
        end = datetime.fromtimestamp((block + 1) * width * 86400, as_of.tzinfo) + horizon
        if has[mine].any() and (is_last or (as_of >= end and (has[mine].mean() >= ENOUGH or as_of >= end + PATIENCE))):
            ready.append(block)
    chosen = has & np.isin(number, ready)
    rows = pairs.filter(pl.Series(chosen))
    y = rows["label"].to_numpy()
    gains = losses(known["metric"], y, rows["answer"].to_numpy()) - losses(known["metric"], y, rows["other"].to_numpy())
    found, counts, means = blocks_of(day[chosen], gains, width)
    return [(int(one), int(count), float(mean)) for one, count, mean in zip(found, counts, means, strict=True)]


def keep_looking(context: Context, trial: Trial, cycle: str, as_of: datetime) -> tuple[Trial, Judged]:
    """Answer unseen and look; what a version that cannot answer says is kept, and the trial goes on."""
    problem = None
    try:
        answer_unseen(context, trial, cycle, as_of)
    except KeepwellError as error:
        problem = error.message
    with context.database.begin() as connection:
        known, judged = look(context, trial, as_of, connection)
        if problem is not None:
            known["silent"] = problem
            told = Event("silent", as_of, f"Version {trial.version} cannot answer in its trial: {problem}", {"version": trial.version})
            record_event(connection, context.name, f"{trial.key}/silent/{problem[:80]}", told)
        elif "silent" in trial.facts and known["silent"] == trial.facts["silent"]:
            known.pop("silent")  # it answers again
        keep_trial(connection, context.name, trial.key, trial.status, known)
    return Trial(**{**vars(trial), "facts": known}), judged


def found_in(trial: Trial, judged: Judged) -> str:
    """What a trial shows, in a clause."""
    known = trial.facts
    if not judged.blocks:
        return "no label of its days is in"
    loss = known["loss"] or 1.0
    what = "day" if known["block_days"] == 1 else f"stretch of {known['block_days']} days"
    several = (
        what if judged.blocks == 1 else what.replace("day", "days", 1) if known["block_days"] == 1 else what.replace("stretch", "stretches")
    )
    side = "lower" if judged.gain >= 0 else "higher"
    low, high = (f"{bound / loss:+.1%}" for bound in sorted((-judged.low, -judged.high)))
    return f"{known['metric']} {abs(judged.gain) / loss:.1%} {side} on {judged.blocks} {several} ({low} to {high})"


def living(context: Context) -> list[Trial]:
    """The trials that go on."""
    with context.database.read() as connection:
        return living_trials(connection, context.name)
