"""The quick way: routes that answer predictions, as raw ASGI in front of the described app.

A request that a quick route cannot read goes on to the described app, which answers or refuses it in full words. So a quick route
need only be right about what it takes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepwell.api.batching import Whose
from keepwell.api.bodies import ALL, moment_of
from keepwell.api.failures import plain_error
from keepwell.api.guard import BODY, answer_fault
from keepwell.api.recent import Held
from keepwell.api.replies import Reply, header_of, sent
from keepwell.api.service import Service
from keepwell.api.sharing import ask
from keepwell.api.tracing import ANSWERED, MARKS, Mark, Tracing, ended, response_of, response_of_span, started
from keepwell.errors import KeepwellError
from keepwell.serving import Name, Ready

log = logging.getLogger("keepwell.api")
Route = Callable[[Scope, bytes, Send], Awaitable[bool]]
_encode = msgspec.json.Encoder().encode


class Door:
    """Leads a request to a quick route, or to the described app.

    Parameters
    ----------
    routes : (method, path) -> route; one answers True when it has answered.
    tracing : makes spans of what is asked; without it answers only say which trace they belong to.
    """

    def __init__(self, app: ASGIApp, routes: dict[tuple[str, str], Route], tracing: Tracing | None = None) -> None:
        self._app, self._routes, self._tracing = app, routes, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        telling = _Telling(send)
        try:
            if self._tracing is None:
                telling.trace = response_of(scope["headers"])
                route = self._routes.get((scope["method"], scope["path"]))
                if route is None or not await route(scope, scope[BODY], telling):
                    await self._app(scope, receive, telling)
            else:
                await self._traced(self._tracing, scope, receive, telling)
        except Exception as error:
            await answer_fault(error, scope, receive, telling, has_begun=telling.has_begun)

    async def _traced(self, tracing: Tracing, scope: Scope, receive: Receive, telling: _Telling) -> None:
        span, marks, status = tracing.begin(scope), list[Mark](), 500
        telling.trace = told = response_of_span(span)
        token = MARKS.set(marks)
        # Whoever answers behind this, in another process perhaps, takes this span for its parent.
        headers = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]
        scope = {**scope, "headers": [*headers, (b"traceparent", told)]}

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await telling(message)

        try:
            route = self._routes.get((scope["method"], scope["path"]))
            if route is None or not await route(scope, scope[BODY], noting):
                await self._app(scope, receive, noting)
        finally:
            MARKS.reset(token)
            tracing.end(span, status, marks)


class _Telling:
    """Sending that adds the trace to an answer's headers, and knows whether one has begun.

    One object for both: each wrapper around a quick answer's sending costs it some per cent.
    """

    __slots__ = ("_send", "has_begun", "trace")

    def __init__(self, send: Send) -> None:
        self._send, self.trace, self.has_begun = send, b"", False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = [*message.get("headers", ())]
            if ANSWERED not in dict(headers):  # else another process that answered it has said it
                headers.append((ANSWERED, self.trace))
            message["headers"] = headers
        await self._send(message)


class PlainRoute:
    """`POST /models/NAME/predict` with rows; a challenger on trial answers its share of them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kind = "probability" if service.project.context.outline.task == "binary" else "prediction"

    async def __call__(self, scope: Scope, body: bytes, send: Send) -> bool:
        """Answer; False when the request is not one that is quickly read."""
        begin = time.perf_counter()
        service = self._service
        ready = service.champion.now
        if ready is None or not header_of(scope["headers"], b"content-type").startswith(b"application/json"):
            return False
        since = started()
        read = ready.signature.read(body)
        limit = service.project.settings.serve.max_rows
        held: list[Held] = []
        try:
            if read is not None:
                rows, named = read
                whose = _keys(ready, named)
            elif (entities := _entities(body)) and len(entities) <= limit and ready.signature.is_plain:
                held = await service.recent.find(ready, entities, datetime.now(UTC))
                rows, whose = [one.row for one in held], [one.whose for one in held]
            else:
                return False
            ended("features", since)
            if whose is None or not 0 < len(rows) <= limit:
                return False
            answered = await ask(service, ready, rows, whose)
        except KeepwellError as error:
            service.meter.refuse("json", type(error).__name__)
            await sent(send, plain_error(error))
            return True
        kind, number = self._kind, ready.number
        predictions: list[dict[str, Any]] = [
            {"prediction_id": name, kind: value, "version": number} for name, value in zip(answered.ids, answered.values, strict=True)
        ]
        if theirs := answered.theirs:
            for at in theirs.places:
                predictions[at]["version"] = theirs.version
        if whose:
            for prediction, one in zip(predictions, whose, strict=True):
                prediction |= ({"entity": one.entity} if one.entity else {}) | ({"time": one.time} if one.time else {})
        if held:
            now = datetime.now(UTC)
            for prediction, looked_up in zip(predictions, held, strict=True):
                prediction |= service.recent.freshness.told(looked_up.time, now)
        content = _encode({"model": service.project.name, "version": number, "predictions": predictions, **service.log_told})
        await sent(send, Reply(200, content), header_of(scope["headers"], b"accept-encoding"))
        service.meter.answer("json", number, len(rows), time.perf_counter() - begin, answered.counted)
        return True


class _Entities(msgspec.Struct, forbid_unknown_fields=True):
    entities: list[Name]


_read_entities = msgspec.json.Decoder(_Entities).decode


def _entities(body: bytes) -> list[str]:
    """The entities that a request names instead of rows; none when it is not such a request."""
    try:
        return _read_entities(body).entities
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []


def _keys(ready: Ready, named: Sequence[tuple[str | None, str | None]]) -> list[Whose] | None:
    """Whose rows they are; nothing when none is named, None when a time is none."""
    if all(one == (None, None) for one in named):
        return []
    found = [whose_of(ready, *one) for one in named]
    return None if None in found else [one for one in found if one is not None]


def whose_of(ready: Ready, entity: str | None, time: str | None) -> Whose | None:
    """Whose row of when; None when the time is none."""
    if not time:
        return Whose(entity or "") if time is None else None
    if (moment := moment_of(time)) is None:
        return None
    return Whose(entity or (ALL if ready.predictor.model.entity is None else ""), moment.isoformat(timespec="microseconds"))
