"""The ways out: Apprise for people, signed webhooks for machines. A channel answers what came of it and never raises."""

from __future__ import annotations

import asyncio
import base64
import fnmatch
import hmac
import logging
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from queue import Empty, SimpleQueue
from typing import Protocol
from urllib.parse import urlsplit

from keepwell.addresses import Address, channel_at, channels, overheard, scrubbed, signing_key
from keepwell.hiding import shown_address
from keepwell.notifying.cloud_events import CONTENT_TYPE, to_body
from keepwell.notifying.records import DIGEST, TEST, Kept, Notice, Outcome
from keepwell.settings import Settings, WebhookSection

AGENT = "keepwell"
AGAIN = (408, 425, 429)  # refusals that a later try may get past
GRACE_S = 5.0  # what a library may take beyond its own time-out


class Channel(Protocol):
    """One way to one person (`person`) or machine (None); `name` is the same after a restart and holds no secret."""

    name: str
    person: str | None

    def wants(self, notice: Notice) -> bool:
        """Is it one for this channel?"""

    def send(self, kept: Kept, now: datetime) -> Outcome:
        """Send it, within the time-out."""


def channels_of(settings: Settings) -> tuple[Channel, ...]:
    """All channels of the settings: machines first, then people in the order of the file."""
    timeout_s = settings.notify.timeout_s
    names: Counter[str] = Counter()

    def named(name: str) -> str:
        names[name] += 1
        return name if names[name] == 1 else f"{name}-{names[name]}"

    hooks = [Webhook(named(f"webhook/{_host(one.url)}"), one, timeout_s) for one in settings.webhooks]
    people = [
        Person(named(f"{name}/{address.get_secret_value().partition('://')[0].lower()}"), name, address, timeout_s)
        for name, person in settings.people.items()
        for address in person.tell
    ]
    return (*hooks, *people)


def _host(address: Address) -> str:
    parts = urlsplit(address.get_secret_value())
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


# --- machines ---------------------------------------------------------------------------------------------------------


class Webhook:
    """Posts CloudEvents, signed as Standard Webhooks say."""

    person: str | None = None

    def __init__(self, name: str, section: WebhookSection, timeout_s: float) -> None:
        self.name, self._address, self._kinds, self._timeout_s = name, section.url, section.kinds, timeout_s
        self._key = signing_key(section.secret) if section.secret else None

    def wants(self, notice: Notice) -> bool:
        """Machines get facts, of the kinds they asked for, and tests."""
        if notice.kind in (DIGEST, TEST) or not self._kinds:
            return notice.kind != DIGEST
        return any(fnmatch.fnmatchcase(notice.kind, pattern) for pattern in self._kinds)

    def send(self, kept: Kept, now: datetime) -> Outcome:
        """Post it."""
        body = to_body(kept)
        headers = {"content-type": CONTENT_TYPE, "user-agent": AGENT, "idempotency-key": kept.id, **self._signed(kept.id, body, now)}
        return _guarded(self._address, self._timeout_s, lambda: request("POST", self._address, self._timeout_s, headers, body))

    def _signed(self, message: str, body: bytes, now: datetime) -> dict[str, str]:
        stamp = str(int(now.timestamp()))
        headers = {"webhook-id": message, "webhook-timestamp": stamp}
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, message, stamp, body)
        return headers


