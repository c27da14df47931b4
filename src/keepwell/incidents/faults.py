"""What speaks of a fault, in one shape: a decline that was told, a finding of the contract, a source or a cycle that failed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from keepwell.diagnosis import Explanation, Ranked
from keepwell.incidents.records import CYCLES, MODEL, SOURCE, End, Fault
from keepwell.monitoring import LOSS, Z90, Said

FAILED, SOURCE_FAILED = "cycle", "source"  # ids
UNANSWERED = "silence/no answers"
SKEWED = "skew/"  # and the feature
STALE = "stale"  # the contract's finding that nothing new came
UNPROVEN = "the cause is not proven"
LONGEST = 200  # characters of a clause


def decline_id(version: int, number: int) -> str:
    """Names a decline that a version's watch told."""
    return f"watch/{version}/{number}"


def of_decline(
    key: str, said: Said, explanation: Explanation, ranked: Sequence[Ranked], *, task: str, maturity: float | None, critical_rise: float
) -> Fault:
    """A decline that the watch told, or a better diagnosis of it."""
    began, top = explanation.began, ranked[0] if ranked else None
    harm = explanation.rise if explanation.rise is not None else explanation.harm
    is_critical = harm is not None and harm >= critical_rise * explanation.expected
    found = top.cause if top is not None and top.cause is not None else explanation.cause
    share = explanation.share(found) if found is not None else None
    # A broken column that explains next to nothing of the rise is told, and nobody is sent to mend it for this.
    names = found is not None and found.kind != "unknown" and explanation.explains(found)
    is_change = top is not None and top.change is not None
    return Fault(
        key=key,
        id=decline_id(said.version, said.incident),
        family=MODEL,
        cls=found.cls if names and found is not None else "unknown",
        kind=found.kind if names and found is not None else "unknown",
        column=found.column if names and found is not None and found.cls == "data_quality" else "",
        first=began.low,
        last=began.high,
        level=began.level,
        severity="critical" if is_critical else "warning",
        headline="is declining",
        words=_words(top, names or is_change),
        facts={
            "version": said.version,
            "began": began.at.isoformat(),
            "share": share if names and not is_change else None,
            "loss": _loss(explanation, task),
            "maturity": maturity,
            "next": [_short(one.sentence) for one in ranked[1:2] if one.score > 0.25 * ranked[0].score],
        },
    )


def _words(top: Ranked | None, is_proven: bool) -> str:
    if top is None or (top.cause is not None and top.cause.kind == "unknown"):
        return UNPROVEN
    return _short(top.sentence) if is_proven else f"{UNPROVEN}; looked at first: {_short(top.sentence)}"


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


def end_of(said: Said) -> End:
    """The end of a decline, as the watch told it."""
    why = "it recovered" if said.kind == "recovered" else "labels show that it cost nothing"
    return End(decline_id(said.version, said.incident), said.as_of, why)


def of_finding(key: str, finding: Mapping[str, Any], since: datetime, now: datetime) -> Fault:
    """A finding of the contract that speaks of a broken feed.

    It began after the last row without it, and no later than its first row; where the finding does not say these, after the last batch
    without it, at `since`.
    """
    kind, column = str(finding["kind"]), str(finding["column"] or "")
    is_source = kind == STALE
    after, first = (datetime.fromisoformat(text) if (text := finding.get(name)) else None for name in ("after", "first"))
    what = str(finding.get("what") or "").partition(": ")[0] or _what(str(finding["message"]))
    aside = "broken rows wait in quarantine" if finding["action"] == "quarantine" else "its rows are kept"
    return Fault(
        key=key,
        id=finding_id(finding),
        family=SOURCE if is_source else MODEL,
        cls="data_quality",
        kind=kind.replace(" ", "_"),
        column="" if is_source else column,
        first=min(after or since, now),
        last=min(since, now) if is_source else min(first or now, now),
        headline="gets no new data" if is_source else "gets broken data",
        words=_short(f"{kind}{f' in {column}' if column and not is_source else ''}: {what}"),
        facts={"rows": finding["rows"], "aside": "" if is_source else aside},
    )


def _what(message: str) -> str:
    """What is wrong, out of a finding's message: kind, column, rows, for example, what is wrong; what became of the rows. What to do."""
    told = message.partition("; set aside")[0].partition("; kept")[0]
    return told.rpartition("UTC: " if "UTC: " in told else ": ")[2].partition(". ")[0]


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


def of_unanswered(key: str, version: int, problem: str, since: datetime, now: datetime) -> Fault:
    """A version that cannot answer rows that are due."""
    return Fault(
        key=key,
        id=UNANSWERED,
        family="answers",
        cls="silence",
        kind="no answers",
        first=min(since, now),
        last=now,
        severity="critical",
        headline="is unknown",
        words=_short(f"version {version} cannot answer: {problem}"),
    )


def of_skew(key: str, feature: str, seen: Mapping[str, Any], *, of: int, is_answer: bool, since: datetime, now: datetime) -> Fault:
    """A feature that was served otherwise than the version's own code computes it from the tables, or answers that are not the version's.

    Parameters
    ----------
    seen : `rows` that differ of so many (`of`), and the first of them: `served`, `computed`, `prediction_id`, `since`.
    """
    what = "the answer kept is not the version's" if is_answer else f"{feature} as served is not what the features code makes of the data"
    example = f"{_value(seen['served'])} instead of {_value(seen['computed'])} (prediction {seen['prediction_id'][:12]})"
    last = min(seen["since"], now)
    return Fault(
        key=key,
        id=f"{SKEWED}{feature}",
        family="skew",
        cls="skew",
        kind="other answers" if is_answer else "other features",
        column="" if is_answer else feature,
        first=min(since, last),
        last=last,
        headline="gets other features than it was trained on" if not is_answer else "is answering otherwise than its version does",
        words=_short(f"{what}: {example}, in {seen['rows']} of {of} made again"),
    )


def _value(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)[:40]


def _short(text: str) -> str:
    whole = " ".join(text.split()).rstrip(".")
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"
