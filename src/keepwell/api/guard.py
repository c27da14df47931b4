"""What every request passes before the app sees it: the token, the bound on its body, and a net under unexpected faults."""

from __future__ import annotations

import hmac
import logging
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepwell.api.failures import json_answer, refusal
from keepwell.errors import BodyTooLarge, TokenRefused
from keepwell.ui import Sessions, is_open, sign_in_first

OPEN_PATHS = frozenset({"/health/live", "/health/ready"})  # who restarts or routes has no token
DISCARDED_BYTES = 16 << 20  # of a body that is too large, this much is read away so that the client gets to read the answer

log = logging.getLogger("keepwell.api")


class Guard:
    """ASGI middleware.

    Parameters
    ----------
    token : bearer token that every route but the health ones needs; None needs none.
    sessions : of browsers; a signed-in one passes like the token.
    max_body_kb : largest body, KiB; a larger one is never held in memory.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, sessions: Sessions, max_body_kb: int) -> None:
        self.app, self.sessions, self.max_body_kb = app, sessions, max_body_kb
        self.expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._pass(scope, receive, noting)
        except Exception:
            fault = uuid.uuid4().hex[:12]
            log.exception("Fault %s at %s %s", fault, scope["method"], scope["path"])
            if started:
                raise
            said = f"An unexpected fault. The server's log tells more under {fault}."
            content = {"error": "Fault", "headline": "Keepwell could not go on", "message": said, "facts": {"fault": fault}}
            await json_answer(content, 500)(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if self.expected is not None and scope["path"] not in OPEN_PATHS and not is_open(scope["path"]):
            given = next((value for name, value in headers if name == b"authorization"), b"")
            if not hmac.compare_digest(given, self.expected) and not self.sessions.lets_in(scope["method"], headers):
                said = TokenRefused("has another token" if given else "has no token")
                await (sign_in_first(scope) or refusal(said))(scope, receive, send)
                return
        if scope["method"] in ("GET", "HEAD"):
            await self.app(scope, receive, send)
            return
        body = await self._read(headers, receive)
        if body is None:
            answer = refusal(BodyTooLarge(self.max_body_kb))
            answer.headers["Connection"] = "close"
            await answer(scope, receive, send)
            return
        await self.app(scope, _replay(body, receive), send)

    async def _read(self, headers: list[tuple[bytes, bytes]], receive: Receive) -> bytes | None:
        """The whole body, or None when it is too large."""
        limit, read = self.max_body_kb * 1024, 0
        told = next((value for name, value in headers if name == b"content-length"), b"")
        is_large = told.isdigit() and int(told[:20]) > limit
        parts: list[bytes] = []
        while True:
            message = await receive()
            part: bytes = message.get("body", b"")
            read += len(part)
            is_large = is_large or read > limit
            if is_large:
                parts.clear()
            else:
                parts.append(part)
            if read > DISCARDED_BYTES or not message.get("more_body", False):
                return None if is_large else b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
