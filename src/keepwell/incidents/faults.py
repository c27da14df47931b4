"""What speaks of a fault, in one shape: a decline that was told, a finding of the contract, a source or a cycle that failed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from keepwell.diagnosis import Explanation, Ranked, words_of
from keepwell.incidents.records import CYCLES, MODEL, SOURCE, End, Fault
from keepwell.monitoring import Said

LOSS = {"binary": "log loss", "multiclass": "log loss", "regression": "squared error"}
FAILED, SOURCE_FAILED = "cycle", "source"  # ids
LONGEST = 300  # of a message that comes from outside
Z90 = 1.645


def decline_id(version: int, number: int) -> str:
    """Names a decline that a version's watch told."""
    return f"watch/{version}/{number}"


def of_decline(
    key: str, said: Said, explanation: Explanation, ranked: Sequence[Ranked], *, task: str, maturity: float | None, critical_rise: float
) -> Fault:
    """A decline that the watch told, or a better diagnosis of it."""
    cause, began = explanation.cause, explanation.began
    harm = explanation.rise if explanation.rise is not None else explanation.harm
    is_critical = harm is not None and harm >= critical_rise * explanation.expected
    known = cause is not None and cause.kind != "unknown"
    likely = next((one for one in ranked if one.change is not None or (one.cause is not None and one.cause.kind != "unknown")), None)
    return Fault(
        key=key,
        id=decline_id(said.version, said.incident),
        family=MODEL,
        cls=cause.cls if cause is not None else "unknown",
        kind=cause.kind if cause is not None else "unknown",
        column=cause.column if known and cause is not None and cause.cls == "data_quality" else "",
        first=began.low,
        last=began.high,
        level=began.level,
        severity="critical" if is_critical else "warning",
        headline="is declining",
        words=words_of(cause) if known and cause is not None else likely.sentence if likely else "the cause is not proven",
        facts={
            "version": said.version,
            "began": began.at.isoformat(),
            "share": _share(explanation),
            "loss": _loss(explanation, task),
            "maturity": maturity,
            "next": [one.sentence for one in ranked[1:3] if one.score > 0.25 * ranked[0].score],
        },
    )


def _share(explanation: Explanation) -> float | None:
    cause = explanation.cause
    if cause is None or cause.cls != "data_quality" or cause.harm is None or not explanation.rise or explanation.rise <= 0:
        return None
    return min(max(cause.harm / explanation.rise, 0.0), 1.0)


def _loss(explanation: Explanation, task: str) -> dict[str, Any] | None:
    is_measured = explanation.rise is not None
    rise, error = (explanation.rise, explanation.rise_error) if is_measured else (explanation.harm, explanation.harm_error)
    if rise is None or (rise <= 0 and not is_measured):
        return None
    after, spread = explanation.expected + rise, Z90 * (error or 0.0)
    return {
        "name": LOSS.get(task, "loss"),
        "before": explanation.expected,
        "after": after,
        "low": after - spread,
        "high": after + spread,
        "is_measured": is_measured,
    }


def recovery_of(said: Said) -> End:
    """The end of a decline, as the watch told it."""
    return End(decline_id(said.version, said.incident), said.as_of, "it recovered")


def of_finding(key: str, finding: Mapping[str, Any], since: datetime, now: datetime) -> Fault:
    """A finding of the contract that speaks of a broken feed; it began after the last batch without it, at `since`."""
    kind, column = str(finding["kind"]), str(finding["column"] or "")
    is_source = kind == "stale"
    aside = "broken rows wait in quarantine" if finding["action"] == "quarantine" else "its rows are kept"
    what = str(finding["message"]).partition(": ")[2] or str(finding["message"])
    return Fault(
        key=key,
        id=finding_id(finding),
        family=SOURCE if is_source else MODEL,
        cls="data_quality",
        kind=kind.replace(" ", "_"),
        column="" if is_source else column,
        first=min(since, now),
        last=now,
        headline="gets no new data" if is_source else "gets broken data",
        words=_short(what),
        facts={"rows": finding["rows"], "aside": "" if is_source else aside},
    )


def finding_id(finding: Mapping[str, Any]) -> str:
    """Names a finding while it lasts."""
    return f"contract/{finding['kind']}/{finding['column'] or ''}"


def of_source(key: str, error: str, since: datetime, now: datetime) -> Fault:
    """A source that gave nothing."""
    return Fault(
        key=key,
        id=SOURCE_FAILED,
        family=SOURCE,
        cls="source",
        kind="source failed",
        first=min(since, now),
        last=now,
        severity="info",
        headline="gets no data",
        words=_short(error),
    )


def of_failures(key: str, message: str, times: int, since: datetime, now: datetime) -> Fault:
    """Cycles that keep failing."""
    return Fault(
        key=key,
        id=FAILED,
        family=CYCLES,
        cls="keepwell",
        kind="failing cycle",
        first=min(since, now),
        last=now,
        severity="critical",
        headline="is not cared for",
        words=_short(f"{times} cycles in a row failed, the newest because: {message}"),
        facts={"failures": times},
    )


def _short(text: str) -> str:
    whole = " ".join(text.split()).rstrip(".")
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"
