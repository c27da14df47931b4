"""The version that answers now. It follows the champion alias; the old one answers until the new one is loaded, proved and warm."""

from __future__ import annotations

import logging
import time

from keepwell.errors import KeepwellError, NotReady
from keepwell.orchestration import Context
from keepwell.serving import Predictor, Ready, made_ready

RETRY_S = 30.0  # a version that cannot be loaded is tried again this much later
KEPT_WARM = 3  # versions that stay ready, so that going back takes no loading

log = logging.getLogger("keepwell.api")


class Champion:
    """The loaded champion of a model.

    `note` says what stands in the way of the version that should answer; None when all is well.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._failed: int | None = None
        self._retry_at = 0.0
        self._warm: dict[int, Ready] = {}
        self.now: Ready | None = None
        self.note: str | None = "its champion is being loaded"

    @property
    def predictor(self) -> Predictor | None:
        """The version that answers, as it was loaded."""
        return self.now.predictor if self.now else None

    def ready(self) -> Ready:
        """The version that answers.

        Raises
        ------
        NotReady : there is none.
        """
        if self.now is None:
            raise NotReady(self._context.name, self.note or "no version is loaded")
        return self.now

    def look(self) -> None:
        """Look where the alias points, and load that version when it is another one. Blocks; not for the event loop."""
        try:
            number = self._context.champion()
        except KeepwellError as error:
            self._note(f"its champion cannot be looked up: {error.message}")
            return
        if number is None:
            self.now = None
            self._note("it has no champion yet")
        elif self.now is not None and self.now.number == number:
            self._note(None)
        elif number != self._failed or time.monotonic() >= self._retry_at:
            self._load(number)

    def _load(self, number: int) -> None:
        try:
            found = self._warm.pop(number, None) or made_ready(self._context.predictor(number))
        except Exception as error:  # whatever a model's code raises, the old version goes on answering
            self._failed, self._retry_at = number, time.monotonic() + RETRY_S
            self._note(f"version {number} is champion but cannot be loaded: {error}")
            return
        self._warm[number] = found
        while len(self._warm) > KEPT_WARM:
            self._warm.pop(next(iter(self._warm)))
        self.now = found  # one assignment: every request sees the old version or the new one
        self._failed = None
        self._note(None)
        log.info("Version %d answers for '%s' by %s", number, self._context.name, found.agreement.runtime)

    def _note(self, note: str | None) -> None:
        if note is not None and note != self.note:
            log.warning("Model '%s': %s", self._context.name, note)
        self.note = note
