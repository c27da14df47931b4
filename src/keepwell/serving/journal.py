"""The durable journal of predictions: a record is acknowledged only when it is on the disk.

One thread writes. While it waits for the disk, records gather; it then writes all of them in one go with one sync (group
commit), so that sixty-four waiting callers cost about as much as one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from keepwell.errors import InputInvalid, StorageUnavailable
from keepwell.serving.segments import OpenSegment, pack, sync_folder
from keepwell.serving.writers import claim_writer, release_writer

log = logging.getLogger("keepwell")


@dataclass(frozen=True)
class _Waiting:
    """Frames of so many records, for which one caller waits; without frames and `then_roll`, a wish to seal."""

    frames: bytes
    records: int
    done: Future[None]
    then_roll: bool = False


class Journal:
    """Append records durably to segment files in a local folder.

    Any number of processes may each have a journal in the same folder, and any number of threads may append to one.

    Parameters
    ----------
    folder : made when missing; must be on a local disk (the locks and the sync are the kernel's).
    segment_bytes : a segment that has reached this size is sealed, bytes.
    segment_s : a segment is sealed this long after its first record, also when nothing more comes, seconds.
    waiting_bytes : at most this much waits for the disk, bytes; more is held back.

    Raises
    ------
    StorageUnavailable : the folder cannot be made or written.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = 16 << 20, segment_s: float = 5.0, waiting_bytes: int = 32 << 20) -> None:
        self.folder = folder
        self.segment_bytes, self.segment_s, self.waiting_bytes = segment_bytes, segment_s, waiting_bytes
        self._guard = threading.Lock()
        self._work, self._room = threading.Condition(self._guard), threading.Condition(self._guard)
        self._queue: list[_Waiting] = []
        self._held_bytes = 0
        self._closed, self._failing = False, False
        self._segment: OpenSegment | None = None
        self._number = 0
        self._roll_at = float("inf")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)
            self.writer, self._lock = claim_writer(folder)
        except OSError as error:
            raise StorageUnavailable(f"journal {folder}", str(error)) from error  # who starts it is told where
        _living.add(self)
        self._thread = threading.Thread(target=self._run, name=f"journal {self.writer}", daemon=True)
        self._thread.start()

    def append(self, record: bytes, *, wait_s: float = 5.0) -> Future[None]:
        """Hand in one record; the future resolves when it is durable.

        Cancelling the future stops the waiting, not the writing. Callbacks run on the writing thread: keep them short.

        Parameters
        ----------
        wait_s : how long to wait for room when `waiting_bytes` are waiting already; 0 refuses at once (event loops).

        Raises
        ------
        StorageUnavailable : no room came in time, or the journal is closed. The future raises it when the disk refuses;
            then nothing of the record stays, and later appends work again as soon as the disk does.
        InputInvalid : the record alone is larger than `waiting_bytes`.
        """
        return self._hand_in(pack(record), 1, wait_s)

    def append_many(self, records: Iterable[bytes], *, wait_s: float = 5.0) -> Future[None]:
        """Hand in records that belong together: one future, which resolves when all are durable. See `append`."""
        packed = [pack(record) for record in records]
        return self._hand_in(b"".join(packed), len(packed), wait_s)

    def append_packed(self, frames: bytes, records: int, *, wait_s: float = 5.0) -> Future[None]:
        """Hand in so many records that another process has packed. See `append`."""
        return self._hand_in(frames, records, wait_s)

    def roll(self) -> None:
        """Seal the current segment, so that everything acknowledged until now can be shipped.

        Raises
        ------
        StorageUnavailable : the segment could not be sealed; it stays in use.
        """
        waiting = _Waiting(b"", 0, _promised(), then_roll=True)
        with self._guard:
            self._refuse_when_closed()
            self._queue.append(waiting)
            self._work.notify()
        waiting.done.result()

    def close(self) -> None:
        """Write what waits, seal, and give up the writer's lock. Closing twice is no error."""
        with self._guard:
            self._closed = True
            self._work.notify()
            self._room.notify_all()
        self._thread.join()
        with self._guard:
            if self in _living:
                _living.discard(self)
                release_writer(self.folder, self.writer, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- the callers' side ---

    def _hand_in(self, frames: bytes, records: int, wait_s: float) -> Future[None]:
        size = len(frames)
        if size > self.waiting_bytes:
            raise InputInvalid(f"A journal record of {size} bytes is larger than {self.waiting_bytes} bytes", "Send fewer rows at once.")
        waiting = _Waiting(frames, records, _promised())
        with self._guard:
            if self._held_bytes + size > self.waiting_bytes:
                self._wait_for_room(size, wait_s)
            self._refuse_when_closed()
            self._queue.append(waiting)
            self._held_bytes += size
            if len(self._queue) == 1:
                self._work.notify()
        return waiting.done

    def _wait_for_room(self, size: int, wait_s: float) -> None:
        if threading.current_thread() is self._thread:
            wait_s = 0  # a callback that waits here would wait for itself
        if not self._room.wait_for(lambda: self._closed or self._held_bytes + size <= self.waiting_bytes, wait_s):
            problem = f"{self._held_bytes} bytes wait for the disk and no more than {self.waiting_bytes} may; send more slowly"
            raise StorageUnavailable("journal", problem)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StorageUnavailable("journal", "it was closed, or belongs to the process that forked this one")

    def _unavailable(self, error: Exception) -> StorageUnavailable:
        """For whoever asked for an answer, perhaps a stranger: without the place on this disk, which is for the log."""
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error).replace(f"{self.folder}", "its folder")
        return StorageUnavailable("journal", problem or type(error).__name__)

    # --- the writing thread's side: only it touches the segment ---

    def _run(self) -> None:
        while (group := self._take()) is not None:
            failure = self._commit(b"".join([waiting.frames for waiting in group]), sum(waiting.records for waiting in group))
            roll_failure = self._roll_if_due(any(waiting.then_roll for waiting in group))
            self._note(failure or roll_failure)
            with self._guard:
                self._held_bytes -= sum(len(waiting.frames) for waiting in group)
                self._room.notify_all()
            for waiting in group:
                problem = roll_failure if waiting.then_roll else failure
                if problem is None:
                    waiting.done.set_result(None)
                else:
                    waiting.done.set_exception(self._unavailable(problem))  # one each: threads would share a traceback
        self._roll_if_due(True)

    def _note(self, failure: Exception | None) -> None:
        """Where it is that cannot be written: once, until it can be again."""
        if failure is not None and not self._failing:
            log.error("The journal in %s cannot be written: %s", self.folder, failure)
        self._failing = failure is not None

    def _take(self) -> list[_Waiting] | None:
        """All that waits; nothing when a segment has come of age; None when the journal is closed and empty."""
        with self._guard:
            while not self._queue and not self._closed and (left_s := self._roll_at - time.monotonic()) > 0:
                self._work.wait(min(left_s, threading.TIMEOUT_MAX))
            taken, self._queue = self._queue, []
            return None if self._closed and not taken else taken

    def _commit(self, frames: bytes, records: int) -> Exception | None:
        if not frames:
            return None
        try:
            if self._segment is None:
                self._number += 1
                self._segment = OpenSegment(self.folder, f"{self.writer}-{self._number:08d}")
                self._roll_at = time.monotonic() + self.segment_s
            self._segment.write(frames, records)
        except Exception as error:  # whatever it is, those who wait must hear it and the thread must live on
            if isinstance(error, FileNotFoundError):
                self._segment = None
            return error
        return None

    def _roll_if_due(self, is_wished: bool) -> Exception | None:
        segment, now = self._segment, time.monotonic()
        if segment is None:
            self._roll_at = float("inf")
        elif is_wished or segment.length >= self.segment_bytes or now >= self._roll_at:
            try:
                segment.seal()
            except OSError as error:
                self._roll_at = now + self.segment_s  # it stays in use; without a pause this would spin
                return error
            self._segment, self._roll_at = None, float("inf")
        return None

    def _leave_to_parent(self) -> None:
        """In a forked child: the lock, the segment and the thread are the parent's."""
        self._guard = threading.Lock()
        self._work, self._room = threading.Condition(self._guard), threading.Condition(self._guard)
        self._closed = True
        os.close(self._lock)  # else the dead parent would seem alive as long as this child lives


def _promised() -> Future[None]:
    """A future that nobody can cancel: what was handed in is written."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


_living: set[Journal] = set()


def _leave_journals_to_parent() -> None:
    for journal in _living:
        journal._leave_to_parent()
    _living.clear()


os.register_at_fork(after_in_child=_leave_journals_to_parent)
