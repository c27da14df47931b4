"""A server that takes its leave: no connection is accepted any more, those that are open end with their next answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Iterator
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})
REQUEST_GRACE_S = 10
ASK_S = 15.0  # a connection may take so long until the head of its request is here
HEAD_BYTES = 256 << 10  # and the head may be so large
SWEEP_TICKS = 5  # of a tenth of a second: how often both are looked at
LAST_ANSWER_S = 0.5  # an open connection that asks within this is told that it ends; closed at once, what it sends just now would be lost


class LeavingServer(uvicorn.Server):
    """uvicorn, stopped by SIGINT and SIGTERM, which do not also kill the process after it.

    Parameters
    ----------
    is_behind : only our own processes can reach it, and what they say of who asked is believed.
    """

    def __init__(self, app: ASGIApp, *, lifespan: bool = True, certificate: tuple[str, str] | None = None, is_behind: bool = False) -> None:
        certfile, keyfile = certificate or (None, None)
        self._outermost = _Outermost(app, "*" if is_behind else os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"))
        config = uvicorn.Config(
            self._outermost,
            interface="asgi3",
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on" if lifespan else "off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=REQUEST_GRACE_S,
            proxy_headers=False,  # ours heeds them
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
        )
        super().__init__(config)
        self._waiting: dict[Any, tuple[Any, float]] = {}  # connection that has not asked yet -> its request before, since when

    async def on_tick(self, counter: int) -> bool:
        if counter % SWEEP_TICKS == 0:
            self._sweep(time.monotonic())
        return await super().on_tick(counter)

    def _sweep(self, now: float) -> None:
        """Close connections that take too long to say what they ask, or say too much of it: uvicorn bounds neither."""
        waiting: dict[Any, tuple[Any, float]] = {}
        for connection in cast(list[HttpToolsProtocol], [*self.server_state.connections]):
            cycle = connection.cycle
            if connection.timeout_keep_alive_task is not None or (cycle is not None and not cycle.response_complete):
                continue  # it ends by itself, or the guard bounds it
            before, since = self._waiting.get(connection, (cycle, now))
            since = since if before is cycle else now
            if now - since > ASK_S or sum(len(name) + len(value) for name, value in connection.headers or ()) > HEAD_BYTES:
                connection.transport.close()
            else:
                waiting[connection] = cycle, since
        self._waiting = waiting

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        self._outermost.is_leaving = True
        loop = asyncio.get_running_loop()
        until = loop.time() + LAST_ANSWER_S
        while self.server_state.connections and loop.time() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, handler) for number, handler in self.handlers().items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handlers(self) -> dict[int, Any]:
        """What is done at which signal."""
        return {signal.SIGINT: self.handle_exit, signal.SIGTERM: self.handle_exit}


class _Outermost:
    """ASGI middleware: heeds what a trusted proxy says of who asked; while the server leaves, each answer says that its connection ends.

    A request without a proxy's word, in a server that stays, goes straight on: each layer costs a quick answer some per cent.
    """

    def __init__(self, app: ASGIApp, trusted: str) -> None:
        self._app, self._by_proxy, self.is_leaving = app, ProxyHeadersMiddleware(app, trusted), False  # type: ignore[arg-type]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        if self.is_leaving:
            send = _ending(send)
        for name, _ in scope["headers"]:
            if name in FORWARDED:
                return self._by_proxy(scope, receive, send)  # type: ignore[arg-type]
        return self._app(scope, receive, send)


def _ending(send: Send) -> Send:
    async def ending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return ending
