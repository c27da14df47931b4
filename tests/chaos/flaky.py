"""An object store that fails: a proxy before the S3 server, which for a share of requests answers 503 or drops the connection.

The nasty half of these faults comes after the server has done what was asked, so that the asker believes that it was not.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import stores

FAULTS = [(answer, when) for answer in ("503", "drop") for when in ("before", "after")]


class Flaky(ThreadingHTTPServer):
    """The proxy; `share` of the requests fail, drawn by a seed, or those that `chosen` picks by method and path."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, server: str, share: float, seed: int, chosen: Any = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.share, self.chosen = urlsplit(server).netloc, share, chosen
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.counts = Counter[str]()
        self._draw, self._lock = random.Random(seed), threading.Lock()

    def fault(self, method: str, path: str) -> tuple[str, str] | None:
        """What happens to a request: nothing, or an answer and whether it comes before or after the server has worked."""
        with self._lock:
            fault = self._draw.choice(FAULTS) if self._draw.random() < self.share else None
            if self.chosen is not None:
                fault = self.chosen(method, path)
            self.counts["asked"] += 1
            self.counts[" ".join(fault) if fault else "answered"] += 1
        return fault

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True  # an answer goes out whole and at once, else each waits for 40 ms
    server: Flaky

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.server.fault(self.command, self.path)
        if fault and fault[1] == "before":
            return self._fail(fault[0])
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            # Byte for byte, the host too: the server checks the signature over it.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if fault:
            return self._fail(fault[0])
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
        self.send_header("content-length", length or "0")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        return None

    def _fail(self, answer: str) -> None:
        if answer == "drop":
            self.close_connection = True
            return
        self.send_response_only(503)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def flaky(share: float, seed: int = 0, chosen: Any = None) -> Iterator[Flaky]:
    """The test's S3 server behind a proxy. Whoever shall meet it opens its stores with `AWS_ENDPOINT_URL` set to `.url`."""
    stores.s3()
    proxy = Flaky(os.environ["AWS_ENDPOINT_URL"], share, seed, chosen)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
