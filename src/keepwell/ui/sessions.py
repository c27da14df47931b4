"""Who looks: sessions of browsers, each with a token that every form must send back."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

COOKIE = "keepwell_session"
LIVES_S = 12 * 3600.0
MOST = 2000  # sessions kept; the oldest goes first
FROM_ELSEWHERE = "it came from another page than this server's"

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Session:
    """One browser; `token` is in its forms, `signed_in` says that it gave the server's token."""

    name: str
    token: str
    signed_in: bool
    until: float


class Sessions:
    """The sessions of one server. They live in its memory and end with it.

    Parameters
    ----------
    token : what signs in; None when the server asks for none.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None
        self._kept: dict[str, Session] = {}
        self._lock = threading.Lock()

    @property
    def asks(self) -> bool:
        """Must one sign in?"""
        return self._token is not None

    def sign_in(self, given: str) -> Session | None:
        """A new session for the right token, else None."""
        if self._token is None or not hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token):
            return None
        return self._open(signed_in=True)

    def open(self) -> Session:
        """A session of a browser that need not sign in: it only makes forms safe."""
        return self._open(signed_in=False)

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

    def lets_in(self, method: str, headers: Headers) -> bool:
        """May a request without the bearer token pass? A signed-in one may, and may act when it came from this server's own page."""
        headers = list(headers)
        session = self.of(headers)
        return session is not None and session.signed_in and (method in ("GET", "HEAD") or came_from_here(headers))

    def refusal(self, headers: Headers, token: str) -> str | None:
        """Why a form is not accepted; None when it is."""
        headers = list(headers)
        if not came_from_here(headers):
            return FROM_ELSEWHERE
        if not self.asks and not _is_machine(_host(headers)):
            return "it came by a name that anyone may point at this machine; open the page by its address, or set a token ([serve] token)"
        session = self.of(headers)
        if session is None or not hmac.compare_digest(session.token.encode(), token.encode("utf-8", "replace")):
            return "the page it came from is too old"
        return None

    def _open(self, *, signed_in: bool) -> Session:
        session = Session(secrets.token_urlsafe(24), secrets.token_urlsafe(24), signed_in, time.monotonic() + LIVES_S)
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
