"""A token: a random secret that is shown once, and what is kept of it. Pure but for the randomness."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from keepwell.access.roles import CLIENT, ROLES, acts_of
from keepwell.errors import InputInvalid
from keepwell.storage import KEEPWELL

PREFIX = "kw_"  # so that people, and programs that look for leaked secrets, know what it is
ID_LETTERS = 10
LONGEST = 100  # letters of an owner


@dataclass(frozen=True)
class Token:
    """What is kept of a token. `models` is None for all; `id` is the beginning of the digest, and no secret."""

    id: str
    digest: str = field(repr=False)
    owner: str
    role: str
    models: tuple[str, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    per_minute: int | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    used_at: datetime | None = None

    def state(self, now: datetime) -> str:
        """good, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "good"

    @property
    def words(self) -> str:
        """What it is good for."""
        models = "all models" if self.models is None else ", ".join(self.models)
        until = f", until {self.expires_at:%Y-%m-%d}" if self.expires_at is not None else ""
        limit = f", {self.per_minute:,} requests a minute" if self.per_minute is not None else ""
        return f"{self.role} of {models}{until}{limit}"

    def as_dict(self, now: datetime) -> dict[str, Any]:
        """All but the digest, which helps nobody outside."""
        shown = {name: value for name, value in vars(self).items() if name != "digest"}
        return {**shown, "models": list(self.models) if self.models is not None else None, "state": self.state(now)}


def digest_of_secret(secret: bytes) -> bytes:
    """What a secret is known by.

    A fast hash without a salt is right here: the secret is 256 random bits, so there is no list of likely ones to try and none
    that two people share. Slow hashes are for passwords that people choose, and would cost each request what an answer costs.
    """
    return sha256(secret).digest()


def checked_token(
    owner: str,
    role: str | None,
    most: str | None,
    models: tuple[str, ...] | None,
    *,
    at: datetime,
    by: str,
    expires_at: datetime | None = None,
    per_minute: int | None = None,
) -> tuple[str, Token]:
    """A new secret, and what is kept of it.

    Parameters
    ----------
    most : the role of the person that `owner` is; None for a service.

    Raises
    ------
    InputInvalid : the owner has no fit name or not so high a role, or the token would never be good.
    """
    if not owner.strip() or len(owner) > LONGEST or not owner.isprintable() or owner == KEEPWELL:
        raise InputInvalid(f"'{owner[:LONGEST]}' cannot own a token", f"Name a person or service, at most {LONGEST} characters.")
    role = role or most or CLIENT
    if role not in (CLIENT, *ROLES):
        raise InputInvalid(f"'{role[:LONGEST]}' is no role", f"Roles are {', '.join((CLIENT, *ROLES))}.")
    if most is not None and not acts_of(role) <= acts_of(most):
        raise InputInvalid(f"{owner} is {most} in [people], so a token of theirs cannot be {role}", "Change `role` there first.")
    if expires_at is not None and expires_at <= at:
        raise InputInvalid("The token would have expired already", "Give it some days.")
    if per_minute is not None and per_minute < 1:
        raise InputInvalid(f"{per_minute} requests a minute are none", "Give it at least one.")
    secret = PREFIX + secrets.token_urlsafe(32)
    digest = digest_of_secret(secret.encode()).hex()
    return secret, Token(digest[:ID_LETTERS], digest, owner, role, models, at, by, expires_at, per_minute)
