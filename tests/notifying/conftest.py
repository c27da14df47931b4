"""An outbox, its settings, and a sender whose clock the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from receiving import Receiver, receiving

from keepwell.notifying import Notice, Sender, enqueue
from keepwell.settings import read
from keepwell.storage import Database

NOW = datetime(2026, 3, 4, 6, tzinfo=UTC)  # a Wednesday
MODEL = "rain"


class Post:
    """A database with an outbox, and what a test does with it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder, self.now = database, folder, NOW

    def sender(self, **settings: Any) -> Sender:
        """A new sender, as after a restart: `people`, `webhooks` and `notify` as in the file."""
        (self.folder / "keepwell.toml").touch()
        notify = {"timeout_s": 5.0, **settings.pop("notify", {})}
        return Sender(self.database, MODEL, read(self.folder, {**settings, "notify": notify}), clock=lambda: self.now, draw=lambda: 0.0)

    def enqueue(self, key: str, severity: str = "info", *, to: tuple[str, ...] = (), kind: str = "incident.opened", **more: Any) -> bool:
        notice = Notice(kind, "incident/7", f"sentence of {key}", severity, to, more.pop("at", self.now), more)
        with self.database.begin() as connection:
            return enqueue(connection, MODEL, key, notice)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def states(self) -> list[tuple[str, str, str]]:
        """(key, channel, state) of each delivery, oldest first."""
        from keepwell.notifying import list_told

        with self.database.read() as connection:
            told = list_told(connection, MODEL)
        return [(one.kept.key, delivery.channel, delivery.state) for one in reversed(told) for delivery in one.deliveries]

    def problems(self) -> list[str]:
        from keepwell.notifying import list_told

        with self.database.read() as connection:
            return [delivery.problem or "" for one in reversed(list_told(connection, MODEL)) for delivery in one.deliveries]


@pytest.fixture
def post(database: Database, tmp_path: Path) -> Post:
    """An outbox of the test's own."""
    return Post(database, tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def hook() -> Callable[..., dict[str, Any]]:
    return lambda receiver, **more: {"url": f"{receiver.url}/hooks/T0K3N", **more}
