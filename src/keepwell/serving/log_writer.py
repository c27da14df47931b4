"""The process that writes the log for those that answer. It obeys the process that started it, and no signal."""

from __future__ import annotations

import asyncio
import select
import shutil
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from keepwell.errors import KeepwellError
from keepwell.serving.journal import Journal
from keepwell.serving.remote import write_for_others

LIVES_S = 0.5  # how often the writer says that it lives


def write_log(folder: Path, listener: socket.socket, told: Connection, sockets: Path) -> None:
    """Write the journal in `folder` for whoever connects to `listener`, until told to end, or until whoever started it has gone.

    It says "ready" when the journal can be written, and then again and again, else what stands in the way. At its end it removes the
    folder of the server's sockets, as nobody else is left to do so when the process that started it was killed.
    """
    obey_only()
    try:
        journal = Journal(folder)
    except KeepwellError as error:
        told.send(str(error.facts.get("problem", error.message)))
        return

    async def run() -> None:
        stop = stop_of(told)
        living = asyncio.create_task(_live(told, stop))
        await write_for_others(journal, listener, stop)
        await living

    asyncio.run(run())
    shutil.rmtree(sockets, ignore_errors=True)


async def _live(told: Connection, stop: asyncio.Event) -> None:
    while not stop.is_set():
        with suppress(OSError):  # nobody hears it any more: then `stop` is set soon
            say(told, "ready")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LIVES_S)


def say(told: Connection, word: object) -> None:
    """Say something to whoever started this process, unless it has not listened for so long that it would be waited for."""
    room = select.poll()
    room.register(told.fileno(), select.POLLOUT)
    if room.poll(0):
        told.send(word)


def obey_only() -> None:
    """A signal to the whole group, as Ctrl-C sends, is for the process that started this one, which then says what to do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def stop_of(told: Connection, acts: Mapping[str, Callable[[], object]] = {}) -> asyncio.Event:
    """Set when anything is said, and when the other end is closed or its process has gone; words that name an act only do it."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def heard() -> None:
        try:
            word = told.recv()
        except (EOFError, OSError):
            word = None
        if act := acts.get(word):
            act()
            return
        loop.remove_reader(told.fileno())
        stop.set()

    loop.add_reader(told.fileno(), heard)
    return stop
