"""The HTTP server itself: whoever opens connections and asks nothing holds none of its files and memory for long."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from keepwell.api.leaving import LeavingServer

HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr("keepwell.api.leaving.ASK_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = LeavingServer(app, lifespan=False)
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


def test_connections_that_do_not_say_what_they_ask_are_closed_and_one_that_asks_is_not(address: tuple[str, int]) -> None:
    silent, half, asking = (socket.create_connection(address, timeout=20) for _ in range(3))
    half.sendall(HEAD)
    for _ in range(8):
        asking.sendall(HEAD[:5])
        time.sleep(0.3)
        asking.sendall(HEAD[5:] + b"\r\n")
        assert asking.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert silent.recv(10) == half.recv(10) == b""
    for one in (silent, half, asking):
        one.close()


def test_a_head_without_end_is_cut(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keepwell.api.leaving.ASK_S", 60.0)
    with socket.create_connection(address, timeout=20) as endless:
        endless.sendall(HEAD + b"".join(b"x-%d: %s\r\n" % (number, b"a" * 1000) for number in range(400)))
        assert endless.recv(10) == b""
