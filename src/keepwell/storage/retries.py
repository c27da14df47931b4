"""How long an object store that fails is asked again: the same for the three libraries that ask one.

Each request is repeated by the library itself, with growing pauses, so that a store that refuses half of them costs time and
nothing else. When RETRY_S are over the caller is told. By themselves they would go on for three minutes, which to a person
at a terminal, and to the lock that a flush holds, looks like for ever. A store that takes a request and then says nothing is
told after the thirty seconds that one request may take (a large model needs them), which is not repeated then.

A write whose answer was lost is repeated too, though the store has done it. That is harmless: files are named by their content or
written whole, and a second commit of the same rows to a table is refused by the number that the first one left (`tables.APP`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obstore.store import RetryConfig

RETRY_S = 12
TRIES = 20
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 50, 2_000

OBSTORE: RetryConfig = {
    "max_retries": TRIES,
    "retry_timeout": timedelta(seconds=RETRY_S),
    "backoff": {
        "init_backoff": timedelta(milliseconds=FIRST_PAUSE_MS),
        "max_backoff": timedelta(milliseconds=LONGEST_PAUSE_MS),
    },
}
DELTA = {
    "max_retries": str(TRIES),
    "retry_timeout": f"{RETRY_S}s",
    "backoff_config.init_backoff": f"{FIRST_PAUSE_MS}ms",
    "backoff_config.max_backoff": f"{LONGEST_PAUSE_MS}ms",
}
# Polars asks twice over.
POLARS: dict[str, Any] = {
    "max_retries": TRIES,
    "retry_timeout_ms": 1000 * RETRY_S // 2,
    "retry_init_backoff_ms": FIRST_PAUSE_MS,
    "retry_max_backoff_ms": LONGEST_PAUSE_MS,
}
