"""Silence is an alarm: what should have come and did not, each with its deadline. Pure: facts and a moment in, silences out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keepwell.incidents.records import CYCLES, SOURCE, End, Fault
from keepwell.notifying import Severity

if TYPE_CHECKING:
    from keepwell.settings import SilenceSection

PREFIX = "silence/"
FEW = 3  # rows whose labels are due; of fewer nothing is said
HEADLINE = "is unknown"


@dataclass(frozen=True)
class Labels:
    """Of the newest rows whose labels are due: how many, how many have one, and the time of the oldest without."""

    due: int
    known: int
    since: datetime | None


@dataclass(frozen=True)
class Answers:
    """The newest answers: how many, how many different ones, how many that are no numbers, and the time of the oldest of them."""

    count: int
    different: int
    broken: int
    since: datetime | None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was looked at. None: it was not, and nothing is said about it.

    Attributes
    ----------
    checked : moment of the newest check-up; `cycle_due` the scheduled moment by which the next one had to have come, with its grace.
    newest : time of the newest good observation.
    labels, answers : the newest rows, see there.
    asked : when the server answered last, or since when it is expected to.
    dead : names of workers that ended without saying so, each with the moment until which it was known to live.
    stuck : channels that do not deliver: since when, and in words.
    trained_until, built : the champion's newest training row, and the newest build that was tried; `max_age` is what is allowed.
    """

    checked: datetime | None = None
    cycle_due: datetime | None = None
    newest: datetime | None = None
    data_days: float = 3
    labels: Labels | None = None
    answers: Answers | None = None
    asked: datetime | None = None
    dead: tuple[tuple[str, datetime], ...] | None = None
    stuck: tuple[tuple[datetime, str], ...] | None = None
    trained_until: datetime | None = None
    built: datetime | None = None
    max_age: timedelta | None = None


@dataclass(frozen=True)
class _Silent:
    """Since when, how bad, and in words."""

    since: datetime
    severity: Severity
    words: str


def silences(settings: SilenceSection, seen: Seen, now: datetime) -> tuple[list[Fault], list[End]]:
    """What is silent beyond its deadline, and what was looked at and is not.

    A clock that went back makes nothing silent: what is newer than `now` has come.
    """
    faults: list[Fault] = []
    ends: list[End] = []
    for kind, (look, family, because) in LOOKS.items():
        found = look(settings, seen, now)
        if found is None:
            continue
        if isinstance(found, _Silent):
            faults.append(_fault(kind, family, found, now))
        else:
            ends.append(End(f"{PREFIX}{kind}", now, because))
    return faults, ends


def _fault(kind: str, family: str, found: _Silent, now: datetime) -> Fault:
    since = min(found.since, now)
    return Fault(
        # One silence is one sighting, however often it is looked at: its key says since when.
        key=f"{PREFIX}{kind}/{since.isoformat()}",
        id=f"{PREFIX}{kind}",
        family=family,
        cls="silence",
        kind=kind,
        first=since,
        last=since,
        severity=found.severity,
        headline=HEADLINE,
        words=found.words,
    )


Found = _Silent | bool | None  # silent; looked at and fine; not looked at


def _missed_cycle(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    if seen.cycle_due is None or seen.checked is None:
        return None
    if now <= seen.cycle_due:
        return True
    return _Silent(seen.checked, "critical", f"no scheduled cycle came since {_when(seen.checked)}")


def _late_data(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    if seen.newest is None:
        return None
    age = (now - seen.newest) / timedelta(days=1)
    if age <= seen.data_days:
        return True
    since = seen.newest + timedelta(days=seen.data_days)
    return _Silent(since, "warning", f"the newest observation is of {_when(seen.newest)}; {seen.data_days:g} days are allowed")


def _missing_labels(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    labels = seen.labels
    if labels is None or labels.due < FEW:
        return None
    if labels.known >= settings.labels_share * labels.due:
        return True
    words = f"{labels.known} of the {labels.due} newest labels that are due have come ({settings.labels_share:.0%} are needed)"
    return _Silent(labels.since or now, "warning", words)


def _no_traffic(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    if seen.asked is None or settings.traffic_hours is None:
        return None
    if now - seen.asked <= timedelta(hours=settings.traffic_hours):
        return True
    return _Silent(seen.asked, "warning", f"nobody asked the server since {_when(seen.asked)}; {settings.traffic_hours:g} h are allowed")


def _dead_worker(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    if seen.dead is None:
        return None
    late = [(name, until) for name, until in seen.dead if now - until > timedelta(minutes=settings.worker_minutes)]
    if not late:
        return True
    names = ", ".join(name for name, _ in late)
    return _Silent(min(until for _, until in late), "warning", f"the worker {names} ended without saying so, and nobody took over")


def _dead_notifier(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    if seen.stuck is None:
        return None
    if not seen.stuck:
        return True
    since = min(moment for moment, _ in seen.stuck)
    return _Silent(since, "critical", f"{'; '.join(words for _, words in seen.stuck[:3])} (since {_when(since)})")


def _broken_answers(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    answers = seen.answers
    if answers is None or not settings.constant_answers or not answers.count:
        return None
    if not answers.broken:
        return True
    return _Silent(answers.since or now, "critical", f"{answers.broken} of the newest {answers.count} answers are no numbers")


def _constant_answers(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    answers = seen.answers
    if answers is None or not settings.constant_answers or answers.count < settings.constant_answers or answers.broken:
        return None
    if answers.different > 1:
        return True
    return _Silent(answers.since or now, "critical", f"the newest {answers.count} answers are all the same")


def _old_model(settings: SilenceSection, seen: Seen, now: datetime) -> Found:
    if seen.trained_until is None or seen.max_age is None:
        return None
    fresh = max(seen.trained_until, seen.built or seen.trained_until)
    if now - fresh <= seen.max_age:
        return True
    words = f"its newest training row is of {_when(seen.trained_until)}, and no build was tried for {(now - fresh).days} days"
    return _Silent(fresh + seen.max_age, "warning", words)


def _when(moment: datetime) -> str:
    clock = f" {moment:%H:%M}" if (moment.hour, moment.minute) != (0, 0) else ""
    return f"{moment:%-d %B %Y}{clock}"


# Kind -> how it is looked at, the family it may be one fault with, and what ends it. A dead worker's cycles do not come: one story.
LOOKS: dict[str, tuple[Callable[[SilenceSection, Seen, datetime], Found], str, str]] = {
    "missed cycle": (_missed_cycle, CYCLES, "a cycle came"),
    "dead worker": (_dead_worker, CYCLES, "a worker took over"),
    "late data": (_late_data, SOURCE, "new observations came"),
    "missing labels": (_missing_labels, "labels", "labels came"),
    "no traffic": (_no_traffic, "traffic", "the server was asked"),
    "dead notifier": (_dead_notifier, "notifier", "notices are told again"),
    "broken answers": (_broken_answers, "answers", "the answers are numbers"),
    "constant answers": (_constant_answers, "answers", "the answers differ"),
    "old model": (_old_model, "age", "it is young enough, or a build was tried"),
}
