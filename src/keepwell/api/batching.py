"""Requests that arrived in the same turn of the event loop are answered together, and their records share one sync of the disk.

No timer is involved: a request alone in its turn is answered at once. What takes long goes to a thread, and what arrives meanwhile
is the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time_ns
from typing import Any

import msgspec

from keepwell.api.drawing import new_id
from keepwell.api.metrics import Meter
from keepwell.api.tracing import MARKS, Mark
from keepwell.errors import EstimatorInvalid, InputInvalid, KeepwellError
from keepwell.serving import Log, Ready, Row, is_kept

QUICK_MS = 2.0  # a batch that takes longer would hold up everything else in the event loop
BATCH_ROWS = 1024

log = logging.getLogger("keepwell.api")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Whose:
    """Whose row, of when (ISO, UTC); both empty for a row that was not named."""

    entity: str = ""
    time: str = ""
    origin: str = "api"


NOBODY = Whose()


@dataclass(frozen=True, slots=True)
class Theirs:
    """Which rows of a request a challenger on trial answered."""

    version: int
    places: Sequence[int]


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers to the rows of one request, each kept under its id; None for one that is not among the share that is kept."""

    ids: list[str | None]
    values: list[float]
    version: int
    theirs: Theirs | None = None

    @property
    def counted(self) -> tuple[int, int] | None:
        """The challenger's number and how many rows it answered, for the meter."""
        return (self.theirs.version, len(self.theirs.places)) if self.theirs else None


@dataclass(slots=True)
class _Ask:
    ready: Ready
    rows: Sequence[Row]
    whose: Sequence[Whose] | None
    ids: list[str] | None
    origin: str
    marks: list[Mark] | None
    done: asyncio.Future[Answered]
    answered: Answered | None = field(default=None)
    handed_in: int = 0  # to the journal, when it is traced


class Batcher:
    """Answers rows; an answer is given when the journal holds it.

    Parameters
    ----------
    is_durable : False gives the answer when the journal has taken the record but before the disk has it.
    share : of the answers, so many are kept.
    """

    def __init__(self, journal: Log, meter: Meter, *, is_durable: bool = True, share: float = 1.0) -> None:
        self._journal, self._meter, self.is_durable, self.share = journal, meter, is_durable, share
        self._waiting: list[_Ask] = []
        self._is_due = self._is_busy = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")

    def ask(
        self,
        ready: Ready,
        rows: Sequence[Row],
        whose: Sequence[Whose] | None = None,
        *,
        ids: list[str] | None = None,
        origin: str = "",
    ) -> asyncio.Future[Answered]:
        """Answer rows that were read and checked; `whose` may be left out when no row is named, and `ids` when they are not drawn yet.

        The future raises InputInvalid when the version cannot answer them, EstimatorInvalid when the answer is no
        finite number, StorageUnavailable when it could not be kept; in all these cases nothing was answered.
        """
        loop = asyncio.get_running_loop()
        ask = _Ask(ready, rows, whose, ids, origin, MARKS.get(), loop.create_future())
        self._waiting.append(ask)
        if not self._is_due and not self._is_busy:
            self._is_due = True
            loop.call_soon(self._turn, loop)
        return ask.done

    def close(self) -> None:
        """End the thread; nothing may be asked afterwards."""
        self._thread.shutdown()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_due = False
        asks = self._taken()
        if not asks:
            return
        ready = asks[0].ready
        begun = time_ns()
        if ready.agreement.row_ms * sum(len(ask.rows) for ask in asks) <= QUICK_MS:
            self._keep(loop, ready, asks, _answers(ready, asks), begun)
        else:
            self._is_busy = True
            work = loop.run_in_executor(self._thread, _answers, ready, asks)
            work.add_done_callback(lambda found: self._after(loop, ready, asks, found.result(), begun))
            return
        if self._waiting:  # of another version, or more than one batch
            self._is_due = True
            loop.call_soon(self._turn, loop)

    def _after(self, loop: asyncio.AbstractEventLoop, ready: Ready, asks: list[_Ask], found: list[Any], begun: int) -> None:
        self._is_busy = False
        self._keep(loop, ready, asks, found, begun)
        if self._waiting and not self._is_due:
            self._is_due = True
            loop.call_soon(self._turn, loop)

    def _taken(self) -> list[_Ask]:
        """What waits for the version of the first, as far as one batch goes."""
        if not self._waiting:
            return []
        ready, rows = self._waiting[0].ready, 0
        taken: list[_Ask] = []
        left: list[_Ask] = []
        for ask in self._waiting:
            if ask.ready is ready and (not taken or rows + len(ask.rows) <= BATCH_ROWS):
                taken.append(ask)
                rows += len(ask.rows)
            else:
                left.append(ask)
        self._waiting = left
        return taken

    def _keep(self, loop: asyncio.AbstractEventLoop, ready: Ready, asks: list[_Ask], found: list[Any], begun: int) -> None:
        """Hand the answers to the journal; those who asked hear when it holds them."""
        made_at = datetime.now(UTC).isoformat(timespec="microseconds")
        good, records, share = [], [], self.share
        for ask, values in zip(asks, found, strict=True):
            if isinstance(values, KeepwellError):
                if not ask.done.done():
                    ask.done.set_exception(values)
                continue
            ids = ask.ids or [new_id() for _ in values]
            kept_ids: list[str | None] = [name if is_kept(name, share) else None for name in ids] if share < 1.0 else [*ids]
            if ask.marks is not None:
                ask.handed_in = time_ns()
                ask.marks.append(("model", begun, ask.handed_in))
            ask.answered = Answered(kept_ids, values, ready.number)
            try:
                records += _records(ready, ask, made_at, share)
            except Exception as error:  # what no JSON can hold fails who sent it, and nobody who asked in the same turn
                if not ask.done.done():
                    ask.done.set_exception(_problem(ready, ask.rows, error))
                continue
            good.append(ask)
        if not records:
            self._tell(good, None)
            return
        try:
            kept = self._journal.append_many(records, wait_s=0)
        except KeepwellError as error:
            self._tell(good, error)
            return
        if self.is_durable:
            kept.add_done_callback(lambda done: _soon(loop, self._tell, good, done.exception()))
        else:
            kept.add_done_callback(lambda done: self._lost(len(records), done))
            self._tell(good, None)

    def _tell(self, asks: list[_Ask], problem: BaseException | None) -> None:
        for ask in asks:
            if ask.done.done():  # whoever asked has gone
                continue
            if ask.marks is not None:
                ask.marks.append(("log", ask.handed_in, time_ns()))
            if problem is None:
                assert ask.answered is not None
                ask.done.set_result(ask.answered)
            else:
                ask.done.set_exception(problem)

    def _lost(self, records: int, done: Future[None]) -> None:
        if problem := done.exception():
            self._meter.lost += records
            log.error("%d answers that were given could not be kept: %s", records, problem)


