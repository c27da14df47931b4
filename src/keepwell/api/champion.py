"""The version that answers now. It follows the champion alias; the old one answers until the new one is loaded, proved and warm."""

from __future__ import annotations

import logging
import time

from keepwell.deployment import SHADOW, living_trials
from keepwell.errors import KeepwellError, NotReady
from keepwell.orchestration import Context
from keepwell.registry import CHAMPION, PREVIOUS, aliases_now
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
        self._unfit: int | None = None
        self._cold: int | None = None  # the way back, when it could not be loaded
        self._warm: dict[int, Ready] = {}
        self.now: Ready | None = None
        self.challenger: Ready | None = None  # answers a share of the requests while it is on trial
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
            with self._context.database.read() as connection:
                aliases = aliases_now(connection, self._context.name)
        except KeepwellError as error:
            self._note(f"its champion cannot be looked up: {error.message}")
            return
        number = aliases.get(CHAMPION)
        if number is None:
            self.now = None
            self._note("it has no champion yet")
        elif self.now is not None and self.now.number == number:
            self._note(None)
        elif number != self._failed or time.monotonic() >= self._retry_at:
            self._load(number)
        if self._context.settings.promotion.canary_share:
            self._look_for_challenger()
        self._keep_warm(aliases.get(PREVIOUS))

    def _keep_warm(self, number: int | None) -> None:
        """Load the former champion beside the one that answers, so that a rollback only has to turn to it."""
        if number is None or number in self._warm or number == self._cold or self.now is None:
            return
        try:
            self._keep(number, made_ready(self._context.predictor(number)))
        except Exception as error:  # its rehearsal tells the same, on record
            self._cold = number
            log.warning("Version %d of '%s', the way back, cannot be loaded: %s", number, self._context.name, error)

    def _keep(self, number: int, found: Ready) -> None:
        self._warm[number] = found
        while len(self._warm) > KEPT_WARM:
            self._warm.pop(next(iter(self._warm)))

    def _look_for_challenger(self) -> None:
        """Only one that takes the same inputs as the champion: who asks does not know which of the two answers."""
        with self._context.database.read() as connection:
            trials = living_trials(connection, self._context.name, SHADOW)
        serving = self.predictor
        number = trials[-1].version if trials and serving and trials[-1].beside == serving.version.number else None
        if number is None or serving is None:
            self.challenger = None
        elif number != self._unfit and (self.challenger is None or self.challenger.number != number):
            self.challenger = None
            try:
                found = self._warm.get(number) or made_ready(self._context.predictor(number))
            except Exception as error:  # whatever its code raises, the champion answers everyone
                self._refuse(number, f"cannot be loaded: {error}")
                return
            if dict(found.predictor.signature) != dict(serving.signature):
                self._refuse(number, "takes other inputs than the champion")
                return
            self.challenger = found
            log.info("Version %d answers a share of '%s'", number, self._context.name)

    def _refuse(self, number: int, why: str) -> None:
        self._unfit = number
        log.warning("Version %d of '%s' gets no share of the requests: it %s", number, self._context.name, why)

    def _load(self, number: int) -> None:
        try:
            found = self._warm.pop(number, None) or made_ready(self._context.predictor(number))
        except Exception as error:  # whatever a model's code raises, the old version goes on answering
            self._failed, self._retry_at = number, time.monotonic() + RETRY_S
            self._note(f"version {number} is champion but cannot be loaded: {error}")
            return
        self._keep(number, found)
        self.now = found  # one assignment: every request sees the old version or the new one
        self._failed = None
        self._note(None)
        log.info("Version %d answers for '%s' by %s", number, self._context.name, found.agreement.runtime)

    def _note(self, note: str | None) -> None:
        if note is not None and note != self.note:
            log.warning("Model '%s': %s", self._context.name, note)
        self.note = note
