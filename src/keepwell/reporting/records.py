"""What a written check-up holds: plain facts, so that every form of it says the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

WORDS = ("better", "worse", "as before", "unknown")


@dataclass(frozen=True)
class Value:
    """A measured number with its 95 % interval (None where nothing can be said about it) and the rows it rests on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class Vital:
    """One vital sign, now and in the period before.

    Attributes
    ----------
    form : how a number is written: "number", "percent", "count" or "days".
    expected : what it was at evaluation, or None.
    word : one of `WORDS` where the sign has a good direction, else "".
    """

    name: str
    form: str
    now: Value | None
    before: Value | None
    expected: float | None = None
    word: str = ""


@dataclass(frozen=True)
class Act:
    """Something that was done, and what is known of its effect; `helped` is None where that cannot be said."""

    at: datetime
    sentence: str
    effect: str = ""
    helped: bool | None = None


@dataclass(frozen=True)
class Report:
    """A dated check-up.

    Attributes
    ----------
    headline : how the model was at the end of the period. compared : how that compares with the period before.
    points : loss over time, as dicts of time, loss, low, high, rows. expected : loss at evaluation of what served, or None.
    incidents : told in the period or still open at its end, one sentence each.
    declines : of the period, as dicts of sentence, told, ended, causes and parts (name, amount).
    drift : columns that moved against the same days a year before (or the period before), one sentence each.
    decide, unknown : one sentence each.
    """

    model: str
    task: str
    metric: str
    period: str
    since: datetime
    until: datetime
    made_at: datetime
    word: str
    headline: str
    compared: str
    served: tuple[str, ...]
    vitals: tuple[Vital, ...]
    points: tuple[dict[str, Any], ...]
    expected: float | None
    incidents: tuple[str, ...]
    declines: tuple[dict[str, Any], ...]
    done: tuple[Act, ...]
    drift: tuple[str, ...]
    drift_against: str
    decide: tuple[str, ...]
    unknown: tuple[str, ...]
    owner: str | None
    deputy: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values; moments as ISO text."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    def _repr_html_(self) -> str:
        from keepwell.notebook import card
        from keepwell.reporting.rendering import rows_of

        facts = [("Period", self.period), ("Compared", self.compared), ("Served", "; ".join(self.served) or "no version")]
        facts += [("To decide", line) for line in self.decide]
        return card(self.word, self.headline, facts, [("Vital sign", "This period", "Before", "Expected", ""), *rows_of(self.vitals)])


def report_of(facts: dict[str, Any]) -> Report:
    """A report from its plain values."""
    moments = {name: datetime.fromisoformat(facts[name]) for name in ("since", "until", "made_at")}
    vitals = tuple(Vital(**{**one, "now": _value(one["now"]), "before": _value(one["before"])}) for one in facts["vitals"])
    done = tuple(Act(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in facts["done"])
    lists = {name: tuple(facts.get(name, ())) for name in ("served", "points", "incidents", "declines", "drift", "decide", "unknown")}
    return Report(**{**facts, **moments, **lists, "vitals": vitals, "done": done})


def _value(facts: dict[str, Any] | None) -> Value | None:
    return Value(**facts) if facts is not None else None


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
