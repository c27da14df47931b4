"""Lives of incidents for tests: sightings by the day, and what they change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keepwell.incidents import ACTS, Change, End, Fault, Incident, absorbed, join
from keepwell.settings import IncidentsSection, OwnerSection, PartySection

DAY = timedelta(days=1)
T0 = datetime(2026, 5, 1, 6, tzinfo=UTC)
OWNERS = OwnerSection(owner="Mira", deputy="Jo", data=PartySection(owner="Dan"))


def decline(day: int, *, number: int = 1, began: tuple[int, int] = (-3, -1), cls: str = "concept_shift", column: str = "", **more) -> Fault:
    """A decline told on a day, with the days between which it began."""
    found = {"severity": "warning", "kind": cls, "words": f"{cls} {column}".strip(), "headline": "is declining"} | more
    first, last = (T0 + place * DAY for place in began)
    return Fault(key=f"{day}/watch", id=f"watch/1/{number}", family="model", cls=cls, column=column, first=first, last=last, **found)


def finding(day: int, column: str = "humidity", kind: str = "unit change") -> Fault:
    """A finding of the contract on a day."""
    return Fault(
        key=f"{day}/contract/{kind}/{column}",
        id=f"contract/{kind}/{column}",
        family="model",
        cls="data_quality",
        kind=kind,
        column=column,
        first=T0 + (day - 1) * DAY,
        last=T0 + day * DAY,
        headline="gets broken data",
        words=f"{kind} in {column}",
    )


def silent(kind: str = "late data", family: str = "source", severity: str = "warning") -> Fault:
    """A silence, which looks the same each time it is looked at."""
    name = f"silence/{kind}"
    return Fault(
        key=name,
        id=name,
        family=family,
        cls="silence",
        kind=kind,
        first=T0,
        last=T0,
        severity=severity,
        headline="is unknown",
        words=kind,
    )


@dataclass
class Life:
    """The incidents of a model while days pass."""

    incidents: dict[int, Incident]
    changes: list[Change]

    def day(self, number: int, *faults: Fault, ends: tuple[End, ...] = ()) -> list[Change]:
        made = join(
            "rain",
            self.incidents.values(),
            faults,
            ends,
            settings=IncidentsSection(),
            owners=OWNERS,
            number=len(self.incidents) + 1,
            now=T0 + number * DAY,
        )
        for change in made:
            self.incidents[change.incident.number] = change.incident
        self.changes += made
        return made

    def act(self, number: int, act: str, *what: object, day: int, by: str = "Mira") -> None:
        changes = [ACTS[act](self.incidents[number], *what, by=by, now=T0 + day * DAY)]
        if act == "reopen":
            changes += absorbed(changes[0].incident, [changes[0].incident, *self.open], T0 + day * DAY)
        self.incidents |= {change.incident.number: change.incident for change in changes}
        self.changes += changes

    @property
    def open(self) -> list[Incident]:
        return [one for one in self.incidents.values() if one.is_open]


def over(fault: Fault, day: int, because: str = "it recovered") -> tuple[End, ...]:
    return (End(fault.id, T0 + day * DAY, because),)
