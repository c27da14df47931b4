"""An answer that is ready to be sent, and its sending."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Send

JSON = b"application/json"
PACKED_FROM = 8192  # smaller answers are not packed: packing costs more than sending, bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body, its type and what else the headers say."""

    status: int
    body: bytes
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def header_of(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """The header's value; empty when there is none."""
    for name, value in headers:
        if name == wanted:
            return value
    return b""


def reads_gzip(accepted: bytes) -> bool:
    """Does an `accept-encoding` name gzip, and not to refuse it?

    Examples
    --------
    >>> [reads_gzip(said) for said in (b"br, gzip", b"gzip;q=0.5", b"gzip; q=0", b"identity", b"")]
    [True, True, False, False, False]
    """
    for part in accepted.lower().split(b","):
        name, _, weight = part.partition(b";")
        if name.strip() in (b"gzip", b"x-gzip"):
            return re.fullmatch(rb"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


async def sent(send: Send, reply: Reply, accepted: bytes = b"") -> None:
    """Send a reply in two messages, packed when it is large and the client reads that."""
    body, headers = reply.body, [(b"content-type", reply.kind), *reply.headers]
    if len(body) >= PACKED_FROM and reads_gzip(accepted):
        body = gzip.compress(body, 1)
        headers += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
