"""One careful way to read JSON from a server: timeouts, a bound on size, no redirects, no secret in any message."""

from __future__ import annotations

import json
import logging
import ssl
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpx

from keepwell.errors import SourceInvalid
from keepwell.ingestion.options import Secrets
from keepwell.ingestion.retrying import NotNow, Patience

MAY_PASS = {408, 425, 429, 500, 502, 503, 504}
Params = Mapping[str, str | float | list[str]]


@dataclass(frozen=True)
class Web:
    """How one source reads JSON over HTTP.

    Parameters
    ----------
    source : its name in messages.
    timeout_s : longest silence of the server; a whole answer may take ten times as long.
    max_mb : largest answer, so that a wrong address cannot fill the memory.
    headers : sent with every request; never shown.
    """

    source: str
    secrets: Secrets
    patience: Patience
    timeout_s: float = 30.0
    max_mb: float = 64.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _QUIET.secrets.add(self.secrets)

    def open(self) -> httpx.Client:
        """A client for the requests of one gather; the caller closes it."""
        return httpx.Client(verify=_tls(), timeout=self.timeout_s, headers=dict(self.headers), follow_redirects=False)

    def get(self, client: httpx.Client, url: str, params: Params | None = None) -> Any:
        """Read JSON, asking again while the failure may pass.

        Raises
        ------
        SourceUnavailable : no answer after all tries.
        SourceInvalid : an answer that asking again will not change.
        """
        return self.patience.ask(self.source, lambda: self._attempt(client, url, params))

    def _attempt(self, client: httpx.Client, url: str, params: Params | None) -> Any:
        where = self._shown(url)
        try:
            with client.stream("GET", url, params=dict(params) if params else None) as response:
                body = self._read(response, where)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise SourceInvalid(self.source, f"cannot be asked at {where}", "Write a whole http:// or https:// address.") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            problem = self.secrets.hide(str(error)) or "no reason given"
            raise NotNow(f"{where}: {type(error).__name__}, {problem}") from None
        if response.status_code == 200:
            return self._parsed(body, where)
        raise self._refused(response, body, where)

    def _read(self, response: httpx.Response, where: str) -> bytes:
        limit, started, body = self.max_mb * 1e6, time.monotonic(), bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > limit:
                hint = "Ask for less at a time, or raise `max_mb` in [source]."
                raise SourceInvalid(self.source, f"answered more than {self.max_mb:g} MB at {where}", hint)
            if time.monotonic() - started > 10 * self.timeout_s:
                raise NotNow(f"{where} was still sending after {10 * self.timeout_s:g} s")
        return bytes(body)

    def _parsed(self, body: bytes, where: str) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            # A cut or garbled body is what a broken connection or a proxy's error page looks like: worth another try.
            raise NotNow(f"{where} answered {len(body)} bytes that are not whole JSON") from None

    def _refused(self, response: httpx.Response, body: bytes, where: str) -> Exception:
        status, reason = response.status_code, self.secrets.hide(reason_in(body))
        said = f"{where} answered {status}" + (f": {reason}" if reason else "")
        if status in MAY_PASS:
            return NotNow(said, max(_retry_after_s(response), _quota_wait_s(status, reason)))
        if response.is_redirect:
            target = self._shown(response.headers.get("location", "elsewhere"))
            return SourceInvalid(self.source, f"answered {status} at {where}: moved to {target}", "Write the new address in [source].")
        hint = "Check the key or token." if status in {401, 403} else "Check [source] against what the server offers."
        return SourceInvalid(self.source, f"refused: {said}", hint)

    def _shown(self, url: str) -> str:
        """Scheme, host and path: user info and query may hold secrets."""
        try:
            parts = httpx.URL(url)
        except httpx.InvalidURL:
            return "an address that is not a URL"
        return self.secrets.hide(str(parts.copy_with(username=None, password=None, query=None, fragment=None)))


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Loading the certificates takes 20 ms; once is enough."""
    return httpx.create_ssl_context()


def reason_in(body: bytes) -> str:
    """The sentence an error body gives, at most 200 characters; empty when there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(content, Mapping):
        for name in ("reason", "message", "detail", "error"):
            if isinstance(content.get(name), str):
                return str(content[name])[:200]
    return ""


def _retry_after_s(response: httpx.Response) -> float:
    """Seconds of the Retry-After header, which may be a number or a date; 0 without one."""
    value = response.headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _quota_wait_s(status: int, reason: str) -> float:
    """Open-Meteo sends no Retry-After but names the counter that ran out; it resets on the minute, the hour, at midnight UTC."""
    if status != 429:
        return 0.0
    waits = {"minutely": 61.0, "hourly": 3600.0, "daily": 86400.0}
    return next((wait for word, wait in waits.items() if reason.lower().startswith(word)), 0.0)


class _HideSecrets(logging.Filter):
    """httpx logs whole URLs at INFO, and a key may be in the query."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: weakref.WeakSet[Secrets] = weakref.WeakSet()

    def filter(self, record: logging.LogRecord) -> bool:
        message = shown = record.getMessage()
        for secrets in list(self.secrets):
            shown = secrets.hide(shown)
        if shown != message:
            record.msg, record.args = shown, None
        return True


_QUIET = _HideSecrets()
logging.getLogger("httpx").addFilter(_QUIET)
