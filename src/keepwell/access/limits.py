"""So many requests a minute: a bucket in memory, one number each."""

from __future__ import annotations

WINDOW_S = 60.0


class Bucket:
    """Lets through `per_minute` requests at once, and from then on one each 60 / `per_minute` seconds.

    It is the generic cell rate algorithm (ITU-T I.371): a bucket needs only the moment at which it would be full again. A library
    for this brings stores and strategies that a number in one process does not need.

    Examples
    --------
    >>> bucket = Bucket(2)
    >>> bucket.take(0.0), bucket.take(0.0), bucket.take(0.0), bucket.take(30.0)
    (0.0, 0.0, 30.0, 0.0)
    """

    __slots__ = ("_full_at", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._full_at = float("-inf")

    def take(self, now: float) -> float:
        """0 when a request may pass; otherwise after how many seconds the next one may."""
        # No bucket is further from full than a minute: where it seems so, the clock was set back.
        self._full_at = min(self._full_at, now + WINDOW_S)
        full_at = max(self._full_at, now) + WINDOW_S / self.per_minute
        wait = full_at - now - WINDOW_S
        if wait > 1e-6:  # the sum of so many parts of a minute is not exactly a minute
            return wait
        self._full_at = full_at
        return 0.0