def signature(key: bytes, message: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA-256 over id, time of the try and body.

    References
    ----------
    Standard Webhooks 1.0.0, signature scheme v1.

    Examples
    --------
    >>> signature(b"key", "msg", "1700000000", b"{}")
    'v1,9wBg2ZOJWG/zZpZb9gfh3wq+NfO9n+WRtco3As1DtYQ='
    """
    digest = hmac.digest(key, f"{message}.{stamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def request(method: str, address: Address, timeout_s: float, headers: dict[str, str], body: bytes = b"") -> Outcome:
    """One HTTP request, of which only the status counts. Redirects are not followed: a signature is for one receiver."""

    # httpx has no limit for a whole request, only between two bytes: a receiver that drips would hold a channel for ever.
    async def ask() -> Outcome:
        import httpx

        try:
            async with (
                asyncio.timeout(timeout_s),
                httpx.AsyncClient(verify=_tls(), timeout=timeout_s, follow_redirects=False) as client,
                client.stream(method, address.get_secret_value(), headers=headers, content=body) as response,
            ):
                return _judged(response.status_code, response.reason_phrase, response.headers.get("retry-after"))
        except (TimeoutError, httpx.TimeoutException):
            return Outcome(_late(timeout_s))
        except httpx.ConnectError as error:
            return Outcome(f"it cannot be reached: {error}")

    _hide_from_logs(address)
    return asyncio.run(ask())


def _judged(status: int, reason: str, retry_after: str | None) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    said = f"it answered {status} {reason}".rstrip()
    if 300 <= status < 400:
        return Outcome(f"{said}: redirects are not followed, set the new address", refused=True)
    return Outcome(said, refused=status < 500 and status not in AGAIN, wait_s=_seconds(retry_after))


def _seconds(retry_after: str | None) -> float:
    if not retry_after:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def ping(address: Address, timeout_s: float = 5.0) -> str | None:
    """Ask a URL that somebody outside watches, so that a Keepwell that died is missed. Answers what went wrong, or None."""
    return _guarded(address, timeout_s, lambda: request("GET", address, timeout_s, {"user-agent": AGENT})).problem


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()  # making one takes longer than a request


class _Hidden(logging.Filter):
    """httpx writes each URL that it asks into its log."""

    known: set[str] = set()  # noqa: RUF012 - one filter for the process

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(shown_address(str(one)) if str(one) in self.known else one for one in record.args)
        return True


_HIDDEN = _Hidden()


def _hide_from_logs(address: Address) -> None:
    import httpx

    _HIDDEN.known.add(str(httpx.URL(address.get_secret_value())))
    logging.getLogger("httpx").addFilter(_HIDDEN)


# --- people -----------------------------------------------------------------------------------------------------------


class Person:
    """Tells a person through Apprise."""

    def __init__(self, name: str, person: str, address: Address, timeout_s: float) -> None:
        self.name, self._address, self._timeout_s = name, address, timeout_s
        self.person: str | None = person

    def wants(self, notice: Notice) -> bool:
        """Whom a notice is for, it says itself."""
        return True

    def send(self, kept: Kept, now: datetime) -> Outcome:
        """Hand it to Apprise; a number at its end lets people know a repeat."""
        title, body = words(kept)
        return _guarded(self._address, self._timeout_s + GRACE_S, lambda: self._hand_over(kept, title, body))

    def _hand_over(self, kept: Kept, title: str, body: str) -> Outcome:
        apprise, plugin = channels(), channel_at(self._address)
        if plugin is None:
            return Outcome("Apprise does not know this channel any more", refused=True)
        plugin.socket_connect_timeout = plugin.socket_read_timeout = self._timeout_s
        if isinstance(getattr(plugin, "headers", None), dict):  # json, form, xml: read by programs
            plugin.headers["Idempotency-Key"] = kept.id
        kind = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}
        with overheard() as said:
            if plugin.notify(body=body, title=title, notify_type=kind.get(kept.notice.severity, apprise.NotifyType.INFO)):
                return Outcome()
        problem = said[-1] if said else "Apprise could not send it and did not say why"
        status = re.search(r"error=(\d{3})\b", problem)
        return Outcome(problem, refused=bool(status and 400 <= int(status[1]) < 500 and int(status[1]) not in AGAIN))


def words(kept: Kept) -> tuple[str, str]:
    """Title and text of a notice as people read it.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 3, 5, 6, tzinfo=UTC)
    >>> words(Kept("rain", 3, "k", at, Notice("incident.opened", "incident/7", "Humidity is broken", "critical", ("mira",), at)))
    ('rain: incident opened (critical)', 'Humidity is broken\\n\\n2026-03-05 06:00 UTC, incident/7, notice d70c359b')
    """
    notice = kept.notice
    severity = "" if notice.severity == "info" else f" ({notice.severity})"
    foot = [f"{notice.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC", *([notice.subject] if notice.subject else []), f"notice {kept.id[:8]}"]
    return f"{kept.model}: {notice.kind.replace('.', ' ')}{severity}", f"{notice.sentence}\n\n{', '.join(foot)}"


# --- both -------------------------------------------------------------------------------------------------------------


def _guarded(address: Address, limit_s: float, act: Callable[[], Outcome]) -> Outcome:
    """The outcome of an act, whatever it does: raise, or not come back. No part of the address is in its words."""
    answered: SimpleQueue[Outcome] = SimpleQueue()

    def work() -> None:
        try:
            answered.put(act())
        except Exception as error:  # a library's fault at one channel must not stop the others
            answered.put(Outcome(f"{type(error).__name__}: {error}".removesuffix(": ")))

    # A thread that hangs in a library cannot be ended; as a daemon it does not hold the process.
    threading.Thread(target=work, name="keepwell-notify-send", daemon=True).start()
    try:
        outcome = answered.get(timeout=limit_s + GRACE_S)
    except Empty:
        outcome = Outcome(_late(limit_s))
    if outcome.problem is None:
        return outcome
    return Outcome(scrubbed(outcome.problem, address), outcome.refused, outcome.wait_s)


def _late(limit_s: float) -> str:
    return f"it did not answer within {limit_s:g} s"
