"""Who looks: sessions of browsers, each with a token that every form must send back."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from keepwell.access import Doorkeeper, Holder, Refusal, digest_of_secret

COOKIE = "keepwell_session"
LIVES_S = 12 * 3600.0
MOST = 2000  # sessions kept; the oldest goes first
FROM_ELSEWHERE = "it came from another page than this server's"

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Session:
    """One browser; `token` is in its forms, `digest` is of the token that it signed in with, None when it did not."""

    name: str
    token: str
    digest: bytes | None = field(repr=False)
    until: float


class Sessions:
    """The sessions of one server. They live in its memory and end with it, or with the token that they were signed in with.

    Parameters
    ----------
    doors : who has which token.
    """

    def __init__(self, doors: Doorkeeper) -> None:
        self.doors = doors
        self._kept: dict[str, Session] = {}
        self._lock = threading.Lock()

    @property
    def asks(self) -> bool:
        """Must one sign in?"""
        return self.doors.asks

    def sign_in(self, given: str) -> Session | Refusal:
        """A new session for a token that may look at pages."""
        secret = given.strip().encode("utf-8", "replace")
        refused = self.doors.judge(self.doors.find(secret), "look", given=bool(secret))
        return refused if refused is not None else self._open(digest_of_secret(secret))

    def open(self) -> Session:
        """A session of a browser that need not sign in: it only makes forms safe."""
        return self._open(None)

    def close(self, session: Session) -> None:
        """Sign out."""
        with self._lock:
            self._kept.pop(session.name, None)

    def of(self, headers: Headers) -> Session | None:
        """The living session that a request belongs to."""
        name = _cookie(headers)
        with self._lock:
            found = self._kept.get(name) if name else None
        return found if found is not None and found.until > time.monotonic() else None

    def holder(self, method: str, headers: Headers) -> Holder | None:
        """Who asks without a token in the header: who signed this browser in. It may act only from this server's own page."""
        headers = list(headers)
        session = self.of(headers)
        if session is None or session.digest is None or not (method in ("GET", "HEAD") or came_from_here(headers)):
            return None
        return self.doors.by_digest(session.digest)

    def refusal(self, headers: Headers, token: str) -> str | None:
        """Why a form is not accepted; None when it is."""
        headers = list(headers)
        if not came_from_here(headers):
            return FROM_ELSEWHERE
        if not self.asks and not _is_machine(_host(headers)):
            return "it came by a name that anyone may point at this machine; open the page by its address, or `keepwell token create`"
        session = self.of(headers)
        if session is None or not hmac.compare_digest(session.token.encode(), token.encode("utf-8", "replace")):
            return "the page it came from is too old"
        return None

    def _open(self, digest: bytes | None) -> Session:
        session = Session(secrets.token_urlsafe(24), secrets.token_urlsafe(24), digest, time.monotonic() + LIVES_S)
        with self._lock:
            while len(self._kept) >= MOST:
                self._kept.pop(next(iter(self._kept)))
            self._kept[session.name] = session
        return session


def came_from_here(headers: Headers) -> bool:
    """Does `Origin` name the host that was asked? Browsers send it with every form; without it nothing is known."""
    headers = list(headers)
    origin = _first(headers, b"origin")
    return bool(origin) and urlsplit(origin).netloc.lower() == _host(headers).lower()


def _is_machine(host: str) -> bool:
    """An address or localhost: a name would let any site that points it here act in the browser's place."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return True


def _host(headers: Headers) -> str:
    return _first(headers, b"host")


def _cookie(headers: Headers) -> str | None:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(_first(headers, b"cookie"))
    except CookieError:
        return None
    return jar[COOKIE].value if COOKIE in jar else None


def _first(headers: Headers, name: bytes) -> str:
    return next((value for one, value in headers if one.lower() == name), b"").decode("latin-1")
