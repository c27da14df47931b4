"""Live pages: one look at the record for all who watch, told to each as a server-sent event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from anyio import to_thread
from starlette.responses import Response, StreamingResponse

from keepwell.errors import KeepwellError

LOOK_S = 2.0
BEAT_S = 15.0  # a line at least this often, so that nothing in between takes the stream for dead
MOST = 500  # who is turned away asks again later; the page is there without it

log = logging.getLogger("keepwell.ui")


class Live:
    """Tells listeners the record's newest mark, when it changes.

    Parameters
    ----------
    look : answers the mark; called in a thread, every two seconds while somebody listens and never else.
    """

    def __init__(self, look: Callable[[], str]) -> None:
        self._look = look
        self._mark: str | None = None
        self._listeners = 0
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return self._listeners

    def answer(self) -> Response:
        """A stream of events, or a refusal when too many listen."""
        if self._is_closed or self._listeners >= MOST:
            return Response("Too many listen.", 503, {"Retry-After": "30"}, media_type="text/plain")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self.events(), media_type="text/event-stream", headers=headers)

    async def events(self) -> AsyncIterator[bytes]:
        """The mark at once, each new one when it comes, and a beat in between."""
        self._listeners += 1
        told: str | None = None
        try:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._watch())
            yield b"retry: 5000\n\n"
            while not self._is_closed:
                changed = self._changed
                if self._mark is not None and self._mark != told:
                    told = self._mark
                    yield f"event: record\ndata: {told}\n\n".encode()
                try:
                    await asyncio.wait_for(changed.wait(), BEAT_S)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._listeners -= 1

    def close(self) -> None:
        """End all streams; a server that stops need not wait for them. To be called in the event loop."""
        self._is_closed = True
        self._wake()

    async def _watch(self) -> None:
        while self._listeners and not self._is_closed:
            try:
                mark: str | None = await to_thread.run_sync(self._look)
            except KeepwellError as error:
                log.warning("The record cannot be looked at: %s", error.message)
                mark = self._mark
            if mark != self._mark:
                self._mark = mark
                self._wake()
            await asyncio.sleep(LOOK_S)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
