"""The long-running process: the server, the schedule, or both, until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from keepwell.access import certificate_of
from keepwell.api.app import create_app
from keepwell.api.crew import Crew
from keepwell.api.leaving import LeavingServer
from keepwell.api.supervised import ALIVE, READY, STOPPING, beat_s, tell
from keepwell.api.working import log_to_stderr, spare_heap
from keepwell.errors import KeepwellError, SettingInvalid
from keepwell.orchestration import CycleRecord, Scheduler, last_cycle, reload_code
from keepwell.project import Project
from keepwell.settings import ServeSection

CYCLE_GRACE_S = 25.0  # a cycle that runs when stop is said may take this long; supervisors kill after 30 s
SENDING_GRACE_S = 2.0
WARMING_GRACE_S = 10.0

log = logging.getLogger("keepwell")


def serve_forever(project: Project, *, serve: bool, work: bool, browse: bool = False) -> None:
    """Serve, work, or both, until SIGTERM or SIGINT; then finish what runs, ship the journal and close the project.

    With `browse` the pages are opened in this machine's browser.

    A cycle that does not end in time is left to the next start, which goes on with it: the process then ends at once.

    Raises
    ------
    SettingInvalid : the port is taken, the address is not this machine's, it is open to others without a token, or the
        certificate cannot be used.
    StorageUnavailable : the journal cannot be written.
    """
    log_to_stderr()
    certificate = certificate_of(project.settings.serve, project.folder) if serve else None
    listener = _listen(project.settings.serve, lambda: _has_token(project)) if serve else None
    crew = Crew(project, listener) if listener and project.settings.serve.workers else None
    scheduler = _scheduler(project) if work else None
    try:
        server = _Server(project, lambda: _announce(project, listener, scheduler, browse), crew, certificate) if listener else None
        if crew:
            crew.start()
        project.notify.sender.start()
        if scheduler:
            scheduler.start()
        if server and listener:
            server.run(sockets=[crew.door if crew else listener])
        else:
            with _on_signals(stopping := threading.Event()):
                _announce(project, None, scheduler)
                tell(READY)
                while not stopping.wait(beat_s() or 60.0):
                    tell(ALIVE)
                tell(STOPPING)
    finally:
        if listener:
            listener.close()
        if crew:
            crew.close()
        _finish(project, scheduler)


def _finish(project: Project, scheduler: Scheduler | None) -> None:
    if scheduler and not scheduler.stop(CYCLE_GRACE_S):
        # Closing the stores under it would record it as failed; left alone, it is simply unfinished.
        log.warning("The running cycle did not end within %.0f s; the next start goes on with it.", CYCLE_GRACE_S)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    if not project.notify.sender.stop(SENDING_GRACE_S):
        log.warning("A notice that was being sent did not leave in time; it is sent again under the same id.")
    try:
        project.flush()
    except KeepwellError as error:  # the record still holds what was to be moved
        log.error("%s", error.message)
    project.close()


def _scheduler(project: Project) -> Scheduler:
    project.engine()
    schedule = project.settings.schedule

    def last() -> datetime | None:
        with project.context.database.read() as connection:
            newest = last_cycle(connection, project.name, "done")
        return newest.as_of if newest else None

    def run(tick: datetime) -> CycleRecord:
        try:
            if said := reload_code(project.context):
                log.warning("%s", said)
        except KeepwellError as error:
            log.error("The code on disk cannot be used, the loaded one goes on: %s", error.message)
        record = project.run(tick)
        log.info("Cycle of %s: %s", record.as_of.isoformat(), record.sentence)
        project.notify.sender.wake(cycle_done=record.status == "done")
        return record

    def look(now: datetime) -> None:
        for change in project.look(now):
            log.warning("Incident %d: %s", change.incident.number, change.activity.sentence)

    return Scheduler(schedule.cron, schedule.timezone, run=run, last=last, first=project.resume, look=look)


def _has_token(project: Project) -> bool:
    """Is there a token that is good?"""
    now = datetime.now(UTC)
    return bool(project.settings.serve.token) or any(token.state(now) == "good" for token in project.tokens())


def _listen(serve: ServeSection, has_token: Callable[[], bool]) -> socket.socket:
    """A bound socket, so that the port is known, and known to be ours, before anything else starts."""
    if not serve.is_local and not has_token():
        problem = "it can be reached by others, so a token is required; `keepwell token create` makes one, or set KEEPWELL_SERVE__TOKEN"
        raise SettingInvalid("serve.host", serve.host, problem, "the settings")
    if not serve.is_local and serve.certificate is None:
        log.warning("Others can reach %s, and there is no serve.certificate: a proxy before it must speak HTTPS.", serve.host)
    try:
        family, kind, _, _, address = socket.getaddrinfo(serve.host, serve.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise SettingInvalid("serve.host", serve.host, f"it is no address of this machine ({error})", "the settings") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        problem = f"{os.strerror(error.errno or 0)} at {serve.host}; stop the process that listens there, or set 0 for a free port"
        raise SettingInvalid("serve.port", serve.port, problem, "the settings") from None
    return listener


def _announce(project: Project, listener: socket.socket | None, scheduler: Scheduler | None, browse: bool = False) -> None:
    """The one line that says what runs."""
    url = _url(listener, project.settings.serve.certificate is not None) if listener else ""
    where = f" at {url}" if listener else ""
    if scheduler is None:
        said = f"Keepwell serves '{project.name}'{where}"
    else:
        tick = scheduler.next()
        said = f"Keepwell keeps '{project.name}'{where}, " + (f"next cycle {tick:%Y-%m-%dT%H:%MZ}" if tick else "no cycle is scheduled")
    print(f"{said}; Ctrl-C to stop", flush=True)  # noqa: T201 - the one line of a process that runs in the foreground
    if browse and listener:
        import webbrowser

        webbrowser.open(url)


def _url(listener: socket.socket, has_certificate: bool) -> str:
    host, port = listener.getsockname()[:2]
    return f"http{'s' if has_certificate else ''}://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(LeavingServer):
    """It says our line when it listens, and ends what belongs to it when it stops."""

    def __init__(self, project: Project, started: Callable[[], None], crew: Crew | None, certificate: tuple[str, str] | None) -> None:
        app = create_app(project, crew.log_path, others=crew.meters) if crew else create_app(project)
        # Those that answer before it speak to the world.
        super().__init__(app, certificate=None if crew else certificate, is_behind=crew is not None)
        state = app.described.state
        self._tell, self._live, self._crew = started, state.live, crew
        self._warm = state.warm
        self._warming = threading.Thread(target=self._warm_pages, name="keepwell-pages", daemon=True)
        self._read_again = state.read_again

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._crew:
            await asyncio.to_thread(self._crew.wait)
        spare_heap()
        self._tell()
        tell(READY)
        self._beat(asyncio.get_running_loop())
        self._warming.start()

    def _warm_pages(self) -> None:
        self._warm()
        spare_heap()  # the libraries that draw are loaded now

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop that answers says itself that it is alive: when it is stuck, nothing is said."""
        if (period := beat_s()) is not None:
            tell(ALIVE)
            loop.call_later(period, self._beat, loop)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        tell(STOPPING)
        self._live.close()  # else it would wait for pages that watch
        if self._crew:
            await asyncio.to_thread(self._crew.stop_answering)
        await super().shutdown(sockets)
        if self._warming.is_alive():  # an interpreter that ends under a thread in foreign code may crash
            await asyncio.to_thread(self._warming.join, WARMING_GRACE_S)

    def handlers(self) -> dict[int, Any]:
        found = super().handlers()
        if not sys.stdin or not sys.stdin.isatty():  # in a terminal it says that the terminal is gone, and ends the process
            found[signal.SIGHUP] = lambda *_: threading.Thread(target=self._read_settings, name="settings").start()
        return found

    def _read_settings(self) -> None:
        self._read_again()
        if self._crew:
            self._crew.read_again()


@contextlib.contextmanager
def _on_signals(stopping: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
