"""A model's notices as its doors see them: the verbs of `keepwell notify`."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from keepwell.errors import NoticeNotFound
from keepwell.notifying import tables, trying
from keepwell.notifying.delivering import Sender, Turn
from keepwell.notifying.records import Kept, Stuck, Told
from keepwell.notifying.trying import Tried
from keepwell.settings import Settings
from keepwell.storage import Database


class Notifier:
    """What one model has to tell.

    Parameters
    ----------
    clock : the present moment, aware.
    """

    def __init__(
        self, database: Database, model: str, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database, self._model, self._settings, self._clock = database, model, settings, clock

    @cached_property
    def sender(self) -> Sender:
        """What sends this model's notices."""
        return Sender(self._database, self._model, self._settings, clock=self._clock)

    def send(self, for_s: float | None = 10.0) -> Turn:
        """Send what is due; nothing new is begun after `for_s` seconds. What fails stays in the outbox and is tried again.

        Raises
        ------
        StorageUnavailable
        """
        return self.sender.turn(for_s)

    def list(self, states: Sequence[str] = (), limit: int | None = 50) -> builtins.list[Told]:
        """The newest notices, or those with a delivery in one of these states, and what came of each; newest first."""
        with self._database.read() as connection:
            return tables.list_told(connection, self._model, states, limit)

    def stuck(self) -> builtins.list[Stuck]:
        """Channels that do not deliver, and since when."""
        limit = timedelta(minutes=self._settings.notify.stuck_minutes)
        with self._database.read() as connection:
            return tables.stuck(connection, self._clock(), limit, self._model)

    def events(self, after: int = 0, limit: int = 100) -> builtins.list[Kept]:
        """Facts that were told, after a cursor, oldest first."""
        with self._database.read() as connection:
            return tables.list_events_after(connection, self._model, after, limit)

    def replay(self, after: int, limit: int = 100) -> Iterator[Tried]:
        """Post facts after a cursor to the webhooks again, under their old ids."""
        yield from trying.replay(self.sender.channels, self.events(after, limit), self._clock())

    def retry(self, numbers: Sequence[int] = ()) -> int:
        """Make what waits, was given up or reached nobody due at once: all of it, or these notices. Answers how many deliveries.

        Raises
        ------
        NoticeNotFound : one of these has nothing to send again; nothing was changed.
        """
        with self._database.begin() as connection:
            for number in numbers:
                if not tables.has_unsent(connection, self._model, number):
                    raise NoticeNotFound(number)
            again = tables.try_again(connection, self._model, numbers, self._clock())
            return again + tables.plan_again(connection, self._model, numbers)

    def test(self, person: str | None = None, *, dry_run: bool = False) -> builtins.list[Tried]:
        """Send everyone, or one person, a test now and answer what came back.

        Raises
        ------
        PersonNotFound : nobody of that name can be told anything.
        """
        return trying.try_channels(self._database, self._model, self.sender, self._clock(), person=person, dry_run=dry_run)
