"""The version that answers now. It follows the champion alias; the old one answers until the new one is loaded, proved and warm."""

from __future__ import annotations

import logging
import time

from keepwell.deployment import SHADOW, living_trials
from keepwell.errors import KeepwellError, NotReady
from keepwell.orchestration import Context
from keepwell.registry import CHALLENGER, CHAMPION, PREVIOUS, aliases_now
from keepwell.serving import Ready, made_ready

RETRY_S = 30.0  # a champion that cannot be loaded is tried again this much later
PATIENCE_S = 600.0  # the same of a version that nobody waits for
KEPT_WARM = 3  # versions that stay ready, so that going back takes no loading

log = logging.getLogger("keepwell.api")


class Champion:
    """The loaded champion of a model.

    `note` says what stands in the way of the version that should answer; None when all is well.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._not_before: dict[tuple[str, int], float] = {}  # (as what, version) that failed -> when it is tried again
        self._warm: dict[int, Ready] = {}
        self.now: Ready | None = None
        self.challenger: Ready | None = None  # answers a share of the requests while it is on trial
        self.note: str | None = "its champion is being loaded"

    def ready(self) -> Ready:
        """The version that answers.

        Raises
        ------
        NotReady : there is none.
        """
        now = self.now  # read once: it is changed by another thread
        if now is None:
            raise NotReady(self._context.name, self.note or "no version is loaded")
        return now

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
        elif self._is_due(CHAMPION, number):
            self._load(number)
        if self._context.settings.promotion.canary_share:
            self._look_for_challenger()
        else:
            self.challenger = None
        self._keep_warm(aliases.get(PREVIOUS))

    def _keep_warm(self, number: int | None) -> None:
        """Load the former champion beside the one that answers, so that a rollback only has to turn to it."""
        if number is None or number in self._warm or self.now is None or not self._is_due(PREVIOUS, number):
            return
        try:
            self._keep(number, made_ready(self._context.predictor(number)))
        except Exception as error:  # its rehearsal tells the same, on record
            self._put_off(PREVIOUS, number, PATIENCE_S)
            log.warning("Version %d of '%s', the way back, cannot be loaded: %s", number, self._context.name, error)

    def _is_due(self, what: str, number: int) -> bool:
        return time.monotonic() >= self._not_before.get((what, number), 0.0)

    def _put_off(self, what: str, number: int, pause_s: float) -> None:
        self._not_before[what, number] = time.monotonic() + pause_s

    def _keep(self, number: int, found: Ready) -> None:
        self._warm[number] = found
        while len(self._warm) > KEPT_WARM:
            self._warm.pop(next(iter(self._warm)))

    def _look_for_challenger(self) -> None:
        """Only one that takes the same inputs as the champion: who asks does not know which of the two answers."""
        with self._context.database.read() as connection:
            trials = living_trials(connection, self._context.name, SHADOW)
        serving = self.now
        number = trials[-1].version if trials and serving and trials[-1].beside == serving.number else None
        if number is None or serving is None:
            self.challenger = None
        elif self._is_due(CHALLENGER, number) and (self.challenger is None or self.challenger.number != number):
            self.challenger = None
            try:
                found = self._warm.get(number) or made_ready(self._context.predictor(number))
            except Exception as error:  # whatever its code raises, the champion answers everyone
                self._refuse(number, f"cannot be loaded: {error}", PATIENCE_S)
                return
            if dict(found.predictor.signature) != dict(serving.predictor.signature):
                self._refuse(number, "takes other inputs than the champion", float("inf"))
                return
            self.challenger = found
            log.info("Version %d answers a share of '%s'", number, self._context.name)

    def _on_trial(self, number: int) -> Ready | None:
        return self.challenger if self.challenger and self.challenger.number == number else None

    def _refuse(self, number: int, why: str, pause_s: float) -> None:
        self._put_off(CHALLENGER, number, pause_s)
        log.warning("Version %d of '%s' gets no share of the requests: it %s", number, self._context.name, why)

    def _load(self, number: int) -> None:
        try:
            found = self._warm.pop(number, None) or self._on_trial(number) or made_ready(self._context.predictor(number))
        except Exception as error:  # whatever a model's code raises, the old version goes on answering
            self._put_off(CHAMPION, number, RETRY_S)
            self._note(f"version {number} is champion but cannot be loaded: {error}")
            return
        self._keep(number, found)
        self.now = found  # one assignment: every request sees the old version or the new one
        self._note(None)
        log.info("Version %d answers for '%s' by %s", number, self._context.name, found.agreement.runtime)

    def _note(self, note: str | None) -> None:
        if note is not None and note != self.note:
            log.warning("Model '%s': %s", self._context.name, note)
        self.note = note
