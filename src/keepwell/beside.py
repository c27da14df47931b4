"""Beside a server that is there already: its predictions go into the record too, to be joined with labels, watched and followed.

An application hands in what it answered, by a call or by a middleware. It is on the disk before the call comes back; the project's own
cycles and server carry it into the predictions table, as they do with their own.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepwell.serving import Journal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

HEADER = b"keepwell-prediction-id"  # an answer that has it is kept
NUMBERS = ("prediction", "probability", "answer", "score", "value")

log = logging.getLogger("keepwell")
_journals: dict[tuple[int, Path], Journal] = {}  # one for each folder and process: a forked child must not write in its parent's
_guard = threading.Lock()


def log_predictions(
    project: str | Path,
    rows: Any,
    answers: Any,
    *,
    entity: str | Sequence[str] | None = None,
    time: datetime | str | Sequence[datetime | str] | None = None,
    version: int = 0,
) -> list[str]:
    """Keep answers that an application of one's own gave; they are on the disk when this returns.

    Parameters
    ----------
    project : the folder with keepwell.toml, on this machine. Only its settings are read.
    rows : the features: one mapping, a list of mappings, or a frame of any kind.
    answers : a number for each row: the probability of class 1, or the predicted value.
    entity, time : which rows of the world they are about, one for all or one each; without both only their id names them.
    version : number of the registered version that answered; 0 for a model that is not one of this record.

    Returns
    -------
    The ids under which labels can be posted, in the order of the rows.

    Raises
    ------
    InputInvalid : there are not as many answers as rows, an answer is no finite number, a time is none.
    StorageUnavailable : the disk refuses, or more waits for it than may; then nothing of it is kept.
    """
    kept = [
        Kept(row, answer, whose, when, version) for row, answer, whose, when in zip(*_columns(rows, answers, entity, time), strict=True)
    ]
    ids = [uuid.uuid4().hex for _ in kept]
    if kept:
        _hand_in(Path(project), kept, ids, wait_s=5.0).result()
    return ids


class Kept:
    """One answer to keep: its features, the number, whom and what moment it is about, which version answered (0: none of this record).

    Raises
    ------
    InputInvalid : the answer is no finite number, or the time is none.
    """

    def __init__(
        self,
        features: Mapping[str, Any],
        answer: Any,
        entity: str | None = None,
        time: datetime | str | None = None,
        version: int = 0,
    ) -> None:
        from keepwell.errors import InputInvalid

        try:
            self.answer, self.version = float(answer), int(version)
            moment = datetime.fromisoformat(time) if isinstance(time, str) else time
        except (TypeError, ValueError) as error:
            raise InputInvalid(f"An answer is {answer!r:.60} of {time!r:.60}", "A number and an ISO time are needed.") from error
        if not math.isfinite(self.answer):
            raise InputInvalid(f"An answer is {self.answer}", "A finite number is needed.")
        self.features, self.entity = dict(features), "" if entity is None else str(entity)  # many keys are numbers
        self.time = None if moment is None else moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def record(self, prediction_id: str, now: datetime) -> bytes:
        """What the journal keeps."""
        import msgspec

        made_at = now.isoformat(timespec="microseconds")
        is_named = bool(self.entity) and self.time is not None
        told: dict[str, Any] = {
            "prediction_id": prediction_id,
            "entity": self.entity if is_named else "",
            "time": self.time.isoformat(timespec="microseconds") if self.time is not None and is_named else made_at,
            "version": self.version,
            "answer": self.answer,
            "made_at": made_at,
            "origin": "app",
            "inputs": self.features,
        }
        return msgspec.json.encode(told, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def _columns(rows: Any, answers: Any, entity: Any, time: Any) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    from keepwell.errors import InputInvalid

    if isinstance(rows, Mapping):
        rows, answers = [rows], [answers] if isinstance(answers, int | float) else answers
    elif not isinstance(rows, Sequence):
        import narwhals.stable.v2 as nw

        rows = nw.from_native(rows, eager_only=True).rows(named=True)
    n = len(rows)
    whose, when = ([one] * n if one is None or isinstance(one, str | datetime) else list(one) for one in (entity, time))
    found = list(rows), list(answers), whose, when
    if len({len(column) for column in found}) > 1:
        said = ", ".join(str(len(column)) for column in found)
        raise InputInvalid(f"There are {said} rows, answers, entities and times", "Give as many of each.")
    return found


def _hand_in(project: Path, kept: Sequence[Kept], ids: Sequence[str], *, wait_s: float) -> Future[None]:
    now = datetime.now(UTC)
    return _journal(project).append_many([one.record(name, now) for one, name in zip(kept, ids, strict=True)], wait_s=wait_s)


def _journal(project: Path) -> Journal:
    key = os.getpid(), project.resolve()
    if key not in _journals:
        with _guard:
            if key not in _journals:
                from keepwell.serving import Journal
                from keepwell.settings import read

                _journals[key] = Journal((key[1] / read(key[1]).store.journal).resolve())
    return _journals[key]


@atexit.register
def _close() -> None:
    """Seal what this process wrote. What a killed one left behind is whole as well."""
    for (process, _), journal in _journals.items():
        if process == os.getpid():
            journal.close()


# --- an ASGI application's own answers ------------------------------------------------------------------------------------------------


class Middleware:
    """ASGI middleware (FastAPI, Starlette, Litestar, Django) that keeps the answers of an application's own predict routes.

    An answer that is kept says so by the header ``keepwell-prediction-id``: the id, or for several rows the part before ``-0``, ``-1``, ...
    Whatever goes wrong with the keeping is said in the log, and the application's answer goes out; with `must_keep` it is a 503 instead.

    Parameters
    ----------
    app : the application.
    project : the folder with keepwell.toml, on this machine.
    path : the route, or several; its POST answers with status 200 are kept.
    read : ``read(request, answer)``, both parsed JSON, gives what to keep: `Kept` for each row. Without it `plainly` is tried.
    version : number of the registered version that answers; 0 for a model that is not one of this record.
    must_keep : no answer without a record of it.
    max_body_kb : larger requests or answers are not kept, KiB each.

    Examples
    --------
    >>> from fastapi import FastAPI
    >>> app = FastAPI()
    >>> app.add_middleware(Middleware, project="rain", path="/predict")
    """

    def __init__(
        self,
        app: App,
        *,
        project: str | Path,
        path: str | Sequence[str],
        read: Callable[[Any, Any], Iterable[Kept]] | None = None,
        version: int = 0,
        must_keep: bool = False,
        max_body_kb: int = 1024,
    ) -> None:
        self.app, self._project, self._must_keep = app, Path(project), must_keep
        self._paths = frozenset((path,) if isinstance(path, str) else path)
        self._read = read or (lambda request, answer: plainly(request, answer, version))
        self._limit = max_body_kb * 1024

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in self._paths or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        asked, answered = bytearray(), bytearray()
        start: Message = {}
        is_passed_on = False  # an answer too large to be kept is not held back either

        async def hearing() -> Message:
            message = await receive()
            if len(asked) <= self._limit:
                asked.extend(message.get("body", b""))
            return message

        async def saying(message: Message) -> None:
            nonlocal start, is_passed_on
            if is_passed_on:
                await send(message)
            elif message["type"] == "http.response.start":
                start = message
            else:
                answered.extend(message.get("body", b""))
                has_more = message.get("more_body", False)
                if not has_more:
                    await self._send(send, start, bytes(asked), bytes(answered))
                elif len(answered) > self._limit and not self._must_keep:
                    is_passed_on = True
                    log.warning("An answer of the application is not kept: it is larger than %d bytes", self._limit)
                    await send(start)
                    await send({"type": "http.response.body", "body": bytes(answered), "more_body": True})

        await self.app(scope, hearing, saying)

    async def _send(self, send: Send, start: Message, asked: bytes, answered: bytes) -> None:
        if start["status"] == 200:
            try:
                name = await self._keep(asked, answered)
                start = {**start, "headers": [*start.get("headers", ()), (HEADER, name.encode())]}
            except Exception as error:  # `read` is somebody's own code; and the application's answer matters more than ours
                log.warning("An answer of the application is not kept: %s", error)
                if self._must_keep:
                    answered = b'{"detail":"The answer could not be kept"}'
                    length = str(len(answered)).encode()
                    headers = [(b"content-type", b"application/json"), (b"content-length", length), (b"retry-after", b"1")]
                    start = {**start, "status": 503, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": answered})

    async def _keep(self, asked: bytes, answered: bytes) -> str:
        import asyncio

        import msgspec

        from keepwell.errors import InputInvalid

        if len(asked) > self._limit or len(answered) > self._limit:
            raise InputInvalid(f"It is larger than {self._limit} bytes", "Raise max_body_kb.")
        kept = list(self._read(msgspec.json.decode(asked), msgspec.json.decode(answered)))
        if not kept:
            raise InputInvalid("No row was read from it", "Give `read`, which says what to keep.")
        name = uuid.uuid4().hex
        ids = [name] if len(kept) == 1 else [f"{name}-{place}" for place in range(len(kept))]
        await asyncio.wrap_future(_hand_in(self._project, kept, ids, wait_s=0))
        return name


def plainly(request: Any, answer: Any, version: int = 0) -> list[Kept]:
    """What the usual shapes of requests and answers mean.

    A request is a row (an object of features), a list of rows, or an object with one list of rows; `entity` and `time` beside the features
    name the row. An answer is a number, a list of them, an object with one of `NUMBERS`, or an object with one list of such.

    Examples
    --------
    >>> [one.answer for one in plainly({"rows": [{"a": 1}, {"a": 2}]}, {"predictions": [0.25, {"probability": 0.5}]})]
    [0.25, 0.5]
    >>> kept, = plainly({"a": 1, "entity": "north", "time": "2026-03-01"}, {"prediction": 7})
    >>> kept.features, kept.entity, kept.answer
    ({'a': 1}, 'north', 7.0)

    Raises
    ------
    InputInvalid : they have another shape; give the middleware a `read` of your own.
    """
    from keepwell.errors import InputInvalid

    rows, answers = _listed(request), _listed(answer)
    numbers = [next((one[name] for name in NUMBERS if name in one), None) if isinstance(one, dict) else one for one in answers]
    if len(rows) != len(numbers) or None in numbers or not all(isinstance(row, dict) for row in rows):
        raise InputInvalid("The request and the answer have no shape that is known", "Give the middleware a `read` that says what to keep.")
    named = [{name: value for name, value in row.items() if name not in ("entity", "time")} for row in rows]
    return [Kept(row, number, one.get("entity"), one.get("time"), version) for row, number, one in zip(named, numbers, rows, strict=True)]


def _listed(body: Any) -> list[Any]:
    if isinstance(body, dict):
        lists = [value for value in body.values() if isinstance(value, list)]
        return lists[0] if len(lists) == 1 else [body]
    return body if isinstance(body, list) else [body]
