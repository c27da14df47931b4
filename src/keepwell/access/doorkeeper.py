"""Who stands at a server's door: tokens in memory, so that a request asks no database, read anew every few seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keepwell.access.auditing import Audit, Refusal
from keepwell.access.limits import Bucket
from keepwell.access.roles import ACTS, acts_of, capped
from keepwell.access.tables import list_tokens, note_used
from keepwell.access.tokens import Token, digest_of_secret
from keepwell.errors import KeepwellError
from keepwell.storage import Database, Event, record_event

if TYPE_CHECKING:
    from keepwell.settings import ServeSection

REFRESH_S = 2.0  # a revoked token is refused within this and the time of one read
USED_EVERY_S = 3600.0  # the last use of a token is kept at most so often
HOLDER = "keepwell.holder"  # where a request's holder stands in its ASGI scope
SETTINGS, SETTINGS_OWNER = "settings", "admin"  # id and owner of the token of the settings

log = logging.getLogger("keepwell.access")


class Holder:
    """Who has a token, and what it is good for at this server. `owner` is "" where nobody is asked who they are."""

    __slots__ = ("acts", "bucket", "is_here", "owner", "revoked", "role", "token", "until", "used")

    def __init__(self, owner: str, role: str, token: str = "", *, is_here: bool = True, until: float = float("inf")) -> None:
        self.owner, self.role, self.token, self.is_here, self.until = owner, role, token, is_here, until
        self.acts = acts_of(role) if is_here else frozenset[str]()
        self.revoked = False
        self.bucket: Bucket | None = None
        self.used = 0.0


OPEN = Holder("", "admin")  # whoever comes to a server that asks nobody


def owner_of(scope: Mapping[str, Any]) -> str | None:
    """Under whose name a request acts; None where nobody is asked."""
    holder: Holder = scope.get(HOLDER, OPEN)
    return holder.owner or None


class Doorkeeper:
    """Knows the tokens of a record as they are good for one model.

    Parameters
    ----------
    people : name -> the most that a person's tokens may do.
    now : seconds since 1970.

    Raises
    ------
    StorageUnavailable : the tokens cannot be read. Later reads that fail leave what is known in force.
    """

    def __init__(
        self, database: Database, model: str, serve: ServeSection, people: Mapping[str, str], now: Callable[[], float] = time.time
    ) -> None:
        self.model, self.now = model, now
        self._database, self._serve, self._people, self._audit = database, serve, people, Audit()
        self._fixed: dict[bytes, Holder] = {}
        if serve.token and (secret := serve.token.get_secret_value()):
            self._fixed[digest_of_secret(secret.encode())] = Holder(SETTINGS_OWNER, "admin", SETTINGS)
        self._held, self._found = dict(self._fixed), list[Token]()
        self._noted: dict[str, float] = {}
        self.asks = self._asks(bool(self._held))
        self.refresh()

    def find(self, secret: bytes) -> Holder | None:
        """Who has a secret. The look-up is by its digest, which a guesser cannot steer: its time tells nothing about a secret."""
        return self._held.get(digest_of_secret(secret))

    def bearer(self, header: bytes) -> Holder | None:
        """Who has the secret of an Authorization header."""
        return self.find(header[7:]) if header[:7].lower() == b"bearer " else None

    def by_digest(self, digest: bytes) -> Holder | None:
        """Who has the secret of a digest, as a signed-in session remembers it."""
        return self._held.get(digest)

    def judge(self, holder: Holder | None, act: str, *, given: bool = True) -> Refusal | None:
        """Why a call is refused; None when it may go on, which counts as one of the token's requests.

        Parameters
        ----------
        given : was there a token at all?
        """
        if holder is OPEN:
            return None
        if holder is None:
            return Refusal("token", act, "the token is not known" if given else "there was no token")
        now = self.now()
        if holder.revoked or holder.until <= now:
            return self._refusal(holder, "token", act, f"the token is {'revoked' if holder.revoked else 'expired'}")
        if act not in holder.acts:
            if not holder.is_here:
                return self._refusal(holder, "model", act, "the token is of another model")
            return self._refusal(holder, "role", act, f"that needs {ACTS[act].needs}, and the token is of a {holder.role}")
        if holder.bucket is not None and (wait := holder.bucket.take(now)):
            reason = f"more than {holder.bucket.per_minute} requests in a minute"
            return self._refusal(holder, "limit", act, reason, wait, holder.bucket.per_minute)
        holder.used = now
        return None

    def _refusal(self, holder: Holder, kind: str, act: str, reason: str, wait: float = 0.0, per_minute: int = 0) -> Refusal:
        return Refusal(kind, act, reason, holder.owner, holder.token, holder.role, wait, per_minute)  # type: ignore[arg-type]

    def is_due(self, refusal: Refusal) -> int:
        """For how many refusals the record is due a line now."""
        return self._audit.due(refusal, self.now())

    def tell(self, refusal: Refusal, times: int, came_from: str) -> None:
        """Put a refusal on the timeline; of the same within a minute one line, whoever tells it. It stands without that too."""
        now = self.now()
        facts = dict(refusal.facts(came_from, times))
        told = Event("access_refused", datetime.fromtimestamp(now, UTC), refusal.sentence, facts, refusal.owner or "unknown")
        key = f"refused/{refusal.token or 'unknown'}/{refusal.act}/{now // 60:.0f}"
        try:
            with self._database.begin() as connection:
                record_event(connection, self.model, key, told)
        except KeepwellError as error:
            log.error("%s. This is not on record: %s", refusal.sentence, error.message)

    def refresh(self) -> None:
        """Read the tokens anew, and keep rarely when they were used. One read, and seldom a write.

        Raises
        ------
        StorageUnavailable : what was known stays in force.
        """
        with self._database.read() as connection:
            found = list_tokens(connection)
        if found != self._found:
            before = self._held
            self._held = self._fixed | {bytes.fromhex(token.digest): self._holder(token, before) for token in found}
            self.asks, self._found = self._asks(bool(self._held)), found
        due = {
            holder.token: datetime.fromtimestamp(holder.used, UTC)
            for holder in self._held.values()
            if holder.token in self._noted and holder.used - self._noted[holder.token] >= USED_EVERY_S
        }
        if due:
            with self._database.begin() as connection:
                note_used(connection, due)

    def _asks(self, has_any: bool) -> bool:
        """Must one say who one is? Always where others can reach the server; here once there is, or was, a token."""
        if not self._serve.is_local:
            return True
        return has_any if self._serve.require_token is None else self._serve.require_token

    def _holder(self, token: Token, before: Mapping[bytes, Holder]) -> Holder:
        most = self._people.get(token.owner)
        role = capped(token.role, most)
        is_here = token.models is None or self.model in token.models
        until = token.expires_at.timestamp() if token.expires_at is not None else float("inf")
        made = Holder(token.owner, role, token.id, is_here=is_here, until=until)
        if most is not None:
            made.acts &= acts_of(most)
        made.revoked = token.revoked_at is not None
        self._noted[token.id] = token.used_at.timestamp() if token.used_at is not None else 0.0
        known = before.get(bytes.fromhex(token.digest))
        made.used = known.used if known is not None else 0.0
        if token.per_minute is not None:
            bucket = known.bucket if known is not None else None
            made.bucket = bucket if bucket is not None and bucket.per_minute == token.per_minute else Bucket(token.per_minute)
        return made
