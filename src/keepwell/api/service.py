"""A model being served: the loaded champion, the journal, and the tasks that keep both going."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread

from keepwell.access import REFRESH_S, Doorkeeper
from keepwell.api.answering import answer
from keepwell.api.batching import Batcher
from keepwell.api.bodies import PredictBody
from keepwell.api.champion import Champion
from keepwell.api.metrics import Meter
from keepwell.errors import KeepwellError, NotReady
from keepwell.project import Project
from keepwell.serving import Journal, Ready

LOOK_S = 0.25  # how often the champion alias is looked at; a look is one small read, under a millisecond
FIRST_LOAD_S = 30.0  # a start waits this long for the champion, so that the first caller is not turned away

log = logging.getLogger("keepwell.api")


class Service:
    """Answers requests of one project.

    Raises
    ------
    StorageUnavailable : the journal's folder cannot be written; nothing could be acknowledged.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.champion = Champion(project.context)
        self.meter = Meter()
        people = {name: person.role for name, person in project.settings.people.items()}
        self.doors = Doorkeeper(project.context.database, project.name, project.settings.serve, people)
        self.journal = Journal(project.journal_folder)
        self.batcher = Batcher(self.journal, self.meter, is_durable=project.settings.serve.log == "durable")

    async def predict(self, body: PredictBody) -> dict[str, Any]:
        """Answer what the quick route does not read: entities, and whatever must be refused in words.

        Raises
        ------
        NotReady, InputInvalid
        StorageUnavailable : the journal cannot be written; nothing was answered then.
        """
        begin = time.perf_counter()
        try:
            predictor, settings = self.champion.ready().predictor, self.project.settings.serve
            arguments = (self.project.context, predictor, body, settings.max_rows, datetime.now(UTC), self.champion.challenger)
            answered = await to_thread.run_sync(answer, *arguments)
            # Refused at once when too much waits for the disk: waiting here would stop every other request too.
            await asyncio.wrap_future(self.journal.append_many(answered.records, wait_s=0))
        except KeepwellError as error:
            self.meter.refuse("json", type(error).__name__)
            raise
        self.meter.answer("json", predictor.version.number, len(answered.records), time.perf_counter() - begin)
        return answered.reply

    def healthy(self) -> Ready:
        """The version that answers, for who restarts or routes. They have no token, so where one is asked for they are told no name.

        Raises
        ------
        NotReady
        """
        if self.champion.now is None and self.doors.asks:
            raise NotReady("of this server", "no version is loaded")
        return self.champion.ready()

    def metrics(self) -> bytes:
        """What was counted, for Prometheus."""
        ready = self.champion.now
        state = {"version": ready.number if ready else None, "runtime": ready.agreement.runtime if ready else None}
        return self.meter.page(self.project.name, lambda: state)

    def ship(self) -> int:
        """Move everything acknowledged until now into the ledger. Blocks. Answers how many.

        Raises
        ------
        StorageUnavailable, JournalCorrupt
        """
        self.journal.roll()
        shipped = self.project.ship()
        self.meter.shipped_at = time.time()
        return shipped

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the champion and ship the journal meanwhile; at the end seal and ship what is left."""
        first = asyncio.create_task(to_thread.run_sync(self.champion.look))
        await asyncio.wait({first}, timeout=FIRST_LOAD_S)
        tasks = [
            asyncio.create_task(_every(LOOK_S, self.champion.look)),
            asyncio.create_task(_every(self.project.settings.serve.ship_s, self.ship)),
            asyncio.create_task(_every(REFRESH_S, self.doors.refresh)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait([first, *tasks])
            self.batcher.close()
            await to_thread.run_sync(self.journal.close)
            await _said("Shipping", lambda: to_thread.run_sync(self.project.ship))


async def _every(pause_s: float, act: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(pause_s)
        await _said(act.__name__, lambda: to_thread.run_sync(act))


async def _said(what: str, act: Callable[[], Awaitable[object]]) -> None:
    """What fails in the background is said in the log and tried again at the next turn; nothing acknowledged is lost by it."""
    try:
        await act()
    except KeepwellError as error:
        log.error("%s failed: %s", what, error.message)
    except Exception:
        log.exception("%s failed", what)
