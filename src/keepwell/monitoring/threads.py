"""One thread for the algebra of one batch: it is small, and a second thread that waits for its half of it costs more than the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any

_lock = Lock()
_inside: list[Any] = []  # the limit once for each thread that is inside: the last one out lifts it


@contextmanager
def one_thread() -> Iterator[None]:
    """Let NumPy's matrix products use one thread. The limit is the process's, so it is set once and lifted once, whoever overlaps."""
    with _lock:
        _inside.append(_inside[0] if _inside else _controller().limit(limits=1, user_api="blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _inside.pop()
            if not _inside:
                limit.restore_original_limits()


@lru_cache(maxsize=1)
def _controller() -> Any:
    """Found once, since looking for the loaded libraries takes as long as an update."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
