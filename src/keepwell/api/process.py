"""The long-running process: the server, the schedule, or both, until a signal says stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import uvicorn

from keepwell.access import certificate_of
from keepwell.api.app import create_app
from keepwell.errors import KeepwellError, SettingInvalid
from keepwell.orchestration import CycleRecord, Scheduler, last_cycle, reload_code
from keepwell.project import Project
from keepwell.settings import ServeSection

CYCLE_GRACE_S = 25.0  # a cycle that runs when stop is said may take this long; supervisors kill after 30 s
REQUEST_GRACE_S = 10
SENDING_GRACE_S = 2.0

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
    _log_to_stderr()
    certificate = certificate_of(project.settings.serve, project.folder) if serve else None
    listener = _listen(project.settings.serve, lambda: _has_token(project)) if serve else None
    scheduler = _scheduler(project) if work else None
    try:
        server = _Server(project, lambda: _announce(project, listener, scheduler, browse), certificate) if listener else None
        project.notify.sender.start()
        if scheduler:
            scheduler.start()
        if server and listener:
            server.run(sockets=[listener])
        else:
            with _on_signals(stopping := threading.Event()):
                _announce(project, None, scheduler)
                while not stopping.wait(1.0):
                    pass
    finally:
        if listener:
            listener.close()
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


class _Server(uvicorn.Server):
    """uvicorn, but it says our line when it listens, and a signal that stops it does not also kill the process after."""

    def __init__(self, project: Project, started: Callable[[], None], certificate: tuple[str, str] | None) -> None:
        app = create_app(project)
        certfile, keyfile = certificate or (None, None)
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=REQUEST_GRACE_S,
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
        )
        super().__init__(config)
        state = app.described.state
        self._tell, self._live, self._warm = started, state.live, state.warm

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.close()  # else it would wait for pages that watch
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()
        threading.Thread(target=self._warm, name="keepwell-pages", daemon=True).start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


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


def _log_to_stderr() -> None:
    """Our log, and uvicorn's errors, as lines on stderr, unless whoever started us has set up logging."""
    if logging.getLogger().handlers:
        return
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
