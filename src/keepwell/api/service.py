"""A model being served: the loaded champion, the journal, and the tasks that keep both going."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread

from keepwell.api.answering import answer
from keepwell.api.bodies import PredictBody
from keepwell.api.champion import Champion
from keepwell.errors import KeepwellError
from keepwell.project import Project
from keepwell.serving import Journal, Predictor

LOOK_S = 0.25  # how often the champion alias is looked at; a look is one small read, under a millisecond
FIRST_LOAD_S = 10.0  # a start waits this long for the champion, so that the first caller is not turned away
QUICK_MS, QUICK_ROWS = 5.0, 16  # up to this a thread would cost more than the model

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
        self.journal = Journal(project.journal_folder)

    async def predict(self, body: PredictBody) -> dict[str, Any]:
        """Answer, once the journal holds the answer.

        Raises
        ------
        NotReady, InputInvalid
        StorageUnavailable : the journal cannot be written; nothing was answered then.
        """
        predictor = self.champion.ready()
        arguments = (
            self.project.context,
            predictor,
            body,
            self.project.settings.serve.max_rows,
            datetime.now(UTC),
            self.champion.challenger,
        )
        answered = answer(*arguments) if _is_quick(predictor, body) else await to_thread.run_sync(answer, *arguments)
        # Refused at once when too much waits for the disk: waiting here would stop every other request too.
        await asyncio.wrap_future(self.journal.append_many(answered.records, wait_s=0))
        return answered.reply

    def ship(self) -> int:
        """Move everything acknowledged until now into the ledger. Blocks. Answers how many.

        Raises
        ------
        StorageUnavailable, JournalCorrupt
        """
        self.journal.roll()
        return self.project.ship()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the champion and ship the journal meanwhile; at the end seal and ship what is left."""
        first = asyncio.create_task(to_thread.run_sync(self.champion.look))
        await asyncio.wait({first}, timeout=FIRST_LOAD_S)
        tasks = [
            asyncio.create_task(_every(LOOK_S, self.champion.look)),
            asyncio.create_task(_every(self.project.settings.serve.ship_s, self.ship)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait([first, *tasks])
            await to_thread.run_sync(self.journal.close)
            await _said("Shipping", lambda: to_thread.run_sync(self.project.ship))


def _is_quick(predictor: Predictor, body: PredictBody) -> bool:
    is_small = body.rows is not None and len(body.rows) <= QUICK_ROWS
    return is_small and float(predictor.version.facts.get("latency_ms") or QUICK_MS) < QUICK_MS


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
