"""The process that writes the log for those that answer. It obeys the process that started it, and no signal."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from keepwell.errors import KeepwellError
from keepwell.serving.journal import Journal
from keepwell.serving.remote import write_for_others


def write_log(folder: Path, listener: socket.socket, told: Connection) -> None:
    """Write the journal in `folder` for whoever connects to `listener`, until told to end, or until whoever started it has gone.

    It says "ready" when the journal can be written, else what stands in the way.
    """
    obey_only()
    try:
        journal = Journal(folder)
    except KeepwellError as error:
        told.send(str(error.facts.get("problem", error.message)))
        return

    async def run() -> None:
        stop = stop_of(told)
        told.send("ready")
        await write_for_others(journal, listener, stop)

    asyncio.run(run())


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
