"""The one place where a source is asked again: tries, growing pauses with jitter, then an honest refusal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from keepwell.errors import SourceUnavailable
from keepwell.settings import GatherSection

Answer = TypeVar("Answer")
LONGEST_PAUSE_S = 120.0


class NotNow(Exception):
    """An attempt failed in a way that may pass.

    `wait_s` is how long the other side asks to be left alone. A cycle does not sleep for hours: when that is longer than
    `LONGEST_PAUSE_S`, asking again is left to the next cycle.
    """

    def __init__(self, problem: str, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.wait_s = wait_s


@dataclass(frozen=True)
class Patience:
    """How often to ask and how long to pause; `sleep` is an argument so that tests need not."""

    tries: int = 4
    wait_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def of(cls, gather: GatherSection) -> Patience:
        return cls(tries=gather.tries, wait_s=gather.wait_s)

    def ask(self, source: str, attempt: Callable[[], Answer]) -> Answer:
        """Call `attempt` until it answers.

        The pause before try n + 1 is `wait_s * 2**(n - 1)` seconds, at most 60, plus up to `wait_s` at random (so that many
        models do not knock together), and never shorter than what the other side asked for.

        Raises
        ------
        SourceUnavailable : every try raised `NotNow`.
        """
        backoff = wait_exponential(multiplier=self.wait_s, max=60) + wait_random(0, self.wait_s)
        retrying = Retrying(
            retry=retry_if_exception_type(NotNow),
            stop=lambda state: stop_after_attempt(self.tries)(state) or _failure(state).wait_s > LONGEST_PAUSE_S,
            wait=lambda state: max(backoff(state), _failure(state).wait_s),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except NotNow as failure:
            raise SourceUnavailable(source, failure.problem, retrying.statistics["attempt_number"]) from None


def _failure(state: RetryCallState) -> NotNow:
    failure = state.outcome.exception() if state.outcome else None
    return failure if isinstance(failure, NotNow) else NotNow("no answer")
