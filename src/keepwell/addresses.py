"""Addresses that people and machines are told at: how a file writes them, which ones are known, and how they may be shown.

An address is a secret as a whole: its token may stand anywhere in it.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import fnmatch
import importlib
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from keepwell.hiding import HIDDEN, shown_address

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
SIGNED = "whsec_"  # how Standard Webhooks begin a secret whose rest is base64
KINDS = (  # of notices, as webhooks get them
    "approval.needed",
    "checkup.ready",
    "incident.assigned",
    "incident.closed",
    "incident.escalated",
    "incident.opened",
    "incident.reopened",
    "incident.worsened",
    "model.promoted",
    "model.returned",
    "model.rolled_back",
    "test",
)
LITTLE = 4  # shorter parts of an address are no secrets, and stars in their place would spoil every message


class Address(SecretStr):
    """A URL whose text is never shown but for its kind, and a webhook's host.

    Examples
    --------
    >>> Address("slack://T0K3N/A/B"), str(Address("https://hooks.example/T0K3N"))
    (Address('slack://***'), 'https://hooks.example/***')
    """

    def _display(self) -> str:
        return shown_address(self.get_secret_value())

    def __repr__(self) -> str:
        return f"Address({self._display()!r})"

    def __str__(self) -> str:
        return self._display()


def expanded(value: Any, known: Mapping[str, str | None]) -> Any:
    """The value with what the environment, then `known` (the folder's .env), holds in place of each `${NAME}`.

    Raises
    ------
    ValueError : a name is not set.
    """
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda found: _read(found[1], known), value)
    if isinstance(value, Mapping):
        return {name: expanded(inner, known) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [expanded(inner, known) for inner in value]
    return value


def _read(name: str, known: Mapping[str, str | None]) -> str:
    value = os.environ.get(name, known.get(name))
    if value is None:
        raise ValueError(f"environment variable {name} is not set; set it, or put it in .env")
    return value


@cache
def channels() -> Any:
    """Apprise with all its channels. It only reads all of them at once: a third of a second, and only where people are to be told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that some channels try to use
        apprise: Any = importlib.import_module("apprise")
        apprise.plugins.N_MGR.load_modules()
    return apprise


def channel_at(address: Address) -> Any:
    """Apprise's channel of an address, or None when the address is not complete."""
    with overheard():
        return channels().Apprise.instantiate(address.get_secret_value(), suppress_exceptions=True)


class _Ear(logging.Filter):
    """What Apprise, and the library it speaks HTTP with, say in a thread that listens. Their words hold whole addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(self.mine, "heard", None)
        if heard is not None and record.levelno >= logging.WARNING and record.name == "apprise":
            heard.append(record.getMessage())
        return heard is None


_EAR = _Ear()


@contextmanager
def overheard() -> Iterator[list[str]]:
    """The warnings of Apprise while the block runs, in this thread; nothing of what it says reaches a log.

    It answers only true or false: what it says is the only place where it gives a reason.
    """
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).addFilter(_EAR)  # a second time is none
    before, heard = getattr(_EAR.mine, "heard", None), list[str]()
    _EAR.mine.heard = heard
    try:
        yield heard
    finally:
        _EAR.mine.heard = before


def known_channel(address: Address) -> Address:
    """The address, when Apprise knows what to do with it.

    Raises
    ------
    ValueError : there is no channel of that kind, or its URL is not complete.
    """
    apprise = channels()
    url = address.get_secret_value()
    scheme = url.partition("://")[0].lower()
    if "://" not in url or scheme not in apprise.plugins.N_MGR:
        asked = scheme if "://" in url else shown_address(url)
        raise ValueError(f"'{asked}' is no kind of channel that Apprise knows, such as slack, mailto or json")
    if channel_at(address) is None:
        raise ValueError(f"Apprise knows '{scheme}', but not with this URL: a part of it is missing or wrong")
    return address


def known_kinds(pattern: str) -> list[str]:
    """The kinds of notices that a webhook asks for with a pattern.

    Examples
    --------
    >>> known_kinds("model.r*")
    ['model.returned', 'model.rolled_back']

    Raises
    ------
    ValueError : none.
    """
    found = fnmatch.filter(KINDS, pattern)
    if not found:
        close = difflib.get_close_matches(pattern, [*KINDS, "incident.*", "model.*"], n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ValueError(f"no notice is of the kind '{pattern}'; {hint}the kinds are {', '.join(KINDS)}")
    return found


def known_webhook(address: Address) -> Address:
    """The address, when it is one that can be posted to.

    Raises
    ------
    ValueError : it is no http or https URL with a host.
    """
    try:
        parts = urlsplit(address.get_secret_value())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("it is no address such as https://example.org/hooks/keepwell")
    return address


def signing_key(secret: SecretStr) -> bytes:
    """The bytes that sign a webhook: base64 after `whsec_`, otherwise the text itself.

    Raises
    ------
    ValueError : it begins with `whsec_`, and what follows is not base64.

    Examples
    --------
    >>> signing_key(SecretStr("whsec_a2V5")), signing_key(SecretStr("key"))
    (b'key', b'key')
    """
    text = secret.get_secret_value()
    if not text.startswith(SIGNED):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(SIGNED), validate=True)
    except binascii.Error:
        raise ValueError(f"it begins with {SIGNED}, and the rest is not base64") from None


def scrubbed(text: str, address: Address) -> str:
    """`text` without any part of an address: what a channel says about itself may hold its token.

    Examples
    --------
    >>> scrubbed("cannot reach /T0K3N/x at slack", Address("slack://T0K3N/A/B"))
    'cannot reach /***/x at slack'
    """
    for part in sorted(_parts(address.get_secret_value()), key=len, reverse=True):
        text = text.replace(part, HIDDEN)
    return text


def _parts(url: str) -> Iterator[str]:
    yield url
    rest = url.partition("://")[2]
    yield rest
    for part in re.split(r"[/:@?&=#,+]", rest):
        if len(part) >= LITTLE:
            yield part
