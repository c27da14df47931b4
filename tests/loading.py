"""Requests from many connections at once against a real server, until told to stop, and what came of each."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

REFUSED_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Given:
    """One answer: when it was asked for, which body, and what came back."""

    sent_at: float
    body: int
    predictions: list[dict[str, Any]]


@dataclass
class Load:
    """What the connections got: answers, refusals (status, Retry-After) and connections that broke.

    Parameters
    ----------
    url : of the server; may be changed, as a server that is started again has another port.
    bodies : sent in turn, each a list of rows.
    """

    url: str
    path: str
    bodies: Sequence[list[dict[str, Any]]]
    most: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    answered: list[Given] = field(default_factory=list)
    refused: list[tuple[int, str | None]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    _sent: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._contents = [json.dumps({"rows": rows}).encode() for rows in self.bodies]

    @property
    def ids(self) -> list[str]:
        """Of all predictions that were acknowledged."""
        return [one["prediction_id"] for given in self.answered for one in given.predictions]

    def wait(self, answers: int, seconds: float = 60.0) -> None:
        """Until so many more answers have come."""
        goal, until = len(self.answered) + answers, time.monotonic() + seconds
        while len(self.answered) < goal:
            assert time.monotonic() < until, f"{len(self.answered)} of {goal} answers; {self.refused[-3:]} {self.broken[-3:]}"
            time.sleep(0.01)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(address_of(self.url), timeout=30)
        try:
            while not self.is_over.is_set():
                with self._lock:
                    number = next(self._sent)
                if self.most is not None and number >= self.most:
                    return
                connection = self._one(connection, number % len(self.bodies))
        finally:
            connection.close()

    def _one(self, connection: http.client.HTTPConnection, at: int) -> http.client.HTTPConnection:
        """Ask once; answers the connection for the next time."""
        try:
            sent = time.time()
            connection.request("POST", self.path, self._contents[at], {"Content-Type": "application/json", **self.headers})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(repr(error))
            connection.close()
            time.sleep(REFUSED_PAUSE_S)
            return http.client.HTTPConnection(address_of(self.url), timeout=30)
        if answer.status == 200:
            self.answered.append(Given(sent, at, msgspec.json.decode(content)["predictions"]))
        else:
            self.refused.append((answer.status, answer.getheader("retry-after")))
            time.sleep(REFUSED_PAUSE_S)
        return connection


def address_of(line: str) -> str:
    """Host and port from a text that names them."""
    found = re.search(r"http://([^/\s;]+)", line)
    assert found, line
    return found[1]


@contextmanager
def loading(
    url: str,
    path: str,
    bodies: Sequence[list[dict[str, Any]]],
    *,
    connections: int = 8,
    most: int | None = None,
    headers: dict[str, str] | None = None,
) -> Iterator[Load]:
    """Ask from so many connections meanwhile; with `most`, until so many requests were sent, which is then waited for."""
    load = Load(url, path, bodies, most, headers or {})
    threads = [threading.Thread(target=load._ask, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield load
        if most is None:
            load.is_over.set()
        for thread in threads:
            thread.join(600)
    finally:
        load.is_over.set()
        for thread in threads:
            thread.join(60)
