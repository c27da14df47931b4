"""The demonstration: fifty years of real days, lived by one model, and what the keeping was worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from keepwell.evaluation import BASELINES, losses
from keepwell.ingestion import key_of
from keepwell.orchestration import Context, count_cycles
from keepwell.project import Project
from keepwell.serving import joined, representative
from keepwell.storage import Event

FIRST, LAST = datetime(1949, 1, 31, tzinfo=UTC), datetime(1998, 9, 19, tzinfo=UTC)
# What may be put into the readings, as lines of keepwell.toml; the life then ends sooner.
FAULTS = {
    "sensor": """
[source.fault] # for eleven weeks the thermometer's readings come in °C
column = "temperature"
since = 1957-03-01
until = 1957-05-15
scale = 0.5556
offset = -17.78
""",
    "gauge": """
[source.turn] # from this day on a finer gauge counts misty days as wet
since = 1955-06-01
""",
}
FAULTY_LAST = datetime(1959, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Outcome:
    """What a life came to. Brier scores are means over the same answered and labelled days; lower is better."""

    cycles: int
    observations: int
    quarantined: int
    predictions: int
    labels_joined: int
    versions: int
    promotions: int
    refusals: int
    champion: int | None
    brier_champion: float
    brier_never_retrained: float
    brier_climatology: float
    brier_persistence: float
    seconds: float
    folder: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def live(project: Project, every: timedelta, tell: Callable[[datetime, list[Event]], None], until: datetime = LAST) -> Outcome:
    """Let a weather project live through the bundled readings, and reckon what came of it.

    Parameters
    ----------
    every : time between cycles. Whatever it is, each day is answered by the version that served on that day.
    tell : called after each cycle with its moment; after each build also with the new lines of the timeline.
    """
    begun, seen = time.monotonic(), 0
    for record in project.backfill(FIRST, until, every):
        is_told = "version" in record.facts or "trials" in record.facts or record.status != "done"
        events = project.history()[seen:] if is_told else []
        seen += len(events)
        tell(record.as_of, events)
    events = project.history()[seen:]
    tell(until, events)
    return reckon(project, time.monotonic() - begun)


def reckon(project: Project, seconds: float) -> Outcome:
    """The figures of a life so far.

    The kept model's score is that of the ledger. The never-retrained one is version 1 asked about the same days; the
    baselines are fitted anew each year on the labels known by then.
    """
    context = project.context
    scored = joined(representative(context.predictions.rows()), context.labels.rows()).drop_nulls("label").sort("time")
    versions, changes = project.versions(), project.serving()[1]
    with context.database.read() as connection:
        cycles = count_cycles(connection, project.name)
    naive = _baselines(context, scored)
    return Outcome(
        cycles=cycles,
        observations=context.observations.rows().height,
        quarantined=len(project.quarantine(None)),
        predictions=context.predictions.rows().height,
        labels_joined=scored.height,
        versions=len(versions),
        promotions=len(changes),
        refusals=sum(not version.passed for version in versions),
        champion=project.aliases().get("champion"),
        brier_champion=_brier(scored, scored["answer"].to_numpy()),
        brier_never_retrained=_brier(scored, _first_version(context, scored)),
        brier_climatology=_brier(scored, naive["climatology"]),
        brier_persistence=_brier(scored, naive["persistence"]),
        seconds=round(seconds, 1),
        folder=str(project.folder),
    )


def _brier(scored: pl.DataFrame, answers: np.ndarray) -> float:
    there = np.isfinite(answers)
    return round(float(losses("brier", scored["label"].to_numpy()[there], answers[there]).mean()), 5)


def _first_version(context: Context, scored: pl.DataFrame) -> np.ndarray:
    """The first version's answers to the same rows: what one would have without keeping."""
    predictor = context.predictor(1)
    rows = predictor.features(context.observations.rows())
    entity, moment = key_of(context.model.entity, context.model.time)
    answered = rows.select(pl.col(entity).alias("entity"), pl.col(moment).alias("time"), pl.Series("first", predictor.answer(rows)))
    return scored.join(answered, on=["entity", "time"], how="left", maintain_order="left")["first"].fill_null(float("nan")).to_numpy()


def _baselines(context: Context, scored: pl.DataFrame) -> dict[str, np.ndarray]:
    horizon = timedelta(days=context.model.horizon_days)
    labels = context.labels.rows().select("entity", "time", "label").sort("time")
    rows = scored.select("entity", "time", "label")
    answers = {name: np.full(rows.height, np.nan) for name in BASELINES["binary"]}
    years = rows["time"].dt.year().to_numpy()
    for year in np.unique(years):
        place = np.flatnonzero(years == year)
        chosen = rows[place]
        known = labels.filter(pl.col("time") + horizon <= chosen["time"][0])
        for name, baseline in BASELINES["binary"].items():
            answers[name][place] = baseline(known, chosen, entity="entity", time="time", horizon=horizon)
    return answers


def folder_for(folder: Path, fault: str | None = None) -> Project:
    """The demonstration's project, made in `folder` when it is not there; one that is there goes on where it was.

    Parameters
    ----------
    fault : one of `FAULTS`, put into the readings of a project that is made.
    """
    from keepwell.scaffold import init_weather

    settings = folder / "keepwell.toml"
    if not settings.is_file():
        init_weather(folder)
        if fault is not None:
            settings.write_text(settings.read_text("utf-8") + FAULTS[fault], "utf-8")
    return Project(folder)
