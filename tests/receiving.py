"""A real HTTP receiver on a free loopback port, which answers as it is told and remembers what it got."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Post:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


@dataclass
class Receiver:
    """`answers` are used up one a request, then `status` is answered. An answer is a status, or seconds to hang (float), or "drip".

    `headers` go out with each answer.
    """

    status: int = 200
    answers: list[Any] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    got: list[Post] = field(default_factory=list)
    url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """The idempotency keys that came, in order."""
        return [post.headers["idempotency-key"] for post in self.got]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def receiving(**how: Any) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    receiver = Receiver(**{name: value.copy() if isinstance(value, list | dict) else value for name, value in how.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append(Post(self.path, headers, body, self.command))
            answer = receiver.answers.pop(0) if receiver.answers else receiver.status
            if answer == "drip":
                self._drip()
                return
            if isinstance(answer, float):
                receiver.stopping.wait(answer)
                answer = receiver.status
            try:
                self.send_response(answer)
                for name, value in {**receiver.headers, "content-length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()
            except OSError:
                return  # the sender did not wait

        def do_GET(self) -> None:
            self.do_POST()

        def _drip(self) -> None:
            """Never silent for long, never done."""
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
                while not receiver.stopping.is_set():
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
            except OSError:
                return

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield receiver
        finally:
            receiver.stopping.set()
            http.shutdown()
            thread.join()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
