"""The only file that knows the workflow library (DBOS Transact): named workflows made of steps whose results are kept.

Five of its habits are tamed here. Its default version would leave unfinished work behind after an upgrade: a fixed one per
model is given. Its default process name would run a live step twice: names are leased (`slots`). A dead process's work is
taken over only by its namesake: a watch thread takes it over for any process. It waits for ever for a workflow whose end could
not be written (a full disk): that is told, and the next try goes on. It logs to the terminal: it is told not to.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, ClassVar

from dbos import DBOS, DBOSConfig, SetWorkflowID

from keepwell.errors import StorageUnavailable
from keepwell.orchestration import slots
from keepwell.storage import Database

WATCH_S = 2.0
UNWRITTEN_S = 5.0  # so long after a workflow's last line its end must be in the database
ENDS = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")

_plain: ContextVar[bool] = ContextVar("plain", default=False)
_ended: dict[str, float] = {}  # workflows whose last line was reached in this process, and when


def workflow(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a durable workflow. Its arguments and result must be plain values."""

    def durable(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def noted(*arguments: Any) -> Any:
            workflow_id = str(DBOS.workflow_id)
            _ended.pop(workflow_id, None)
            try:
                return function(*arguments)
            finally:
                _ended[workflow_id] = time.monotonic()

        kept = DBOS.workflow(name=name)(noted)

        @functools.wraps(function)
        def either(*arguments: Any) -> Any:
            return function(*arguments) if _plain.get() else kept(*arguments)

        either.kept = kept  # type: ignore[attr-defined]
        return either

    return durable


def step(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a step of the current workflow, or answer what it answered before a crash."""
    if _plain.get():
        return function(*arguments)
    return DBOS.run_step({"name": name}, function, *arguments)


class Plain:
    """Runs workflows as the plain functions they are, and keeps nothing of their steps: for a folder that goes away, like a rehearsal's."""

    def run(self, function: Callable[..., Any], _workflow_id: str, *arguments: Any) -> Any:
        """Run a workflow to its end."""
        with _plainly():
            return function(*arguments)


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    before = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(before)


class Engine:
    """This process's worker: a leased slot, and the workflow library launched under its name.

    The library allows one worker a process, so opening another model's engine closes the one before.
    """

    _open: ClassVar[Engine | None] = None

    def __init__(self, database: Database, model: str) -> None:
        if Engine._open is not None:
            Engine._open.close()
        self._database, self._model = database, model
        self._slot = slots.acquire(database, model)
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        config: DBOSConfig = {
            "name": "keepwell",
            "system_database_url": database.url,
            "application_version": f"keepwell-{model}",
            "executor_id": self._slot.name,
            "log_level": "CRITICAL",
            "notification_listener_polling_interval_sec": 0.05,
        }
        with database.answering():
            DBOS(config=config)
            DBOS.launch()
        Engine._open = self
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._watch_others, name="keepwell-slots", daemon=True)
        self._watch.start()

    @property
    def is_open(self) -> bool:
        """Is this still the process's worker? Another project's engine may have taken its place."""
        return Engine._open is self

    def run(self, function: Callable[..., Any], workflow_id: str, *arguments: Any) -> Any:
        """Run a workflow to its end. One of that id that is running is waited for, one that has ended answers at once."""
        with self._database.answering():
            self._settle_unwritten(workflow_id)
            with SetWorkflowID(workflow_id):
                handle = DBOS.start_workflow(getattr(function, "kept", function), *arguments)
            if not hasattr(handle, "future"):  # not run by this call, but by a thread that took it up, or by another process
                self._wait(handle)
            return handle.get_result(polling_interval_sec=0.1)

    def _settle_unwritten(self, workflow_id: str) -> None:
        """Let what belongs to this workflow go on; what belongs to an attempt that was given up must not work beside it."""
        for unwritten in self._unwritten(0):
            is_ours = unwritten == workflow_id or unwritten.startswith(f"{workflow_id}-")  # the library's names for children
            (DBOS.resume_workflow if is_ours else DBOS.cancel_workflow)(unwritten)
            _ended.pop(unwritten, None)

    def _wait(self, handle: Any) -> None:
        while handle.get_status().status not in ENDS:
            if unwritten := self._unwritten(UNWRITTEN_S):
                problem = f"how {' and '.join(unwritten)} ended could not be written; it goes on when it is asked for again"
                raise StorageUnavailable(self._database.shown_url, problem)
            time.sleep(0.1)

    def _unwritten(self, for_s: float) -> list[str]:
        """Workflows of this process that ended, so many seconds ago, and of which the database says that they still run."""
        due = [workflow_id for workflow_id, at in list(_ended.items()) if time.monotonic() - at >= for_s]
        found = []
        for workflow_id in due:
            status = DBOS.get_workflow_status(workflow_id)
            if status is not None and status.status == "PENDING" and status.executor_id == self._slot.name:
                found.append(workflow_id)
            else:
                _ended.pop(workflow_id, None)
        return found

    def close(self) -> None:
        """Stop working and give the slot back; unfinished workflows are taken up by the next worker."""
        if Engine._open is not self:
            return
        self._stopping.set()
        self._watch.join()
        DBOS.destroy()
        slots.release(self._database, self._slot)
        Engine._open = None

    def _watch_others(self) -> None:
        while not self._stopping.wait(WATCH_S):
            # The next round tries again; a database that is away for a moment must not end the watch.
            with contextlib.suppress(Exception):
                slots.renew(self._database, self._slot)
                self.take_over()

    def take_over(self) -> int:
        """Go on with unfinished workflows whose worker is dead. Answers how many."""
        pending = DBOS.list_workflows(status="PENDING", app_version=f"keepwell-{self._model}", load_input=False, load_output=False)
        orphans = {status.executor_id for status in pending if status.executor_id} - slots.living(self._database)
        taken = 0
        for name in orphans:
            # Whoever claims the dead worker's name resumes its work; nobody else can have it meanwhile.
            slot = slots.claim(self._database, name, self._slot.holder)
            if slot is None:
                continue
            for status in pending:
                if status.executor_id == name:
                    DBOS.resume_workflow(status.workflow_id)
                    taken += 1
            slots.release(self._database, slot)
        return taken
