"""Kept answers, made again from the tables: the features as the version's own code computes them, and its answer to them.

A caller who computes features in another way than training did gets answers that are wrong though nothing is broken. So a sample of
what was served is computed again in each cycle, and any difference names its feature; `keepwell explain` does the same for one answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa

from keepwell.errors import KeepwellError
from keepwell.ingestion import key_of
from keepwell.orchestration.context import Context
from keepwell.orchestration.replaying import SAME, later_known
from keepwell.orchestration.watching import decoded
from keepwell.serving import BY_HAND, LOOKED_UP, Predictor
from keepwell.storage import COMMIT, KNOWN, Event, record_event
from keepwell.training import TOLERANCE

ANSWER = "answer"  # among the features that differ: the version does not give the kept answer to the kept inputs
MADE_HERE = ("batch", LOOKED_UP)  # origins whose features were computed from the tables, as they were then


@dataclass(frozen=True)
class Retraced:
    """One kept answer beside what is computed now.

    Attributes
    ----------
    differ : feature -> (as served, as computed from the tables), where they differ.
    computed : all features as computed from the tables; None when they could not be: `why` says why.
    again : the version's answer to the kept inputs; None when it cannot be asked.
    offline : its answer to the features computed from the tables.
    """

    prediction_id: str
    made_at: datetime
    version: int
    answer: float | None
    differ: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    computed: Mapping[str, Any] | None = None
    again: float | None = None
    offline: float | None = None
    why: str = ""

    @property
    def is_same_answer(self) -> bool | None:
        """Does the version answer the kept inputs as it did? None when it cannot be asked."""
        return None if self.again is None or self.answer is None else _is_near(self.answer, self.again, SAME)


def retrace(context: Context, rows: pl.DataFrame, connection: sa.Connection) -> list[Retraced]:
    """Compute rows of the ledger again, in their order."""
    found: dict[str, Retraced] = {}
    for (number,), mine in rows.group_by("version", maintain_order=True):
        found |= {one.prediction_id: one for one in _of_version(context, int(number), mine, connection)}
    return [found[name] for name in rows["prediction_id"]]


def _of_version(context: Context, number: int, rows: pl.DataFrame, connection: sa.Connection) -> Iterator[Retraced]:
    told = rows.select("prediction_id", "made_at", "version", "answer").to_dicts()
    try:
        predictor = context.predictor(number)
        served = decoded(context, number, rows)
        again = predictor.answer(served).tolist()
        computed, why = _computed(context, predictor, rows, connection)
    except (
        KeepwellError,
        pl.exceptions.PolarsError,
    ) as error:
        # Swept, an application's own, or inputs of other kinds: said, and the others go on.
        yield from (Retraced(**one, why=getattr(error, "message", None) or str(error)) for one in told)
        return
    for one, kept, second, made, said in zip(told, served.to_dicts(), again, computed, why, strict=True):
        if made is None:
            yield Retraced(**one, again=second, why=said)
        else:
            features, offline = made
            differ = {name: (kept[name], features[name]) for name in kept if not is_same(kept[name], features[name])}
            yield Retraced(**one, differ=differ, computed=features, again=second, offline=offline)


def _computed(
    context: Context, predictor: Predictor, rows: pl.DataFrame, connection: sa.Connection
) -> tuple[list[tuple[dict[str, Any], float] | None], list[str]]:
    """For each row its features and the answer to them, computed from the tables, or why not."""
    why = ["it names no row" if not entity else _asked_by_hand(origin) for entity, origin in rows.select("entity", "origin").iter_rows()]
    named = rows.filter(pl.Series([not one for one in why], dtype=pl.Boolean))
    made: list[tuple[dict[str, Any], float] | None] = [None] * rows.height
    if named.is_empty():
        return made, why
    entity, time = key_of(predictor.model.entity, predictor.model.time)
    lookback = timedelta(days=predictor.model.lookback_days)
    first, until = named["time"].min(), named["time"].max()
    assert isinstance(first, datetime)
    assert isinstance(until, datetime)
    observations = context.observations.rows(since=first - lookback, until=until, connection=connection)
    features = predictor.features(observations) if observations.height else pl.DataFrame()
    if features.height:
        features = features.filter(pl.col(time).is_in(named["time"].implode()))
    if features.is_empty():
        return made, [one or "the tables hold no such row" for one in why]
    inputs = features.select(list(predictor.signature))
    answers = predictor.answer(inputs).tolist()
    keys = zip(features[entity].cast(pl.String), features[time], strict=True)
    known = {key: (row, value) for key, row, value in zip(keys, inputs.iter_rows(named=True), answers, strict=True)}
    late = _moved(context, rows, observations, time, lookback, connection)
    for place, (whose, moment) in enumerate(rows.select("entity", "time").iter_rows()):
        if why[place]:
            continue
        if late[place]:
            why[place] = "its data changed after it was answered"
        elif (found := known.get((whose, moment))) is None:
            why[place] = "the tables hold no such row"
        else:
            made[place] = found
    return made, why


def _asked_by_hand(origin: str) -> str:
    return "a person asked what would be" if origin == BY_HAND else ""


def _moved(
    context: Context, rows: pl.DataFrame, observations: pl.DataFrame, time: str, lookback: timedelta, connection: sa.Connection
) -> np.ndarray:
    """For which rows did their data change after they were answered?

    Where the features were computed here, by anything that came later; where the caller brought them, by what came a second time only:
    that the tables learn of a moment after the caller did is the usual case.
    """
    known = observations.select(pl.col(time).alias("time"), KNOWN)
    is_made_here = rows["origin"].is_in(list(MADE_HERE)).to_numpy()
    again = context.observations.restated(connection, since=known["time"].min(), until=known["time"].max())  # type: ignore[arg-type]
    restated = again.select(pl.col(time).alias("time"), KNOWN)
    return np.where(is_made_here, later_known(rows, known, lookback), later_known(rows, restated, lookback))


def is_same(served: Any, computed: Any) -> bool:
    """Are two values of a feature the same? Sums over another stretch of history may differ in their last digits; NaN is a missing value.

    Examples
    --------
    >>> is_same(0.1 + 0.2, 0.3), is_same(None, float("nan")), is_same(1.0, 1.001), is_same("grey", "blue"), is_same(1, None)
    (True, True, False, False, False)
    """
    served, computed = (None if isinstance(one, float) and math.isnan(one) else one for one in (served, computed))
    if isinstance(served, int | float) and isinstance(computed, int | float):
        return _is_near(float(served), float(computed), TOLERANCE)
    return bool(served == computed)


def _is_near(a: float, b: float, tolerance: float) -> bool:
    return a == b or abs(a - b) <= tolerance * max(abs(a), abs(b), 1.0)  # NaN is near nothing


# --- what a cycle makes of it -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Skew:
    """What came of a sample.

    Attributes
    ----------
    rows : answers that were given anew. followed : those of them whose features were computed anew as well.
    differ : feature, or `ANSWER` -> rows that differ, and the first of them: served, computed, prediction_id, since.
    """

    rows: int
    followed: int
    differ: Mapping[str, Mapping[str, Any]]

    @property
    def sentence(self) -> str:
        """What came of it, in words."""
        many = f"{self.rows:,} served answers were made again from the data"
        if not self.differ:
            return f"{many}, {self.followed:,} of them with their features: all are the same"
        differ = [f"{name} differs in {one['rows']:,}" for name, one in self.differ.items()]
        return f"{many}: {', '.join(differ)}"


def fresh(answered: pl.DataFrame, most: int) -> pl.DataFrame | None:
    """A sample of what was served since the newest cycle that answered; None when nothing was.

    Parameters
    ----------
    answered : rows of the ledger with their commits. most : rows, spread evenly over what was served.
    """
    if not most or answered.is_empty() or (is_batch := answered["origin"] == "batch").all():
        return None
    newest = answered.filter(is_batch)[COMMIT].max()
    served = answered.filter(~is_batch)
    if newest is not None:
        served = served.filter(pl.col(COMMIT) > newest)
    return None if served.is_empty() else served.gather_every(-(-served.height // most))


def skew(context: Context, answered: pl.DataFrame, connection: sa.Connection) -> Skew | None:
    """Compute a sample of what was served anew; None when nothing was served."""
    rows = fresh(answered, context.settings.serve.replayed_rows)
    return None if rows is None else skew_of(retrace(context, rows, connection))


def tell_skew(connection: sa.Connection, model: str, key: str, as_of: datetime, found: Skew) -> None:
    """Put on the timeline that what is served began to differ, or agrees again."""
    facts = {"rows": found.rows, "followed": found.followed, "differ": {name: one["rows"] for name, one in found.differ.items()}}
    record_event(connection, model, key, Event("replayed", as_of, found.sentence, {**facts, "passed": not found.differ}))


def skew_of(retraced: Sequence[Retraced]) -> Skew:
    """Count the differences by feature."""
    features: dict[str, dict[str, Any]] = {}
    compared = [one for one in retraced if one.again is not None]
    for one in sorted(compared, key=lambda one: one.made_at):
        pairs = dict(one.differ) | ({} if one.is_same_answer else {ANSWER: (one.answer, one.again)})
        for name, (served, computed) in pairs.items():
            first = {"rows": 0, "served": served, "computed": computed, "prediction_id": one.prediction_id, "since": one.made_at}
            known = features.setdefault(name, first)
            known["rows"] += 1
    return Skew(len(compared), sum(one.computed is not None for one in compared), features)
