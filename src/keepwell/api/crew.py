"""The processes that answer beside the one that keeps the model, and the one that writes their log: started, watched, started again.

Whoever starts them holds the port's socket and hands it to each, so a connection that arrives while one is started again waits and is
not refused. Each says twice a second that it lives, and ends when the process that started it has gone.
"""

from __future__ import annotations

import logging
import multiprocessing
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from keepwell.api.leaving import REQUEST_GRACE_S
from keepwell.api.metrics import Meter
from keepwell.api.working import LEAVE, READ_AGAIN, Places, answer_requests
from keepwell.errors import StorageUnavailable
from keepwell.project import Project
from keepwell.serving import write_log

READY_S = 60.0  # a start waits this long for those that answer, so that the first caller is not kept waiting
SILENT_S = 30.0  # one that has said nothing for so long hangs, and is ended
PAUSES_S = (0.0, 0.2, 1.0, 5.0)  # before one that died is started again, if it never got ready: longer each time
ANSWERS, WRITES = "answers", "writes the log"

log = logging.getLogger("keepwell")


@dataclass(eq=False)
class _Member:
    """One process."""

    what: str
    process: Any
    told: Connection
    heard_at: float = field(default_factory=time.monotonic)
    is_ready: bool = False
    is_leaving: bool = False
    meter: Meter = field(default_factory=Meter)

    def leave(self) -> None:
        """Tell it to end; one that is still being started has nothing to finish."""
        self.is_leaving = True
        if self.is_ready:
            self.tell(LEAVE)
        else:
            self.process.kill()

    def tell(self, word: str) -> None:
        """Tell it something; one that has gone does not hear it."""
        with suppress(OSError):
            self.told.send(word)


