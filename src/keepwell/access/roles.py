"""Which act needs which role. This table is the only one: HTTP, pages and the command line ask it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from keepwell.errors import RoleRefused

ROLES = ("viewer", "operator", "maintainer", "admin")  # each may do what those before it may
CLIENT = "client"  # beside them: a program that asks and labels, and may not look


@dataclass(frozen=True)
class Act:
    """Something that is done: in words that follow "may not", the least role that may, and whether a client may too."""

    words: str
    needs: str
    client: bool = False


ACTS: dict[str, Act] = {
    "describe": Act("ask what the model takes and gives", "viewer", client=True),
    "look": Act("look at the model, its record and its pages", "viewer"),
    "ask": Act("ask for predictions", "operator", client=True),  # each is kept in the record, so asking is more than looking
    "label": Act("post labels", "operator", client=True),
    "care": Act("act on incidents", "operator"),
    "quarantine": Act("decide about quarantined rows", "operator"),
    "run": Act("run a cycle", "operator"),
    "retrain": Act("build a version whatever the policy says", "maintainer"),
    "pause": Act("pause or resume the model", "operator"),
    "rollback": Act("roll back", "operator"),
    "approve": Act("approve or reject a version", "maintainer"),
    "promote": Act("promote a version", "maintainer"),
    "override": Act("let a version live that the gate refused", "admin"),
    "manage": Act("do what no other role is named for", "admin"),
}


def may(role: str, act: str) -> bool:
    """Does a role allow an act?

    Examples
    --------
    >>> may("operator", "rollback"), may("viewer", "promote"), may("client", "ask"), may("viewer", "ask"), may("client", "look")
    (True, False, True, False, False)
    """
    if role == CLIENT:
        return ACTS[act].client
    return ROLES.index(role) >= ROLES.index(ACTS[act].needs)


@cache
def acts_of(role: str) -> frozenset[str]:
    """All that a role may do."""
    return frozenset(act for act in ACTS if may(role, act))


def capped(role: str, most: str | None) -> str:
    """A token's role, never above that of the person who owns it; `most` is None for an owner who is no person of the settings.

    A client stays one; what a person may not do, a client of theirs may not either.

    Examples
    --------
    >>> capped("admin", "operator"), capped("viewer", "operator"), capped("client", "viewer"), capped("admin", None)
    ('operator', 'viewer', 'client', 'admin')
    """
    if most is None or role == CLIENT:
        return role
    return ROLES[min(ROLES.index(role), ROLES.index(most))]


def refuse_role(who: str, role: str, act: str) -> None:
    """Refuse what a role does not allow.

    Raises
    ------
    RoleRefused
    """
    if not may(role, act):
        raise RoleRefused(who, role, ACTS[act].words, ACTS[act].needs)
