"""Who answers: the champion, or for its share of the live requests a challenger on trial."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

from keepwell.api.batching import NOBODY, Answered, Theirs, Whose
from keepwell.api.drawing import new_id
from keepwell.api.service import Service
from keepwell.deployment import takes
from keepwell.errors import DataStale, EstimatorInvalid, FunctionBroken, InputInvalid
from keepwell.serving import CANARY, LOOKED_UP, Ready, Row

log = logging.getLogger("keepwell.api")


def ask(
    service: Service, ready: Ready, rows: Sequence[Row], whose: Sequence[Whose] | None = None, *, is_whole: bool = False
) -> Awaitable[Answered]:
    """Answers to rows.

    Parameters
    ----------
    is_whole : one version answers all rows of the request, for protocols whose answers name one version; else each row has its own.

    Raises
    ------
    InputInvalid, EstimatorInvalid, StorageUnavailable : see `Batcher.ask`.
    """
    challenger = service.champion.challenger
    if challenger is None or challenger.number == ready.number or not rows:
        return service.batcher.ask(ready, rows, whose)
    return _shared(service, ready, challenger, rows, whose, is_whole=is_whole)


async def _shared(
    service: Service, ready: Ready, challenger: Ready, rows: Sequence[Row], whose: Sequence[Whose] | None, *, is_whole: bool
) -> Answered:
    ids = [new_id() for _ in rows]
    named = [one.entity or drawn for one, drawn in zip(whose or [NOBODY] * len(rows), ids, strict=True)]
    name, share = service.project.name, service.project.settings.promotion.canary_share
    chosen = [takes(name, challenger.number, one, share) for one in (named[:1] * len(rows) if is_whole else named)]
    theirs = [at for at, is_theirs in enumerate(chosen) if is_theirs]
    ours = [at for at, is_theirs in enumerate(chosen) if not is_theirs]

    async def asked(who: Ready, places: list[int], origin: str) -> list[tuple[int, str | None, float]]:
        given = [rows[at] for at in places]
        if who is challenger and whose and whose[0].origin == LOOKED_UP:  # its own code makes the features
            given = [one.row for one in await service.recent.find(who, [whose[at].entity for at in places], datetime.now(UTC))]
        elif who.signature.names != ready.signature.names:
            given = [tuple(row[ready.signature.place[column]] for column in who.signature.names) for row in given]
        drawn = [ids[at] for at in places]
        found = await service.batcher.ask(who, given, [whose[at] for at in places] if whose else None, ids=drawn, origin=origin)
        return list(zip(places, found.ids, found.values, strict=True))

    found: list[tuple[int, str | None, float]] = []
    if theirs:
        try:
            found += await asked(challenger, theirs, CANARY)
        except (
            InputInvalid,
            EstimatorInvalid,
            FunctionBroken,
            DataStale,
        ) as error:  # nobody must get an error because of a version that is only on trial
            log.warning("Version %d, on trial, could not answer; the champion did: %s", challenger.number, error)
            ours, theirs = list(range(len(rows))), []
    if ours:
        found += await asked(ready, ours, "")
    found.sort()
    version = ready.number if ours else challenger.number
    return Answered([one for _, one, _ in found], [value for *_, value in found], version, Theirs(challenger.number, theirs))