class Crew:
    """As many processes as `[serve] workers` says, behind one port, and the one that writes their log.

    Parameters
    ----------
    port : the listening socket.

    Attributes
    ----------
    door : a socket where the process that keeps the model listens for what the others pass on.
    log_path : where the log's writer is met.
    """

    def __init__(self, project: Project, port: socket.socket) -> None:
        self._project, self._n = project, project.settings.serve.workers
        self._home = tempfile.mkdtemp(prefix="keepwell-serve-")  # only we may enter; a project's own folder may be too deep for a socket
        self.log_path, door_path = f"{self._home}/log", f"{self._home}/door"
        self.door, self._writer_door = _listening(door_path), _listening(self.log_path)
        self._places = Places(port, self.log_path, door_path)
        self._spawn = multiprocessing.get_context("spawn")
        self._members: list[_Member] = []
        self._due: list[tuple[float, str]] = []  # when which is started again
        self._failures, self._said = dict.fromkeys((ANSWERS, WRITES), 0), ""
        self._gone = Meter()
        self._changed = threading.Condition()
        self._wake, self._woken = multiprocessing.Pipe()  # ends a wait of the watching thread
        self._is_closed = False
        self._watching = threading.Thread(target=self._watch, name="crew", daemon=True)

    def start(self) -> None:
        """Start all of them; returns when the log can be written.

        Raises
        ------
        StorageUnavailable : it cannot.
        """
        with self._changed:
            self._begin(WRITES)
            for _ in range(self._n):
                self._begin(ANSWERS)
            self._watching.start()
            self._changed.wait_for(lambda: self._failures[WRITES] or self._ready(WRITES), READY_S)
            if not self._ready(WRITES):
                raise StorageUnavailable(f"journal {self._project.journal_folder}", self._said or "its writer does not start")

    def wait(self) -> None:
        """Wait until those that answer are ready; one that cannot start is not waited for."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready(ANSWERS) >= self._n or self._failures[ANSWERS] > 0, READY_S)

    def meters(self) -> Sequence[Meter]:
        """What they have counted, those that ended too."""
        with self._changed:
            return [self._gone, *[member.meter for member in self._members]]

    def read_again(self) -> None:
        """Have those that answer read the settings again."""
        with self._changed:
            for member in self._members:
                if member.what == ANSWERS:
                    member.tell(READ_AGAIN)

    def stop_answering(self) -> None:
        """Let those that answer end: what they have is answered, the port is closed."""
        with self._changed:
            self._due = [one for one in self._due if one[1] != ANSWERS]
            leaving = [member for member in self._members if member.what == ANSWERS]
            self._places.port.close()
            for member in leaving:
                member.leave()
        self._end(leaving)

    def close(self) -> None:
        """End all of them."""
        if self._places.port.fileno() >= 0:
            self.stop_answering()
        with self._changed:
            self._due, self._is_closed = [], True
            leaving = [*self._members]
            for member in leaving:
                member.leave()
        self._end(leaving)
        self._wake.send_bytes(b"closed")
        if self._watching.is_alive():
            self._watching.join()
        for listener in (self.door, self._writer_door):
            listener.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _end(self, members: list[_Member]) -> None:
        until = time.monotonic() + REQUEST_GRACE_S + 5.0
        for member in members:
            member.process.join(max(0.0, until - time.monotonic()))
            if member.process.is_alive():
                log.warning("The process that %s did not end in time and was killed.", member.what)
                member.process.kill()
                member.process.join()

    # --- all below with `_changed` held ---

    def _ready(self, what: str) -> int:
        return sum(member.is_ready and member.what == what for member in self._members)

    def _begin(self, what: str) -> None:
        told, theirs = self._spawn.Pipe()
        project, target, arguments = self._project, write_log, (self._project.journal_folder, self._writer_door, theirs, Path(self._home))
        if what == ANSWERS:
            target, arguments = answer_requests, (project.folder, project.flags, self._places, theirs)  # type: ignore[assignment]
        process = self._spawn.Process(target=target, args=arguments, name=f"keepwell {what}")
        process.start()
        theirs.close()
        self._members.append(_Member(what, process, told))

    def _watch(self) -> None:
        while not self._is_closed:
            with self._changed:
                members = [*self._members]
            soonest = min((at for at, _ in self._due), default=float("inf")) - time.monotonic()
            by_end: dict[Any, _Member] = {member.process.sentinel: member for member in members}
            by_pipe: dict[Any, _Member] = {member.told: member for member in members}
            found = wait([*by_pipe, *by_end, self._woken], max(0.0, min(1.0, soonest)))
            with self._changed:
                for one in found:
                    if one in by_pipe:
                        self._hear(by_pipe[one])
                for one in found:  # last words are heard before an end is seen
                    if one in by_end:
                        self._see_end(by_end[one])
                self._tend()
                self._changed.notify_all()

    def _hear(self, member: _Member) -> None:
        try:
            while member.told.poll():
                self._take(member, member.told.recv())
        except (EOFError, OSError):
            return  # its end is seen by itself

    def _take(self, member: _Member, said: Any) -> None:
        member.heard_at = time.monotonic()
        if isinstance(said, Meter):
            member.meter = said
        elif said == "ready":
            member.is_ready, self._failures[member.what] = True, 0
        else:
            self._said = str(said)
            log.error("The process that %s cannot go on: %s", member.what, said)

    def _see_end(self, member: _Member) -> None:
        if member not in self._members:
            return
        self._hear(member)
        member.process.join(1.0)
        self._members.remove(member)
        self._gone.add(member.meter)
        member.told.close()
        if member.is_leaving or self._is_closed:
            return
        log.warning("The process that %s ended (%s).", member.what, member.process.exitcode)
        if not member.is_ready:
            self._failures[member.what] += 1
        pause_s = PAUSES_S[min(self._failures[member.what], len(PAUSES_S) - 1)]
        self._due.append((time.monotonic() + pause_s, member.what))

    def _tend(self) -> None:
        now = time.monotonic()
        due, self._due = [what for at, what in self._due if at <= now], [one for one in self._due if one[0] > now]
        for what in due:
            try:
                self._begin(what)
            except OSError as error:  # the machine has no room for a process now
                log.error("The process that %s cannot be started: %s", what, error)
                self._due.append((now + PAUSES_S[-1], what))
        for member in self._members:
            if member.is_ready and not member.is_leaving and now - member.heard_at > SILENT_S:
                log.error("The process that %s has said nothing for %.0f s and is ended.", member.what, SILENT_S)
                member.process.kill()


def _listening(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.bind(path)
    found.listen(1024)
    return found
