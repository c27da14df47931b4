"""What pages show is reckoned once for each state of the record, however many look."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from keepwell.incidents import list_live
from keepwell.orchestration import last_cycle
from keepwell.project import Project
from keepwell.storage import last_event

MOST = 256

Found = TypeVar("Found")


def mark_of(project: Project) -> str:
    """A short text that changes whenever anything was added to the record: a line, a cycle, or rows of a table."""
    context = project.context
    with context.database.read() as connection:
        event = last_event(connection, context.name)
        cycle = last_cycle(connection, context.name)
        words = sum(incident.revision for incident in list_live(connection, context.name))  # not every word of one is on the timeline
    newest = f"{cycle.cycle}.{cycle.status}.{cycle.attempt}" if cycle else "none"
    commits = ".".join(str(table.last_commit()) for table in context.tables)
    return f"{event}-{words}-{newest}-{commits}"


class Remembered:
    """What was made of one state of the record; the least used goes first. Two who ask for the same at once wait for one making."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._making: dict[tuple[Any, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[Any, ...], make: Callable[[], Found]) -> Found:
        """What was made under `key`, or what `make` makes now. An error is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: Found = self._kept[key]
                return found
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    again: Found = self._kept[key]
                    return again
            made = make()
            with self._lock:
                self._kept[key] = made
                self._making.pop(key, None)
                while len(self._kept) > MOST:
                    self._kept.popitem(last=False)
            return made
