"""A decline in words: since when, by how much, because of what. One function, so that every door says the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from keepwell.diagnosis import Change, Explanation, ranked

Z90 = 1.645
LOSS = {"binary": "log loss", "multiclass": "log loss", "regression": "squared error"}


def tell(explanation: Explanation, *, task: str = "binary", changes: Sequence[Change] = ()) -> str:
    """The sentence of a decline, without the model's name.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from keepwell.diagnosis import Began, Cause
    >>> day = lambda n: datetime(2026, 5, n, tzinfo=UTC)
    >>> began = Began(day(14), day(13), day(16), 0.9, "step", "s:humidity")
    >>> cause = Cause("unit_change", "humidity", harm=0.08, detail="looks converted, percent to fraction")
    >>> tell(Explanation(began, (cause,), 0.08, 0.01, 0.1, 0.02, (), 0.1, 0.02, 0.5, True))
    'declining since 14 May 2026 (13 to 16 May, 90 %). Its log loss rose by 0.100 (20 %). Most likely the unit changed in humidity: looks \
converted, percent to fraction (about 80 % of the rise)'
    """
    parts = [f"declining since {_when(explanation)}", _rise(explanation, task), _avoidable(explanation)]
    told = ranked(explanation, changes)
    if not told or (told[0].cause is not None and told[0].cause.kind == "unknown"):
        names = ", ".join([one.cause.column for one in told if one.cause is not None and one.cause.column][:3])
        parts.append(f"The cause is not proven{f'; looked at first: {names}' if names else ''}")
    else:
        parts.append(f"Most likely {told[0].sentence}{_share(explanation, told[0].cause)}")
        if len(told) > 1 and told[1].score > 0.25 * told[0].score:
            parts.append(f"Next: {told[1].sentence}")
    if not explanation.has_labels:
        parts += [f"{note[:1].upper()}{note[1:]}" for note in explanation.notes]
    return ". ".join(part for part in parts if part)


def withdrawal(explanation: Explanation) -> str:
    """That a decline, told before its labels came, was none.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from keepwell.diagnosis import Began, Cause
    >>> day = datetime(2026, 5, 14, tzinfo=UTC)
    >>> cause = Cause("bias_ramp", "humidity", harm=0.08)
    >>> began = Began(day, day, day, 0.9, "step", "m:humidity")
    >>> withdrawal(Explanation(began, (cause,), 0.08, 0.01, -0.01, 0.005, (), None, None, 0.5, True))
    'the decline told since 14 May 2026 is withdrawn: the labels show -0.010 (± 0.008), a rise of 0.080 was expected'
    """
    rise, error = explanation.rise or 0.0, Z90 * (explanation.rise_error or 0.0)
    words = f"the labels show {rise:+.3f} (± {error:.3f}), a rise of {explanation.harm or 0.0:.3f} was expected"
    return f"the decline told since {explanation.began.at:%-d %B %Y} is withdrawn: {words}"


def span(low: datetime, high: datetime) -> str:
    """Two days, as short as they can be said.

    Examples
    --------
    >>> from datetime import UTC
    >>> span(datetime(2026, 5, 13, tzinfo=UTC), datetime(2026, 5, 16, tzinfo=UTC))
    '13 to 16 May'
    >>> span(datetime(2025, 12, 30, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    '30 December 2025 to 2 January 2026'
    """
    if (low.year, low.month) == (high.year, high.month):
        return f"{low.day} to {high:%-d %B}" if low.day != high.day else f"{high:%-d %B}"
    if low.year == high.year:
        return f"{low:%-d %B} to {high:%-d %B}"
    return f"{low:%-d %B %Y} to {high:%-d %B %Y}"


def _when(explanation: Explanation) -> str:
    began = explanation.began
    shape = ", growing" if began.shape == "ramp" else ""
    earlier = f"; {explanation.earlier:%-d %B %Y} was told first" if explanation.earlier else ""
    return f"{began.at:%-d %B %Y} ({span(began.low, began.high)}, {began.level:.0%}{shape}{earlier})".replace("%", " %")


def _rise(explanation: Explanation, task: str) -> str:
    name = LOSS.get(task, "loss")
    if explanation.rise is not None and explanation.rise > 0:
        return f"Its {name} rose by {explanation.rise:.3f} ({100 * explanation.rise / explanation.expected:.0f} %)"
    if explanation.harm:
        share = 100 * explanation.harm / explanation.expected
        known = "The labels that are in do not show it yet" if explanation.rise is not None else "Labels are not in yet"
        return f"{known}; its {name} is expected to rise by {explanation.harm:.3f} ({share:.0f} %)"
    return ""


def _avoidable(explanation: Explanation) -> str:
    """What recalibration would win, where that says more than the rise: easier cases can hide what goes wrong with them."""
    avoidable, rise = explanation.avoidable, explanation.rise
    if avoidable is None or rise is None or avoidable <= max(rise, 0.0) or avoidable < Z90 * (explanation.avoidable_error or 0.0):
        return ""
    share = 100 * avoidable / explanation.expected
    return f"Recalibrated on the labels since then it would lose {avoidable:.3f} ({share:.0f} %) less"


def _share(explanation: Explanation, cause: object) -> str:
    harm = getattr(cause, "harm", None)
    if harm is None or explanation.rise is None or explanation.rise <= 0 or getattr(cause, "cls", "") != "data_quality":
        return ""
    share = min(max(100 * harm / explanation.rise, 0), 100)
    return f" (about {round(share, -1):.0f} % of the rise)"
