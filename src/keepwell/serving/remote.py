"""One process writes the log for several that answer, so that all of them share each sync of the disk.

They speak over a Unix socket. Those that answer send numbered groups of packed records; the writer says of each number that the disk
has it, or why not. Before anything else it greets: whoever has connected to a writer that is not there yet waits for that.

    to the writer     number, records, bytes that follow, then these; no records and no bytes: seal the segment
    back              number, bytes that follow; none: it is done, else they say in UTF-8 what stood in the way
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, cast

from keepwell.errors import InputInvalid, KeepwellError, StorageUnavailable
from keepwell.serving.journal import Journal
from keepwell.serving.segments import pack

_GIVEN = struct.Struct("<QII")
_SAID = struct.Struct("<QI")
GREETING = 0  # number of the first thing that a writer says
AGAIN_S = 0.05  # a writer that is not there is looked for again this much later
OPEN_S = CLOSE_S = 10.0


class Log(Protocol):
    """What is asked of a journal by those that answer: this process's own, or another's."""

    def append_many(self, records: Iterable[bytes], *, wait_s: float = ...) -> Future[None]:
        """Hand in records that belong together; the future resolves when all are durable."""

    def roll(self) -> None:
        """Seal what was acknowledged until now. Blocks."""

    def close(self) -> None:
        """Write what waits, and seal. Blocks."""


async def write_for_others(journal: Journal, listener: socket.socket, until: asyncio.Event) -> None:
    """Write into the journal for whoever connects, until told to stop; what was handed in by then is written, and the journal closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: _Served(journal, loop), sock=listener)
    await until.wait()
    server.close()
    await loop.run_in_executor(None, journal.close)  # what waits is written, and said
    await asyncio.sleep(0)


class _Served(asyncio.Protocol):
    """The writer's side of one connection."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal, self._loop = journal, loop
        self._read = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(_SAID.pack(GREETING, 0))

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None

    def data_received(self, content: bytes) -> None:
        self._read += content
        for (number, records), frames in _messages(self._read, _GIVEN):
            if records:
                self._write(number, frames, records)
            else:
                rolled = self._loop.run_in_executor(None, self._journal.roll)
                rolled.add_done_callback(lambda done, number=number: self._say(number, done.exception()))  # type: ignore[misc]

    def _write(self, number: int, frames: bytes, records: int) -> None:
        try:
            kept = self._journal.append_packed(frames, records, wait_s=0)
        except KeepwellError as error:
            self._say(number, error)
            return
        kept.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._say, number, done.exception()))

    def _say(self, number: int, problem: BaseException | None) -> None:
        if self._transport is None:
            return
        text = b"" if problem is None else _words(problem).encode()
        self._transport.write(_SAID.pack(number, len(text)) + text)


def _words(problem: BaseException) -> str:
    return str(problem.facts.get("problem") or problem.message) if isinstance(problem, KeepwellError) else repr(problem)


def _messages(read: bytearray, header: struct.Struct) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Every whole message: its header without the length, and what follows. What is not whole stays."""
    at = 0
    while len(read) - at >= header.size:
        *numbers, length = header.unpack_from(read, at)
        end = at + header.size + length
        if end > len(read):
            break
        yield tuple(numbers), bytes(memoryview(read)[at + header.size : end])
        at = end
    del read[:at]


@dataclass(frozen=True)
class _Pending:
    done: Future[None]
    size: int


