"""A process that answers, beside the one that keeps the model. It obeys the one that started it, and no signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from starlette.types import Receive, Scope, Send

from keepwell.access import certificate_of
from keepwell.api.door import Door, PlainRoute, Route
from keepwell.api.failures import refusal_at
from keepwell.api.forwarding import Forward
from keepwell.api.guard import OPEN_PATHS, Guard
from keepwell.api.inference import Inference
from keepwell.api.invocations import Invocations
from keepwell.api.leaving import LeavingServer
from keepwell.api.replies import Reply, sent
from keepwell.api.service import Service
from keepwell.api.tracing import Tracing
from keepwell.errors import KeepwellError, NotReady
from keepwell.project import Project
from keepwell.serving import obey_only, say, stop_of

LEAVE, READ_AGAIN = "leave", "read again"  # what such a process is told
NEW_OBJECTS = 20_000  # after so many a search for cyclic garbage
TELL_S = 0.5  # how often a process that answers says that it lives, and what it has counted

_encode = msgspec.json.Encoder().encode
log = logging.getLogger("keepwell")


@dataclass(frozen=True)
class Places:
    """Where the processes of one server meet: the port's socket, the log writer, and the one that keeps the model."""

    port: socket.socket
    log_path: str
    keeper_path: str


def answer_requests(folder: Path, flags: Mapping[str, Any], places: Places, told: Connection) -> None:
    """A process that answers. Told to stop, it takes no more connections, answers what it has, and ends."""
    obey_only()
    log_to_stderr()
    try:
        with Project(folder, flags) as project, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_answering(project, places, told))
    except KeepwellError as error:
        told.send(error.message)


async def _answering(project: Project, places: Places, told: Connection) -> None:
    service = Service(project, places.log_path, ships=False)
    forward = Forward(places.keeper_path, lambda: project.settings.serve)
    tracing = Tracing.of(project.settings.telemetry, project.name)
    certificate = certificate_of(project.settings.serve, project.folder)
    server = _Server(Front(service, forward, tracing), lifespan=False, certificate=certificate)
    stop = stop_of(told, {READ_AGAIN: lambda: asyncio.ensure_future(asyncio.to_thread(service.read_again))})
    async with service.running():
        spare_heap()
        telling = asyncio.create_task(_tell(told, service, stop))
        serving = asyncio.create_task(server.serve([places.port]))
        await asyncio.wait({asyncio.create_task(stop.wait()), serving}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        await telling
    await forward.close()
    if tracing is not None:
        await asyncio.to_thread(tracing.close)


class _Server(LeavingServer):
    """Stopped by the process that started this one."""

    def handlers(self) -> dict[int, Any]:
        return {}


class Front:
    """ASGI app of a process that answers: predictions and health here, everything else by the process that keeps the model."""

    def __init__(self, service: Service, forward: Forward, tracing: Tracing | None = None) -> None:
        self._service, self._forward = service, forward
        project = service.project
        name = project.name
        inference, invocations = Inference(service), Invocations(service)
        routes: dict[tuple[str, str], Route] = {
            ("POST", f"/models/{name}/predict"): PlainRoute(service),
            ("POST", f"/v2/models/{name}/infer"): inference.route,
            ("POST", "/invocations"): invocations.route,
            ("POST", f"/endpoints/{name}/invocations"): invocations.route,
        }
        self._quick = {*routes}
        self._guard = Guard(Door(forward, routes, tracing), lambda: project.settings.serve, service.doors, None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD") and scope["path"] in OPEN_PATHS:
            await self._tell_health(scope, receive, send)
        elif (scope["method"], scope["path"]) in self._quick and self._has_token(scope):
            await self._guard(scope, receive, send)
        else:
            await self._forward(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        """Whoever comes without a good one may be a signed-in browser, or is refused: the process that keeps the model knows."""
        header = dict(scope["headers"]).get(b"authorization")
        return not self._service.doors.asks if header is None else self._service.doors.bearer(header) is not None

    async def _tell_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Of this process, whatever the one that keeps the model is busy with."""
        path = scope["path"]
        try:
            told = {"live": True} if path.endswith("/live") else self._service.healthy()
        except NotReady as error:
            await refusal_at(path, error)(scope, receive, send)
            return
        await sent(send, Reply(200, _encode({"/ping": {}, "/v2/health/ready": {"ready": True}}.get(path, told))))


async def _tell(told: Connection, service: Service, stop: asyncio.Event) -> None:
    """Say what was counted, again and again, and at the end; that it is said at all shows that this process lives."""
    try:
        say(told, "ready")
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TELL_S)
            say(told, service.meter)
    except OSError:  # nobody hears it any more
        stop.set()


def spare_heap() -> None:
    """Keep what a start has loaded out of every later search for cyclic garbage, and search less often.

    Half a million objects of libraries that never go make a full search take 140 ms, in which nobody is answered; and the interpreter's
    own pace, every 700 new objects, is a search a dozen requests. Only for processes of our own: what is dropped later of all that
    lives now, and is cyclic, stays.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


def log_to_stderr() -> None:
    """Our log, and uvicorn's errors, as lines on stderr, unless whoever started us has set up logging."""
    if logging.getLogger().handlers:
        return
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
