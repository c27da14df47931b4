"""What a process that only answers does not know itself it passes on to the process that keeps the model, and passes the answer back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import httpx
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from keepwell.api.guard import BODY, refuse_and_close
from keepwell.errors import AnswerTooLate, BodyTooSlow, KeepwellError, NotReady
from keepwell.settings import ServeSection

HOPS = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"proxy-connection", b"expect"})
WORD_S = 2.0  # the other server, which has the same bounds, gets so much longer to say itself that a request took too long
TOLD = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})  # who asked, and how: this server's own word, in which a proxy's is heeded


class Forward:
    """ASGI app: every request goes to the server behind a Unix socket. Streams go through as they come.

    Parameters
    ----------
    path : of the socket.
    serve : the bounds, as they are now.
    """

    def __init__(self, path: str, serve: Callable[[], ServeSection]) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=16)
        self._transport, self._serve = httpx.AsyncHTTPTransport(uds=path, limits=limits), serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = asyncio.Event()
        passing = asyncio.create_task(self._pass(scope, receive, send, is_read))
        leaving = asyncio.create_task(_gone(receive, is_read))
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not passing.done():  # who asked has gone, or this request has taken too long
                passing.cancel()
            await asyncio.wait({passing, leaving})
        if not passing.cancelled() and (error := passing.exception()):
            raise error

    async def close(self) -> None:
        """Leave the other server."""
        await self._transport.aclose()

    async def _pass(self, scope: Scope, receive: Receive, send: Send, is_read: asyncio.Event) -> None:
        headers = [one for one in _without_hops(scope["headers"]) if one[0] not in TOLD]
        headers.append((b"x-forwarded-proto", scope["scheme"].encode()))
        if scope.get("client"):
            headers.append((b"x-forwarded-for", scope["client"][0].encode()))
        if BODY in scope and b"content-encoding" in dict(headers):  # it was unpacked here
            headers = [one for one in headers if one[0] not in (b"content-encoding", b"content-length")]
        has_body = BODY in scope or any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        url = httpx.URL("http://keepwell").copy_with(raw_path=(scope.get("raw_path") or scope["path"].encode()) + query.encode("latin-1"))
        serve = self._serve()
        content = _body(scope, receive, is_read, serve.read_s) if has_body else None
        if content is None:
            is_read.set()
        refused: KeepwellError
        try:
            async with asyncio.timeout(serve.read_s + serve.answer_s + WORD_S):
                answer = await self._transport.handle_async_request(httpx.Request(scope["method"], url, headers=headers, content=content))
        except BodyTooSlow as error:
            refused = error
        except TimeoutError:
            refused = AnswerTooLate(serve.answer_s)
        except (httpx.TransportError, ClientDisconnect):
            refused = NotReady("of this server", "the process that keeps it cannot be reached")
        else:
            await _passed_back(answer, send)
            return
        await refuse_and_close(refused, scope, receive, send)


async def _passed_back(answer: httpx.Response, send: Send) -> None:
    try:
        found = [one for one in _without_hops(answer.headers.raw) if one[0] != b"date"]  # this server says it itself
        await send({"type": "http.response.start", "status": answer.status_code, "headers": found})
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        async for part in answer.stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.aclose()


def _without_hops(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers if name.lower() not in HOPS]


async def _body(scope: Scope, receive: Receive, is_read: asyncio.Event, read_s: float) -> AsyncIterator[bytes]:
    try:
        if BODY in scope:
            yield scope[BODY]
            return
        until = time.monotonic() + read_s + WORD_S
        while True:
            try:
                message = await asyncio.wait_for(receive(), until - time.monotonic())
            except TimeoutError:
                raise BodyTooSlow(read_s) from None
            if message["type"] != "http.request":
                raise ClientDisconnect
            if part := message.get("body", b""):
                yield part
            if not message.get("more_body", False):
                return
    finally:
        is_read.set()


async def _gone(receive: Receive, is_read: asyncio.Event) -> None:
    """Returns when who asked has gone."""
    await is_read.wait()
    while (await receive())["type"] != "http.disconnect":
        pass