class RemoteJournal:
    """A journal that another process writes. It belongs to one event loop; only `roll` and `close` may be called from elsewhere.

    Parameters
    ----------
    path : the writer's Unix socket.
    waiting_bytes : at most this much waits for the writer, bytes.
    """

    def __init__(self, path: str, *, waiting_bytes: int = 32 << 20) -> None:
        self.path, self.waiting_bytes = path, waiting_bytes
        self._pending: dict[int, _Pending] = {}
        self._held_bytes = 0
        self._last = GREETING
        self._transport: asyncio.Transport | None = None  # of a writer that has greeted
        self._loop: asyncio.AbstractEventLoop | None = None
        self._staying: asyncio.Task[None] | None = None
        self._greeted = asyncio.Event()

    @property
    def is_there(self) -> bool:
        """Whether there is a writer."""
        return self._transport is not None

    async def open(self) -> None:
        """Look for the writer from now on, whenever there is none."""
        self._loop = asyncio.get_running_loop()
        self._staying = self._loop.create_task(self._stay())
        with contextlib.suppress(TimeoutError):  # then requests are refused until it is there
            await asyncio.wait_for(self._greeted.wait(), OPEN_S)

    def append_many(self, records: Iterable[bytes], *, wait_s: float = 0) -> Future[None]:
        """Hand in records that belong together: one future, which resolves when the writer's disk has all of them. Never waits.

        Raises
        ------
        StorageUnavailable : there is no writer now, or too much waits for it. The future raises it when the disk refuses, and when
            the writer ended before it answered.
        InputInvalid : the records are larger than `waiting_bytes`.
        """
        packed = [pack(record) for record in records]
        if not packed:
            nothing: Future[None] = Future()
            nothing.set_result(None)
            return nothing
        frames = b"".join(packed)
        size = len(frames)
        if size > self.waiting_bytes:
            raise InputInvalid(f"A journal record of {size} bytes is larger than {self.waiting_bytes} bytes", "Send fewer rows at once.")
        if self._held_bytes + size > self.waiting_bytes:
            problem = f"{self._held_bytes} bytes wait for the disk and no more than {self.waiting_bytes} may; send more slowly"
            raise StorageUnavailable("journal", problem)
        return self._send(frames, len(packed))

    def roll(self) -> None:
        """Seal the writer's segment, so that everything acknowledged until now can be shipped. Blocks; not for the event loop.

        Raises
        ------
        StorageUnavailable : there is no writer, or the segment could not be sealed.
        """
        if self._loop is None or self._loop.is_closed():
            raise self._gone()
        asyncio.run_coroutine_threadsafe(self._rolled(), self._loop).result()

    def close(self) -> None:
        """Let the writer seal what it has, and leave it. Blocks; not for the event loop."""
        if self._loop is None or self._loop.is_closed():
            return
        with contextlib.suppress(KeepwellError, TimeoutError):  # without a writer nothing waits, and a dead one's segments are closed
            asyncio.run_coroutine_threadsafe(self._rolled(), self._loop).result(CLOSE_S)
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()

    async def _rolled(self) -> None:
        await asyncio.wrap_future(self._send(b"", 0))

    async def _leave(self) -> None:
        if self._staying:
            self._staying.cancel()
        if self._transport:
            self._transport.close()

    def _send(self, frames: bytes, records: int) -> Future[None]:
        if self._transport is None:
            raise self._gone()
        self._last += 1
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()
        self._pending[self._last] = _Pending(done, len(frames))
        self._held_bytes += len(frames)
        self._transport.write(_GIVEN.pack(self._last, records, len(frames)) + frames)
        return done

    def _gone(self) -> StorageUnavailable:
        return StorageUnavailable("journal", "the process that writes it is being started; ask again")

    # --- the connection ---

    async def _stay(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            lost = loop.create_future()
            try:
                await loop.create_unix_connection(lambda lost=lost: _Line(self._hear, lost), self.path)  # type: ignore[misc]
            except OSError:
                await asyncio.sleep(AGAIN_S)
                continue
            await lost
            self._lose()

    def _hear(self, transport: asyncio.Transport, number: int, text: bytes) -> None:
        if number == GREETING:
            self._transport = transport
            self._greeted.set()
            return
        pending = self._pending.pop(number)
        self._held_bytes -= pending.size
        if text:
            pending.done.set_exception(StorageUnavailable("journal", text.decode("utf-8", "replace")))
        else:
            pending.done.set_result(None)

    def _lose(self) -> None:
        """Nobody knows whether the disk has what was not answered, so it is not acknowledged."""
        self._transport, left = None, self._pending
        self._pending, self._held_bytes = {}, 0
        for pending in left.values():
            pending.done.set_exception(StorageUnavailable("journal", "the process that writes it ended before it answered; ask again"))


class _Line(asyncio.Protocol):
    """The other side of one connection."""

    def __init__(self, hear: Callable[[asyncio.Transport, int, bytes], None], lost: asyncio.Future[None]) -> None:
        self._hear, self._lost = hear, lost
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, content: bytes) -> None:
        self._read += content
        for (number,), text in _messages(self._read, _SAID):
            self._hear(self._transport, number, text)

    def connection_lost(self, _: Exception | None) -> None:
        if not self._lost.done():  # who left does not wait for it any more
            self._lost.set_result(None)
