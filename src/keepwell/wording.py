"""Numbers, moments and counts as tables show them, at every door."""

from __future__ import annotations

from datetime import datetime


def number(value: float | None) -> str:
    """A number for a table, to four digits; a dash when there is none.

    Examples
    --------
    >>> number(0.123456), number(12345.6), number(None), number(float("nan"))
    ('0.1235', '12,346', '–', '–')
    """
    if value is None or value != value:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def when(moment: datetime | str | None) -> str:
    """A moment for a table."""
    if moment is None:
        return "–"
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{found:%Y-%m-%d}" if (found.hour, found.minute, found.second) == (0, 0, 0) else f"{found:%Y-%m-%d %H:%M}"


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def interval(metric: dict[str, object] | None) -> str:
    """A metric's value with its 95 % interval, as a version's facts keep it."""
    if metric is None or metric.get("value") is None:
        return "–"
    value, low, high = (metric.get(name) for name in ("value", "low", "high"))
    around = f" ({number(low)} to {number(high)})" if isinstance(low, float) and isinstance(high, float) else ""
    return f"{number(value)}{around}" if isinstance(value, int | float) else "–"


def took(begun: datetime, ended: datetime | None) -> str:
    """How long something ran."""
    return "not ended" if ended is None else f"{(ended - begun).total_seconds():.1f} s"
