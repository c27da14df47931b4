"""The only file that knows the workflow library (DBOS Transact): named workflows made of steps whose results are kept.

Four of its habits are tamed here. Its default version would leave unfinished work behind after an upgrade: a fixed one per
model is given. Its default process name would run a live step twice: names are leased (`slots`). A dead process's work is
taken over only by its namesake: a watch thread takes it over for any process. It logs to the terminal: it is told not to.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from dbos import DBOS, DBOSConfig, SetWorkflowID

from keepwell.orchestration import slots
from keepwell.storage import Database

WATCH_S = 2.0


def workflow(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function a durable workflow. Its arguments and result must be plain values."""
    return DBOS.workflow(name=name)


def step(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a step of the current workflow, or answer what it answered before a crash."""
    return DBOS.run_step({"name": name}, function, *arguments)


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
            with SetWorkflowID(workflow_id):
                handle = DBOS.start_workflow(function, *arguments)
            return handle.get_result(polling_interval_sec=0.1)

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
