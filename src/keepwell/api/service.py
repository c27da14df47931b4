"""A model being served: the loaded champion, the journal, and the tasks that keep both going."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
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
from keepwell.api.recent import Recent
from keepwell.errors import JournalCorrupt, KeepwellError, NotReady
from keepwell.incidents import list_live
from keepwell.monitoring import last_checkup
from keepwell.notifying import SEVERITIES
from keepwell.orchestration import last_cycle
from keepwell.project import Project
from keepwell.serving import Journal, Log, RemoteJournal
from keepwell.settings import Section, Settings, read

LOOK_S = 0.25  # how often the champion alias is looked at; a look is one small read, under a millisecond
RECORD_S = 3.0  # a scraper waits for 10 s by default
FIRST_LOAD_S = 30.0  # a start waits this long for the champion, so that the first caller is not turned away

LIVE = ("max_body_kb", "max_rows", "read_s", "answer_s", "log", "log_share")  # of [serve], read again by `read_again`

log = logging.getLogger("keepwell.api")


class Service:
    """Answers requests of one project.

    Parameters
    ----------
    log_path : socket of the process that writes the log; None writes it here.
    ships : also moves what was written to the ledger, which one process of several does.
    others : what other processes of this server counted.

    Raises
    ------
    StorageUnavailable : the journal's folder cannot be written; nothing could be acknowledged.
    """

    def __init__(
        self, project: Project, log_path: str | None = None, *, ships: bool = True, others: Callable[[], Iterable[Meter]] = tuple
    ) -> None:
        self.project, self._ships, self._others = project, ships, others
        self.champion = Champion(project.context)
        self._shipping = threading.Lock()
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._asked: Future[dict[str, Any] | None] | None = None
        self.meter = Meter()
        people = {name: person.role for name, person in project.settings.people.items()}
        self.doors = Doorkeeper(project.context.database, project.name, project.settings.serve, people)
        self.recent = Recent(project.context)
        self.journal: Log = RemoteJournal(log_path) if log_path else Journal(project.journal_folder)
        self.batcher = Batcher(self.journal, self.meter)
        self.log_told: dict[str, str] = {}  # what an answer says of its durability
        self._follow()

    def _follow(self) -> None:
        serve = self.project.settings.serve
        self.batcher.is_durable, self.batcher.share = serve.log == "durable", serve.log_share
        self.log_told = {} if serve.log == "durable" else {"log": serve.log}

    def read_again(self) -> None:
        """Take over those settings that can change while requests are answered; impossible ones are said in the log, and none taken."""
        try:
            found = read(self.project.folder, self.project.flags)
        except KeepwellError as error:
            log.error("The settings cannot be used, those until now go on: %s", error.message)
            return
        now = self.project.settings
        serve = now.serve.model_copy(update={name: getattr(found.serve, name) for name in LIVE})
        promotion = now.promotion.model_copy(update={"canary_share": found.promotion.canary_share})
        self.project.settings = self.project.context.settings = now.model_copy(update={"serve": serve, "promotion": promotion})
        self._follow()
        waiting = ", ".join(_differing(self.project.settings, found))
        log.info("The settings were read again%s", f"; these wait for a restart: {waiting}" if waiting else "")

    async def predict(self, body: PredictBody) -> dict[str, Any]:
        """Answer what the quick route does not read: entities, and whatever must be refused in words.

        Raises
        ------
        NotReady, InputInvalid
        StorageUnavailable : the journal cannot be written; nothing was answered then.
        """
        begin = time.perf_counter()
        try:
            predictor, settings, trying = self.champion.ready().predictor, self.project.settings.serve, self.champion.challenger
            challenger = trying.predictor if trying else None
            arguments = (self.project.context, predictor, body, settings.max_rows, datetime.now(UTC), challenger)
            answered = await to_thread.run_sync(answer, *arguments)
            # Refused at once when too much waits for the disk: waiting here would stop every other request too.
            await asyncio.wrap_future(self.journal.append_many(answered.records, wait_s=0))
        except KeepwellError as error:
            self.meter.refuse("json", type(error).__name__)
            raise
        number, versions = predictor.version.number, [one["version"] for one in answered.reply["predictions"]]
        theirs = (challenger.version.number, len(versions) - versions.count(number)) if challenger else None
        self.meter.answer("json", number, len(versions), time.perf_counter() - begin, theirs)
        return answered.reply | self.log_told

    def healthy(self) -> dict[str, Any]:
        """What who restarts or routes is told. They have no token, so where one is asked for it is no name.

        Raises
        ------
        NotReady : no version answers, or nobody writes the log.
        """
        is_hidden, now = self.doors.asks, self.champion.now
        name, note = ("of this server", None) if is_hidden else (self.project.name, self.champion.note)
        if now is None:
            raise NotReady(name, note or "no version is loaded")
        if isinstance(self.journal, RemoteJournal) and not self.journal.is_there:
            raise NotReady(name, "the process that writes the log is being started")
        return {"ready": True} | ({} if is_hidden else {"model": name, "version": now.number, "note": note})

    def metrics(self) -> bytes:
        """What was counted by all processes of this server, for Prometheus."""
        total = Meter()
        for meter in (self.meter, *self._others()):
            total.add(meter)
        total.shipped_at = self.meter.shipped_at
        ready = self.champion.now
        state: dict[str, Any] = {"version": ready.number if ready else None, "runtime": ready.agreement.runtime if ready else None}
        state["record"] = self._record()
        return total.page(self.project.name, lambda: state)

    def _record(self) -> dict[str, Any] | None:
        """How the model is; None when the record does not answer soon: what was counted here is told all the same."""
        if self._asked is None or self._asked.done():
            self._asked = self._asking.submit(self._read_record)
        try:
            return self._asked.result(RECORD_S)
        except TimeoutError:
            log.warning("The record has not answered /metrics for %.0f s", RECORD_S)
            return None

    def _read_record(self) -> dict[str, Any] | None:
        """The same from three small reads, however long they take."""
        try:
            with self.project.context.database.read() as connection:
                checkup = last_checkup(connection, self.project.name)
                cycle = last_cycle(connection, self.project.name, "done")
                severities = [one.severity for one in list_live(connection, self.project.name) if one.is_open]
        except KeepwellError as error:
            log.warning("The record cannot be read for /metrics: %s", error.message)
            return None
        done = {"ship": self.meter.shipped_at} | ({"cycle": cycle.ended.timestamp()} if cycle and cycle.ended else {})
        return {
            "verdict": checkup.verdict if checkup else "unknown",
            "maturity": checkup.facts.get("maturity") if checkup else None,
            "done": done,
            "incidents": {name: severities.count(name) for name in SEVERITIES},
        }

    def ship(self) -> int:
        """Move everything acknowledged until now into the ledger, but for damaged segments. Blocks. Answers how many.

        Raises
        ------
        StorageUnavailable
        """
        with self._shipping:  # another's shipment that is under way may hold what was asked for
            self.journal.roll()
            try:
                shipped = self.project.ship()
            except JournalCorrupt as damage:  # all others were shipped, and labels and readers wait for those
                log.error("%s", damage.message)
                return 0
        self.meter.shipped_at = time.time()
        return shipped

    def _gathered(self) -> None:
        """Take up for look-ups what gathers have brought."""
        self.recent.look(self.champion.now, self.champion.challenger)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the champion and ship the journal meanwhile; at the end seal and ship what is left."""
        if isinstance(self.journal, RemoteJournal):
            await self.journal.open()
        first = asyncio.create_task(to_thread.run_sync(self.champion.look))
        await asyncio.wait({first}, timeout=FIRST_LOAD_S)
        tasks = [asyncio.create_task(_every(LOOK_S, self.champion.look)), asyncio.create_task(_every(LOOK_S, self._gathered))]
        tasks.append(asyncio.create_task(_every(REFRESH_S, self.doors.refresh)))
        if self._ships:
            tasks.append(asyncio.create_task(_every(self.project.settings.serve.ship_s, self.ship)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait([first, *tasks])
            self.batcher.close()
            self._asking.shutdown(wait=False)
            await to_thread.run_sync(self.journal.close)
            if self._ships:
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


def _differing(one: Settings, other: Settings) -> list[str]:
    """Names of the settings in which two readings differ."""
    names = []
    for section in Settings.model_fields:
        mine, yours = getattr(one, section), getattr(other, section)
        if isinstance(mine, Section):
            names += [f"{section}.{name}" for name in type(mine).model_fields if getattr(mine, name) != getattr(yours, name)]
        elif mine != yours:
            names.append(section)
    return names
