"""Entities looked up: the newest feature row of each, computed by the version's own code from the observations that gathers brought.

Rows are held in memory once somebody has asked for an entity, and made anew when a gather has brought more or another version answers.
So a look-up costs what a row that came with its features costs, and says how old its data is.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from anyio import to_thread

from keepwell.api.batching import Whose
from keepwell.errors import DataStale, InputInvalid
from keepwell.ingestion import key_of, last_gather
from keepwell.orchestration import Context
from keepwell.serving import LOOKED_UP, Predictor, Ready, Row
from keepwell.settings import Settings
from keepwell.storage import literal

SPAN = timedelta(days=30)  # entities whose newest observation is older are read from the tables when they are asked for


@dataclass(frozen=True, slots=True)
class Held:
    """An entity's newest feature row, and the moment of the data it rests on."""

    entity: str
    time: datetime
    row: Row

    @property
    def whose(self) -> Whose:
        """Whose row of when, for the ledger."""
        return Whose(self.entity, self.time.isoformat(timespec="microseconds"), LOOKED_UP)


class Recent:
    """The newest feature rows of the model's entities.

    Parameters
    ----------
    context : its settings say how many entities are held (``[lookup] entities``), and what is too old.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: dict[int, tuple[int, dict[str, Held]]] = {}  # version -> commit that its rows are of, and these; once somebody asked
        self._loading = asyncio.Lock()

    @property
    def freshness(self) -> Freshness:
        """How old the data may be, as the settings have it now."""
        return Freshness.of(self._context.settings)

    async def find(self, ready: Ready, entities: Sequence[str], now: datetime) -> list[Held]:
        """The newest row of each entity, in their order.

        Raises
        ------
        InputInvalid : nothing is stored of one of them.
        DataStale : one's data is older than the limit, and the settings say that such a request is refused.
        """
        _, held = self._kept.get(ready.number) or await self._made(ready)
        found = {name: held[name] for name in entities if name in held}
        if missing := [name for name in dict.fromkeys(entities) if name not in found]:
            found |= held_of(await to_thread.run_sync(newest_rows, self._context, ready.predictor, missing))
            if absent := [name for name in missing if name not in found]:
                raise unknown(absent)
        chosen = [found[name] for name in entities]
        self.freshness.check(((one.entity, one.time) for one in chosen), now)
        return chosen

    async def _made(self, ready: Ready) -> tuple[int, dict[str, Held]]:
        async with self._loading:  # one makes them, whoever comes meanwhile waits for that
            kept = self._kept.get(ready.number)
            return kept if kept is not None else await to_thread.run_sync(self._load, ready)

    def look(self, *answering: Ready | None) -> None:
        """Take up what gathers have brought, for the versions that answer. Blocks; not for the event loop.

        Costs nothing until somebody has asked for an entity.
        """
        versions = {one.number: one for one in answering if one is not None}
        if not self._kept or not versions:
            return
        commit = self._context.observations.last_commit()
        for number, ready in versions.items():
            if self._kept.get(number, (None,))[0] != commit:
                self._load(ready)
        for number in self._kept.keys() - versions.keys():
            self._kept.pop(number, None)

    def _load(self, ready: Ready) -> tuple[int, dict[str, Held]]:
        commit = self._context.observations.last_commit()
        with self._context.database.read() as connection:
            gathered = last_gather(connection, self._context.name)
        newest, most = gathered.newest if gathered else None, self._context.settings.lookup.entities
        rows = pl.DataFrame() if newest is None or not most else newest_rows(self._context, ready.predictor, since=newest - SPAN)
        if rows.height > most:
            rows = rows.sort("time", descending=True).head(most)
        made = self._kept[ready.number] = commit, held_of(rows)
        return made


def newest_rows(
    context: Context, predictor: Predictor, entities: Iterable[str] | None = None, *, since: datetime | None = None
) -> pl.DataFrame:
    """The newest feature row of each entity, or of these: entity (text), time, features.

    They are made from everything within their look-back, other entities' observations too, as training does it.

    Parameters
    ----------
    since : entities without an observation from then on are left out.
    """
    entity, time = key_of(predictor.model.entity, predictor.model.time)
    lookback = timedelta(days=predictor.model.lookback_days)
    stored = context.observations.rows(since=None if since is None else since - lookback)
    asked = None if entities is None else pl.col(entity).cast(pl.String).is_in(list(entities))
    if asked is not None and not stored.is_empty():
        latest = stored.filter(asked).group_by(entity).agg(pl.col(time).max())[time]
        since, until = latest.min(), latest.max()  # type: ignore[assignment]
        if since is None or not isinstance(until, datetime):
            return pl.DataFrame()
        stored = stored.filter(pl.col(time).is_between(literal(since - lookback), literal(until)))
    if stored.is_empty():
        return stored
    rows = predictor.features(stored)
    rows = rows if since is None else rows.filter(pl.col(time) >= literal(since))
    rows = (rows if asked is None else rows.filter(asked)).sort(time).unique(entity, keep="last")
    return rows.select(pl.col(entity).cast(pl.String).alias("entity"), pl.col(time).alias("time"), *predictor.signature)


def held_of(rows: pl.DataFrame) -> dict[str, Held]:
    """The same as rows that a runtime takes, by entity."""
    return {name: Held(name, moment, tuple(map(_plain, row))) for name, moment, *row in rows.iter_rows()}


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


# --- how old is too old -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the data of a look-up may be, and what happens when it is older."""

    limit: timedelta
    refuses: bool

    @classmethod
    def of(cls, settings: Settings) -> Freshness:
        """As the settings have it; without a limit of its own the check-up's counts."""
        days = settings.lookup.max_age_days or settings.check.max_age_days
        return cls(timedelta(days=days), settings.lookup.when_stale == "refuse")

    def told(self, time: datetime, now: datetime) -> dict[str, Any]:
        """What an answer says of its data: the moment it is of, its age, and whether that is beyond the limit."""
        age = now - time
        return {
            "data_as_of": time.isoformat(timespec="microseconds"),
            "data_age_s": round(age.total_seconds(), 3),
            "is_stale": age > self.limit,
        }

    def check(self, named: Iterable[tuple[str, datetime]], now: datetime) -> None:
        """Refuse data that is too old, when that is asked for.

        Raises
        ------
        DataStale
        """
        for entity, time in named if self.refuses else ():
            if now - time > self.limit:
                raise DataStale(entity, time.isoformat(), self.limit.total_seconds() / 86400)


def unknown(names: Sequence[str]) -> InputInvalid:
    """The refusal of entities of which nothing is stored."""
    told = ", ".join(name[:50] for name in names[:5])
    return InputInvalid(f"No observation is stored of {told}", "Send 'rows' with their features, or gather them first.")
