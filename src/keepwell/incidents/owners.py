"""From the cause to the person: the kind of cause decides who is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keepwell.settings import OwnerSection, PartySection  # the settings library takes a tenth of a second to load

PARTIES = ("data", "model", "serving", "keepwell")
# By kind where the class does not decide: silence may be anybody's.
BY_KIND = {
    "late data": "data",
    "missing labels": "data",
    "no traffic": "serving",
    "constant answers": "model",
    "broken answers": "model",
    "no answers": "model",
    "old model": "model",
    "missed cycle": "keepwell",
    "dead worker": "keepwell",
    "dead notifier": "keepwell",
}
BY_CLASS = {
    "data_quality": "data",
    "source": "data",
    "covariate_shift": "model",
    "label_shift": "model",
    "concept_shift": "model",
    "unknown": "model",
    "skew": "serving",
    "keepwell": "keepwell",
}


@dataclass(frozen=True)
class Owned:
    """Who is told about a kind of cause, and who stands in; None where the settings name nobody."""

    party: str
    owner: str | None
    deputy: str | None

    @property
    def people(self) -> tuple[str, ...]:
        """Both, as far as there are any."""
        return tuple(name for name in dict.fromkeys((self.owner, self.deputy)) if name)


def party_of(cls: str, kind: str) -> str:
    """Whose a cause is: one of `PARTIES`.

    Examples
    --------
    >>> party_of("data_quality", "unit_change"), party_of("concept_shift", "concept_shift"), party_of("silence", "missed cycle")
    ('data', 'model', 'keepwell')
    """
    return BY_KIND.get(kind) or BY_CLASS.get(cls, "model")


def owner_of(settings: OwnerSection, cls: str, kind: str) -> Owned:
    """Who is told about a cause: those named for its party, else the model's owner and deputy.

    A party with an owner of its own and no deputy has the model's deputy, else the model's owner, to stand in.
    """
    party = party_of(cls, kind)
    own: PartySection = getattr(settings, party)
    owner = own.owner or settings.owner
    standing_in = (own.deputy, settings.deputy, settings.owner)
    deputy = next((name for name in standing_in if name and name != owner), None)
    return Owned(party, owner, deputy)


def orphans(settings: OwnerSection) -> tuple[str, ...]:
    """Parties that nobody owns."""
    return tuple(party for party in PARTIES if not (getattr(settings, party).owner or settings.owner))
