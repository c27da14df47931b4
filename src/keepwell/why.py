"""Since when and why: the declines on record, each with its interval, its causes and where the loss went. Every door says this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepwell.diagnosis import Explanation, Ranked
    from keepwell.monitoring import Said
    from keepwell.orchestration import Context

TOP = 5  # causes shown


@dataclass(frozen=True)
class Told:
    """One decline: which version's, when it was told, when it ended (None while it lasts), in words and in facts."""

    number: int
    version: int
    told: datetime
    ended: datetime | None
    sentence: str
    explanation: Explanation
    ranked: tuple[Ranked, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        from keepwell.monitoring import plain

        rows = [{"score": one.score, "sentence": one.sentence, "is_change": one.change is not None} for one in self.ranked]
        return {
            "incident": self.number,
            "version": self.version,
            "told": self.told.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "sentence": self.sentence,
            "causes": rows,
            "explanation": plain(self.explanation),
        }


@dataclass(frozen=True)
class Why:
    """The declines of a model, the newest first; `notes` are changes that cost nothing; `facts` about the watch of the champion.
    `incidents` are those that are not closed: number, owner, whether it is acknowledged, and the next act."""

    model: str
    at: datetime
    declines: tuple[Told, ...]
    notes: tuple[tuple[datetime, str], ...]
    facts: dict[str, Any]
    incidents: tuple[dict[str, Any], ...] = ()

    @property
    def sentence(self) -> str:
        """The newest decline in one line, or that there is none."""
        if self.declines:
            newest = self.declines[0]
            ended = f" It ended on {newest.ended:%-d %B %Y}." if newest.ended else ""
            return f"{self.model} {'was' if newest.ended else 'is'} {newest.sentence}.{ended}"
        return self.gap or f"{self.model} has not declined, as far as can be proven."

    @property
    def gap(self) -> str:
        """Why nothing is watched now, in one line; empty when the version that serves is."""
        if "unwatched" in self.facts:
            return f"{self.model} is not watched: {self.facts['unwatched']}"
        return "" if self.facts else f"{self.model} is not watched yet: its first cycle with a champion begins the watch."

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the sentence."""
        return {
            "model": self.model,
            "at": self.at.isoformat(),
            "sentence": self.sentence,
            "gap": self.gap,
            "declines": [one.as_dict() for one in self.declines],
            "notes": [{"at": moment.isoformat(), "sentence": sentence} for moment, sentence in self.notes],
            "watch": self.facts,
            "incidents": list(self.incidents),
        }

    def _repr_html_(self) -> str:
        from keepwell.notebook import card

        told = [(f"{one.told:%Y-%m-%d}", f"version {one.version} {one.sentence}") for one in self.declines]
        lasts = any(one.ended is None for one in self.declines)
        return card("unwell" if lasts else "unknown" if self.gap else "well", self.sentence, told)


def why(context: Context, at: datetime | None = None, limit: int = 5) -> Why:
    """The newest declines and notes, now or as they were known at a moment.

    A decline ends when it is proven to be over, or when another version took over.
    """
    from keepwell.incidents import list_incidents
    from keepwell.monitoring import get_watch, list_signals
    from keepwell.orchestration import around_now, brief
    from keepwell.registry import CHAMPION, alias_at, list_alias_changes

    now = at or datetime.now(UTC)
    with context.database.read() as connection:
        said = list_signals(connection, context.name, until=now)
        champion = alias_at(connection, context.name, CHAMPION, now)
        served = list_alias_changes(connection, context.name, CHAMPION)
        known = get_watch(connection, context.name, champion) if champion is not None else None
        declines = [one for one in said if one.kind == "decline"]
        keys = list(dict.fromkeys((one.version, one.incident) for one in declines))[:limit]
        around = around_now(connection, context, now)
        incidents = tuple(brief(one, around) for one in list_incidents(connection, context.name, at=now))
        told = tuple(_told(context, key, said, served, now, connection) for key in keys)
    notes = tuple((one.as_of, one.sentence.removeprefix("note: ")) for one in said if one.kind == "note")[:limit]
    return Why(context.name, now, told, notes, dict(known[1]) if known else {}, incidents)


def _told(context: Context, key: tuple[int, int], said: list[Said], served: list[Any], now: datetime, connection: Any) -> Told:
    from keepwell.diagnosis import ranked
    from keepwell.monitoring import explanation_of
    from keepwell.orchestration import changes_near, ended_at

    mine = [one for one in said if (one.version, one.incident) == key]
    declines = [one for one in mine if one.kind == "decline"]
    newest, first = declines[0], declines[-1]
    explanation = explanation_of(newest.facts["explanation"])
    ended = ended_at(mine, served, now)
    causes = ranked(explanation, changes_near(context, explanation, connection))[:TOP]
    return Told(key[1], key[0], first.as_of, ended, newest.sentence.removeprefix("is "), explanation, causes)


def plan(context: Context) -> list[dict[str, Any]]:
    """How long a rise of the loss takes to prove with today's volume and budget: rows of `rise`, `batches`, `days` (None: never)."""
    found = why(context, limit=1).facts
    width = timedelta(days=found.get("batch_days", 1)) / timedelta(days=1)
    return [
        {"rise": rise, "batches": batches, "days": None if batches is None else round(batches * width)}
        for rise, batches in found.get("plan", {}).items()
    ]
