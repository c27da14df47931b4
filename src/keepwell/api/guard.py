"""What every request passes before the app sees it: who asks and may they, the bounds on its body and its time, a net under faults."""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
import zlib
from collections.abc import Callable

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepwell.access import HOLDER, OPEN, Doorkeeper, Holder, Refusal
from keepwell.api.acts import act_of
from keepwell.api.failures import error_of, json_answer, refusal_at
from keepwell.errors import AnswerTooLate, BodyTooLarge, BodyTooSlow, KeepwellError, MediaTypeUnknown
from keepwell.settings import ServeSection
from keepwell.ui import Desk, is_open, is_stream, refusal_page, sign_in_first

OPEN_PATHS = frozenset(
    {"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/ping"}
)  # who restarts or routes has no token
DISCARDED_BYTES = 16 << 20  # of a body that is too large, this much is read away so that the client gets to read the answer
SWEEP_S = 0.5  # how often requests that take too long are looked for
ENCODINGS = ("gzip", "deflate")
BODY = "keepwell.body"  # where the body that was read stands in the scope

log = logging.getLogger("keepwell.api")


class Guard:
    """The outermost ASGI app.

    Parameters
    ----------
    app : what answers.
    serve : the bounds, as they are now.
    doors : who has which token. A browser's session passes like the token that it was signed in with.
    desk : of the pages; None where there are none.
    """

    def __init__(self, app: ASGIApp, serve: Callable[[], ServeSection], doors: Doorkeeper, desk: Desk | None) -> None:
        self.app, self._serve, self.doors, self._desk = app, serve, doors, desk
        self._running: dict[asyncio.Task[object], tuple[float, bool]] = {}  # task -> (must be done by, is its body here)
        self._swept: set[asyncio.Task[object]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD" and scope["path"] in OPEN_PATHS:  # as a balancer may ask; the server leaves the body out
            scope = {**scope, "method": "GET"}
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._running[task] = (loop.time() + self._serve().read_s, False)
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_S, self._sweep, loop)
        try:
            await self._pass(scope, receive, send, task, loop.time)
        except asyncio.CancelledError:
            if task not in self._swept:
                raise
            task.uncancel()
            late = AnswerTooLate(self._serve().answer_s) if self._running[task][1] else BodyTooSlow(self._serve().read_s)
            await refuse_and_close(late, scope, receive, send)
        except ClientDisconnect:  # before its body was here: it is not known what was asked
            return
        finally:
            self._running.pop(task, None)
            self._swept.discard(task)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Requests past their time are ended; one timer for all costs a request nothing."""
        now = loop.time()
        for task, (until, _) in self._running.items():
            if now > until and task not in self._swept:
                self._swept.add(task)
                task.cancel()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep, loop) if self._running else None

    async def _pass(self, scope: Scope, receive: Receive, send: Send, task: asyncio.Task[object], now: Callable[[], float]) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if scope["path"] not in OPEN_PATHS and not is_open(scope["path"]):
            scope[HOLDER] = holder = self._holder(scope, headers)
            given = b"authorization" in headers
            refused = self.doors.judge(holder, act_of(scope["method"], scope["path"]), given=given)
            if refused is not None:
                await self._refuse(refused, scope, receive, send, given=given)
                return
        if scope["method"] not in ("GET", "HEAD"):
            body = await self._read(headers, receive)
            encoding = headers.get(b"content-encoding", b"identity")
            if body is not None and encoding != b"identity":
                try:
                    body = _unpacked(body, encoding.decode("latin-1").strip().lower(), self._serve().max_body_kb * 1024)
                except KeepwellError as error:
                    await refusal_at(scope["path"], error)(scope, receive, send)
                    return
            if body is None:
                await refuse_and_close(BodyTooLarge(self._serve().max_body_kb), scope, receive, send)
                return
            scope[BODY] = body
            receive = _replay(body, receive)
        self._running[task] = (math.inf if is_stream(scope["path"]) else now() + self._serve().answer_s, True)
        await self.app(scope, receive, send)

    def _holder(self, scope: Scope, headers: dict[bytes, bytes]) -> Holder | None:
        """Who asks; None for nobody that is known, where one must be."""
        header = headers.get(b"authorization")
        holder = self.doors.bearer(header) if header is not None else None
        if holder is None and self._desk is not None and b"cookie" in headers:
            holder = self._desk.sessions.holder(scope["method"], scope["headers"])
        return holder if holder is not None or self.doors.asks else OPEN

    async def _refuse(self, refused: Refusal, scope: Scope, receive: Receive, send: Send, *, given: bool) -> None:
        """Say no in the words of the protocol, or by a page; and let the record know, unless somebody only looked without a token."""
        is_acting = scope["method"] not in ("GET", "HEAD")
        is_told = refused.kind != "limit" and (given or refused.token or is_acting)
        if is_told and (times := self.doors.is_due(refused)):
            await to_thread.run_sync(self.doors.tell, refused, times, (scope.get("client") or ("unknown",))[0])
        error = error_of(refused, scope["method"], scope["path"], given=given)
        if refused.kind == "token" and (answer := sign_in_first(scope)) is not None:
            await answer(scope, receive, send)
        elif self._desk is not None and refused.kind in ("role", "limit") and (page := refusal_page(self._desk, scope, error)) is not None:
            await page(scope, receive, send)
        else:
            await refusal_at(scope["path"], error)(scope, receive, send)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
        """The whole body, or None when it is too large. Raises ClientDisconnect when who sent it has gone before its end."""
        limit, read = self._serve().max_body_kb * 1024, 0
        message = await receive()
        if not message.get("more_body", False) and 0 < len(whole := message.get("body", b"")) <= limit:  # as nearly all are
            return bytes(whole)
        told = headers.get(b"content-length", b"")
        is_large = told.isdigit() and int(told[:20]) > limit
        parts: list[bytes] = []
        while True:
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part: bytes = message.get("body", b"")
            read += len(part)
            is_large = is_large or read > limit
            if is_large:
                parts.clear()
            else:
                parts.append(part)
            if read > DISCARDED_BYTES or not message.get("more_body", False):
                return None if is_large else b"".join(parts)
            message = await receive()


class Net:
    """ASGI middleware: an unexpected fault is answered with its number, and said in the log with everything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noting)
        except Exception as error:
            if scope["type"] != "http":
                raise
            await answer_fault(error, scope, receive, send, has_begun=started)


