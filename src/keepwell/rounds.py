"""Every model in one record, as the record alone tells: for rounds over all of them, without opening each one's project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepwell.incidents import Incident
    from keepwell.monitoring import Checkup
    from keepwell.orchestration import Context, Newest
    from keepwell.registry import AliasChange
    from keepwell.retraining import Pause
    from keepwell.status import Status

WORST = ("unwell", "unknown", "watch", "paused", "well")
MISSED = 2  # as many times what lay between its last two cycles, and a model is silent: its schedule is in its project, not here


def rounds(context: Context, at: datetime | None = None) -> list[Status]:
    """All models, the worst first: this project's in full, others from their newest cycle, check-up, champion and incidents."""
    from keepwell.status import status

    now = at or datetime.now(UTC)
    return worst_first([status(context, at), *neighbours(context, now)])


def worst_first(found: list[Status]) -> list[Status]:
    """In the order of a round."""
    return sorted(found, key=lambda one: (WORST.index(one.word), one.model))


def neighbours(context: Context, now: datetime) -> list[Status]:
    """The other models of the record, in five queries however many they are."""
    from keepwell.incidents import list_open
    from keepwell.monitoring import newest_checkups
    from keepwell.orchestration import newest_cycles
    from keepwell.registry import champions
    from keepwell.retraining import list_pauses

    with context.database.read() as connection:
        cycles = {model: found for model, found in newest_cycles(connection).items() if model != context.name}
        if not cycles:
            return []
        checkups, serving, pauses = newest_checkups(connection), champions(connection), list_pauses(connection, now)
        incidents: dict[str, list[Incident]] = {}
        for one in list_open(connection):
            incidents.setdefault(one.model, []).append(one)
    return [
        _glance(model, cycle, checkups.get(model), serving.get(model), pauses.get(model), incidents.get(model, []), now)
        for model, cycle in cycles.items()
    ]


def _glance(
    model: str,
    cycle: Newest,
    checkup: Checkup | None,
    champion: AliasChange | None,
    pause: Pause | None,
    incidents: list[Incident],
    now: datetime,
) -> Status:
    from keepwell.incidents import words_of
    from keepwell.status import Status

    word, since, because = _judge(cycle, checkup, now)
    if pause is not None:
        word, since, because = "paused", pause.since, f"{pause.words}; without that it would be {word}: {because}"
    told = [
        {"number": one.number, "clause": f"{one.number}, {one.severity}: {words_of(one)}", "owner": one.owner, "state": one.state_at(now)}
        for one in incidents
    ]
    owner = next((one.owner for one in reversed(incidents) if one.owner), None)
    return Status(
        model=model,
        at=now,
        word=word,
        since=since,
        because=because,
        checked=checkup.as_of if checkup else None,
        champion=champion.number if champion else None,
        champion_since=champion.since if champion else None,
        owner=owner,
        incidents=tuple(told),
    )


def _judge(cycle: Newest, checkup: Checkup | None, now: datetime) -> tuple[str, datetime | None, str]:
    from keepwell.status import day

    if checkup is None:
        return "unknown", None, "it has not been checked yet"
    gap = cycle.as_of - cycle.before if cycle.before is not None else None
    if gap is not None and now > (silent := cycle.as_of + max(MISSED * gap, timedelta(hours=1))):
        return "unknown", silent, f"no cycle came since {day(cycle.as_of)}, when it was {checkup.verdict}"
    if cycle.status == "failed" and checkup.verdict == "well":
        return "watch", cycle.as_of, f"the newest cycle failed: {cycle.sentence.rstrip('.')}"
    return checkup.verdict, None, checkup.sentence.rstrip(".")