def _soon(loop: asyncio.AbstractEventLoop, act: Any, *arguments: Any) -> None:
    """Back from the journal's thread; when the loop has ended there is nobody left to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(act, *arguments)


def _answers(ready: Ready, asks: list[_Ask]) -> list[Any]:
    """For each ask its values, or the error that it gets; one that fails does not fail the others."""
    if len(asks) == 1:
        return [_one(ready, asks[0].rows)]
    try:
        values = ready.answer([row for ask in asks for row in ask.rows])
    except Exception:
        return [_one(ready, ask.rows) for ask in asks]
    found, at = [], 0
    for ask in asks:
        part = values[at : at + len(ask.rows)]
        at += len(ask.rows)
        found.append(part if _are_finite(part) else _not_finite(ready, part))
    return found


def _one(ready: Ready, rows: Sequence[Row]) -> Any:
    try:
        values = ready.answer(rows)
    except Exception as error:  # the estimator is somebody else's code
        return _problem(ready, rows, error)
    return values if _are_finite(values) else _not_finite(ready, values)


def _are_finite(values: list[float]) -> bool:
    return all(map(math.isfinite, values))


def _not_finite(ready: Ready, values: list[float]) -> KeepwellError:
    wrong = next(value for value in values if not math.isfinite(value))
    return EstimatorInvalid(f"{type(ready.predictor.estimator).__name__}, which answered {wrong}", "finite answer")


def _problem(ready: Ready, rows: Sequence[Row], error: Exception) -> KeepwellError:
    empty = [name for at, name in enumerate(ready.signature.names) if any(row[at] is None for row in rows)]
    if empty:
        return InputInvalid(f"Version {ready.number} cannot answer without {', '.join(empty)} ({error})"[:500], "Send a value for it.")
    # It answered its golden rows when it was loaded, so this is about these rows.
    return InputInvalid(f"Version {ready.number} cannot answer this row: {error}"[:500], "Send values like those it was trained with.")


def _records(ready: Ready, ask: _Ask, made_at: str, share: float) -> list[bytes]:
    answered = ask.answered
    assert answered is not None
    packed, number = ready.signature.packed, ready.number
    whose = ask.whose or [NOBODY] * len(ask.rows)
    more = {"weight": 1.0 / share} if share < 1.0 else {}
    return [
        _encode(
            {
                "prediction_id": name,
                "entity": one.entity if one.time else "",  # an entity without a time names no row of the world
                "time": one.time or made_at,
                "version": number,
                "answer": value,
                "made_at": made_at,
                "origin": ask.origin or one.origin,
                "inputs": packed(row),
                **more,
            }
        )
        for name, value, row, one in zip(answered.ids, answered.values, ask.rows, whose, strict=True)
        if name is not None
    ]
