"""Let several policies live through the same kept history, side by side in processes of their own."""

from __future__ import annotations

import math
import multiprocessing
import os
import queue
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from keepwell.errors import EmptyWindow
from keepwell.orchestration import Context
from keepwell.rehearsal.outcomes import Outcome, Rehearsal
from keepwell.rehearsal.policies import Policy
from keepwell.rehearsal.replay import Span, first_expected, lay_out, replay

MOST_CYCLES = 261  # twenty years in steps of four weeks
LEAST_ROWS = 60
THREADS = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Told = Callable[[str, datetime, float], None]


def rehearse(
    context: Context,
    policies: Sequence[Policy],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    every: timedelta | None = None,
    workers: int | None = None,
    told: Told = lambda policy, moment, share: None,
) -> Rehearsal:
    """Live through the kept observations once for each policy; the record itself is only read.

    Parameters
    ----------
    since, until : the first and last cycle; default all that is kept.
    every : time between cycles; default a day, or as much more as keeps a life to `MOST_CYCLES` cycles.
    workers : processes; default one for each processor, at most one for each policy. 1 works in this process.
    told : called with (policy, moment, share of the way) after each cycle.

    Raises
    ------
    EmptyWindow : nothing is kept to live through.
    SettingInvalid : a policy holds a value that cannot be.
    """
    kept = context.observations.rows()
    if kept.height < LEAST_ROWS:
        raise EmptyWindow("The kept observations", kept.height, LEAST_ROWS)
    times: Any = kept[context.outline.time]
    since, until = since or times.min() + timedelta(days=30), until or times.max()
    assert since is not None
    assert until is not None
    if until <= since:
        raise EmptyWindow(f"The time from {since:%Y-%m-%d} to {until:%Y-%m-%d}", 0, 1)
    step = every or _step(until - since)
    check = context.settings.check
    span = Span(since, until, step, check.window_days, check.min_labels, check.tolerance, check.max_loss)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keepwell-rehearsal-") as folder:
        root = Path(folder)
        lay_out(context, root)
        count = min(workers or os.cpu_count() or 1, len(policies))
        outcomes = _apart(root, policies, span, count, told) if count > 1 else [_here(root, one, span, told) for one in policies]
        expected = first_expected(root, policies[0].name)
    target = span.max_loss if span.max_loss is not None else None if expected is None else expected * (1 + span.tolerance)
    took = time.monotonic() - begun
    days = step / timedelta(days=1)
    return Rehearsal(context.name, context.metric, since, until, days, span.window_days, target, tuple(outcomes), round(took, 1))


def _here(root: Path, policy: Policy, span: Span, told: Told) -> Outcome:
    return replay(root, policy, span, lambda name, moment: told(name, moment, span.share(moment)))


def _step(span: timedelta) -> timedelta:
    """A day, or whole days, from a week on whole weeks."""
    days = math.ceil(span / timedelta(days=1) / MOST_CYCLES)
    return timedelta(days=days if days < 7 else 7 * round(days / 7))


def _apart(root: Path, policies: Sequence[Policy], span: Span, count: int, told: Told) -> list[Outcome]:
    """Each policy in a process; those that build most begin first, for they take longest."""
    method = multiprocessing.get_context("spawn")  # a fork of a process with threads may stand still for ever
    done: Any = method.Queue()
    order = sorted(policies, key=_patience)
    with _one_thread(), ProcessPoolExecutor(count, method, _begin, (done,)) as pool:
        waiting = {pool.submit(_live, root, one, span): one.name for one in order}
        found: dict[str, Outcome] = {}
        try:
            while waiting:
                ended, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for name, moment in _drained(done):
                    told(name, moment, span.share(moment))
                for future in ended:
                    found[waiting.pop(future)] = future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list((pool._processes or {}).values()):
                process.terminate()
            raise
    return [found[one.name] for one in policies]


def _patience(policy: Policy) -> float:
    every = policy.sections.get("retrain", {}).get("every_days")
    return float(every) if every else math.inf


_done: list[Any] = []  # of a process that lives: where it says how far it is


def _begin(done: Any) -> None:
    _done.append(done)


def _live(root: Path, policy: Policy, span: Span) -> Outcome:
    return replay(root, policy, span, lambda name, moment: _done[0].put((name, moment)))


def _drained(done: Any) -> Iterator[tuple[str, datetime]]:
    while True:
        try:
            yield done.get_nowait()
        except queue.Empty:
            return


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started here use one thread each: there are as many of them as processors."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
