"""Durable records per second: the journal's group commit against one sync per record, side by side.

    python benchmarks/journal.py [folder on the disk to be measured]

64 callers each wait for their record before they send the next: as threads, as coroutines with a future each, and as coroutines
whose records of one turn of the event loop are handed in together (a thread's answer to a loop costs more than the record).
The baseline writes the same frames from one thread and calls fdatasync after each. The ways take turns, so that other load
on the machine meets all of them; the ratio is the median over the turns.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from keepwell.errors import KeepwellError
from keepwell.serving.journal import Journal
from keepwell.serving.segments import closed_segments, pack, read, sync_bytes

CALLERS, EACH, TURNS = 64, 100, 7
PLAIN = 1500
RECORD = bytes(range(32, 126)) * 4 + b"x" * 58  # 434 bytes, a logged prediction of twenty numbers


def plain(folder: Path) -> float:
    """One write and one sync for each record."""
    descriptor = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    started = time.perf_counter()
    for _ in range(PLAIN):
        os.write(descriptor, pack(RECORD))
        sync_bytes(descriptor)
    elapsed_s = time.perf_counter() - started
    os.close(descriptor)
    return PLAIN / elapsed_s


def coroutines(folder: Path) -> float:
    """64 coroutines of one event loop, each waiting for its own record."""

    async def call(journal: Journal) -> None:
        for _ in range(EACH):
            await asyncio.wrap_future(journal.append(RECORD, wait_s=0))

    async def call_all(journal: Journal) -> None:
        await asyncio.gather(*(call(journal) for _ in range(CALLERS)))

    return measured(folder, lambda journal: asyncio.run(call_all(journal)))


class Turns:
    """Hands in what one turn of the event loop gathered, and wakes all who wait for it at once."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal, self._loop = journal, loop
        self._records: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []

    def append(self, record: bytes) -> asyncio.Future[None]:
        if not self._records:
            self._loop.call_soon(self._hand_in)
        self._records.append(record)
        self._waiting.append(self._loop.create_future())
        return self._waiting[-1]

    def _hand_in(self) -> None:
        records, self._records = self._records, []
        waiting, self._waiting = self._waiting, []
        try:
            done = self._journal.append_many(records, wait_s=0)
        except KeepwellError as error:
            answer(waiting, error)
            return
        done.add_done_callback(lambda done: self._loop.call_soon_threadsafe(answer, waiting, done.exception()))


def answer(waiting: list[asyncio.Future[None]], error: BaseException | None) -> None:
    """Wake those who still wait."""
    for future in waiting:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def turns(folder: Path) -> float:
    """64 coroutines of one event loop, handed in turn by turn."""

    async def call(gathering: Turns) -> None:
        for _ in range(EACH):
            await gathering.append(RECORD)

    async def call_all(journal: Journal) -> None:
        gathering = Turns(journal, asyncio.get_running_loop())
        await asyncio.gather(*(call(gathering) for _ in range(CALLERS)))

    return measured(folder, lambda journal: asyncio.run(call_all(journal)))


def threads(folder: Path) -> float:
    """64 threads, each waiting for its own record."""

    def call(journal: Journal) -> None:
        for _ in range(EACH):
            journal.append(RECORD).result()

    def call_all(journal: Journal) -> None:
        callers = [threading.Thread(target=call, args=(journal,)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()

    return measured(folder, call_all)


def measured(folder: Path, call_all: Callable[[Journal], None]) -> float:
    """Records per second, after making sure that every one can be read back."""
    with Journal(folder) as journal:
        started = time.perf_counter()
        call_all(journal)
        elapsed_s = time.perf_counter() - started
    found = sum(1 for segment in closed_segments(folder) for _ in read(segment))
    assert found == CALLERS * EACH, f"{found} records are kept, {CALLERS * EACH} were acknowledged"
    return CALLERS * EACH / elapsed_s


def main(disk: str | None) -> None:
    """Print a line for each way, with its ratio to the baseline."""
    ways = {
        "plain: one fdatasync a record": plain,
        "64 threads": threads,
        "64 coroutines": coroutines,
        "64 coroutines, turn by turn": turns,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=disk) as folder:
                rates[name].append(way(Path(folder)))
    baseline = next(iter(rates.values()))
    for name, found in rates.items():
        ratios = [rate / base for rate, base in zip(found, baseline, strict=True)]
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        print(f"{name:<32}{statistics.median(found):>9.0f} records/s  {statistics.median(ratios):>5.1f} times ({spread})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