async def answer_fault(error: Exception, scope: Scope, receive: Receive, send: Send, *, has_begun: bool) -> None:
    """Answer for an unexpected fault, and say it in the log; one whose answer has begun goes on to the server."""
    fault = uuid.uuid4().hex[:12]
    log.error("Fault %s at %s %s", fault, scope["method"], scope["path"], exc_info=error)
    if has_begun:
        raise error
    said = f"An unexpected fault. The server's log tells more under {fault}."
    content = {"error": "Fault", "headline": "Keepwell could not go on", "message": said, "facts": {"fault": fault}}
    await json_answer(content, 500)(scope, receive, send)


async def refuse_and_close(error: KeepwellError, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a request of which not all was read; its connection cannot go on."""
    answer = refusal_at(scope["path"], error)
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


def _unpacked(body: bytes, encoding: str, limit: int) -> bytes | None:
    """A packed body, never more of it than may be held; None when there is more.

    Raises
    ------
    MediaTypeUnknown : it is packed in another way, or not in the way it says.
    """
    if encoding not in ENCODINGS:
        raise MediaTypeUnknown("content encoding", encoding, ENCODINGS)
    try:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # reads gzip and zlib by their own beginnings
        found = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise MediaTypeUnknown("content encoding", f"{encoding}, which the body is not", ENCODINGS) from None
    if len(found) > limit or unpacker.unconsumed_tail:
        return None
    if not unpacker.eof or unpacker.unused_data:
        problem = "more stands behind its end" if unpacker.eof else "the body ends too early"
        raise MediaTypeUnknown("content encoding", f"{encoding}, and {problem}", ENCODINGS)
    return found


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body again, as often as it is asked for at its beginning; then what really comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
