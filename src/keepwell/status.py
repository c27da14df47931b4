"""How a model is, in one sentence and its facts: the same words for the command line, REST, pages and Python."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from keepwell.errors import KeepwellError

if TYPE_CHECKING:
    from keepwell.monitoring import Checkup
    from keepwell.orchestration import Context, CycleRecord
    from keepwell.registry import AliasChange
    from keepwell.retraining import Pause, RetrainDecision

WORDS = ("well", "watch", "unwell", "unknown", "paused")
GRACE = timedelta(minutes=10)  # a cycle that is due may still be at work


@dataclass(frozen=True, kw_only=True)
class Status:
    """One model at one moment.

    Attributes
    ----------
    word : one of `WORDS`; the worst of the last check-up, a failed cycle and silence; *paused* while nobody lets it act.
    since : when it became so, or None when nothing is known.
    because : why, with the numbers.
    checked : moment of the check-up this rests on, or None.
    realised, low, high : loss over the window with its 95 % interval; `expected` is the one at evaluation.
    maturity : share of the labels that are due and in.
    retraining : what asks for a new version, or asked for the one that the last cycle built; None when nothing does.
    held_by : what holds it, or None. coming : what the next cycle does about it, or None; `upcoming` answers these as of now.
    trial : which version answers beside the champion, unseen, and what it shows; None when none does.
    way_back : where a rollback would go, and when that was rehearsed; None when nowhere.
    waiting : rows in quarantine.
    incidents : those that are not closed, newest first, as `brief` has them.
    orphans : kinds of causes that nobody owns.
    """

    model: str
    at: datetime
    word: str
    since: datetime | None
    because: str
    checked: datetime | None
    metric: str | None = None
    realised: float | None = None
    low: float | None = None
    high: float | None = None
    expected: float | None = None
    labels: int = 0
    maturity: float | None = None
    champion: int | None = None
    champion_since: datetime | None = None
    retraining: str | None = None
    held_by: str | None = None
    coming: str | None = None
    next_cycle: datetime | None = None
    waiting: int = 0
    owner: str | None = None
    deputy: str | None = None
    untold: tuple[str, ...] = ()  # channels that do not deliver, each in a sentence
    incidents: tuple[dict[str, Any], ...] = ()
    orphans: tuple[str, ...] = ()
    trial: str | None = None
    way_back: str | None = None

    @property
    def headline(self) -> str:
        """The word, since when, and why."""
        since = f" since {day(self.since)}" if self.since else ""
        return f"{self.model} is {self.word}{since}: {self.because}."

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """What else to know, as (about, clause)."""
        return (
            ("Labels", "none is due yet" if self.maturity is None else f"{self.maturity:.0%} of those that are due are in"),
            ("Serving", f"version {self.champion} since {day(self.champion_since)}" if self.champion else "no version serves"),
            ("Way back", self.way_back or "none: there is no former champion to go back to"),
            ("Trial", self.trial or "no version is on trial"),
            ("Retraining", _retraining(self.retraining, self.held_by, self.coming)),
            ("Next cycle", day(self.next_cycle) if self.next_cycle else "nothing is scheduled"),
            ("Quarantine", f"{self.waiting:,} {'row waits' if self.waiting == 1 else 'rows wait'}" if self.waiting else "empty"),
            ("Owner", _owner(self.owner, self.deputy)),
            *([("Telling", "; ".join(self.untold))] if self.untold else []),
            *([("Orphans", f"nobody is told about {', '.join(self.orphans)}")] if 0 < len(self.orphans) < 4 else []),
            *(("Incident", one["clause"]) for one in self.incidents),
        )

    @property
    def sentence(self) -> str:
        """The headline and all lines as one paragraph."""
        return " ".join([self.headline, *(f"{about}: {clause}." for about, clause in self.lines)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the sentence; moments as ISO text."""
        plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()}
        return {**plain, "sentence": self.sentence}

    def _repr_html_(self) -> str:
        from keepwell.notebook import card

        return card(self.word, self.headline, self.lines)


def day(moment: datetime | None) -> str:
    """A moment as people say it.

    Examples
    --------
    >>> day(datetime(2026, 5, 4, tzinfo=UTC)), day(datetime(2026, 5, 4, 6, 30, tzinfo=UTC))
    ('4 May 2026', '4 May 2026 06:30')
    """
    if moment is None:
        return "ever"
    moment = moment.astimezone(UTC)
    clock = f" {moment:%H:%M}" if (moment.hour, moment.minute) != (0, 0) else ""
    return f"{moment.day} {moment:%B %Y}{clock}"


def status(context: Context, at: datetime | None = None) -> Status:
    """How a model is now, or was at a moment of the past.

    The word is that of the last check-up. Two scheduled cycles that did not come make it *unknown*: silence is an alarm. A
    newest cycle that failed makes *well* a *watch*.
    """
    from keepwell.incidents import list_incidents, orphans, words_of
    from keepwell.monitoring import last_checkup
    from keepwell.orchestration import around_now, brief, last_cycle, list_quarantine
    from keepwell.registry import CHAMPION, list_alias_changes
    from keepwell.retraining import list_decisions

    now = at or datetime.now(UTC)
    with context.database.read() as connection:
        incidents = list_incidents(connection, context.name, at=now)
        around = around_now(connection, context, now)
        checkup = last_checkup(connection, context.name, before=now + timedelta(microseconds=1))
        cycle = last_cycle(connection, context.name)
        changes = [change for change in list_alias_changes(connection, context.name, CHAMPION) if change.since <= now]
        decisions = [decision for moment, decision in list_decisions(connection, context.name, None if at else 1) if moment <= now]
    champion = _champion(changes)
    word, since, because = _judge(context, checkup, cycle if cycle and cycle.as_of <= now else None, champion, now)
    waiting = [row for row in list_quarantine(context) if row["since"] <= now]
    because += _aside(waiting, checkup)
    if word in ("well", "watch") and (silent := [one for one in incidents if one.cls == "silence"]):
        word, since, because = "unknown", silent[-1].first, words_of(silent[-1])
    if (pause := _pause(context, now, at is not None)) is not None:
        word, since, because = "paused", pause.since, f"{pause.words}; without that it would be {word}: {because}"
    facts = checkup.facts if checkup else {}
    retraining, held_by, coming = _wanted(context, now, decisions[0] if decisions else None, is_past=at is not None)
    return Status(
        model=context.name,
        at=now,
        word=word,
        since=since,
        because=because,
        checked=checkup.as_of if checkup else None,
        **{name: facts.get(name) for name in ("metric", "realised", "low", "high", "expected", "maturity")},
        labels=facts.get("labels", 0),
        champion=champion.number if champion else None,
        champion_since=champion.since if champion else None,
        retraining=retraining,
        held_by=held_by,
        coming=coming,
        next_cycle=_next(context, now, 1),
        waiting=len(waiting),
        owner=context.settings.owner.owner,
        deputy=context.settings.owner.deputy,
        untold=() if at else _untold(context, now),
        incidents=tuple(brief(one, around) for one in incidents),
        orphans=orphans(context.settings.owner),
        trial=_trial(context, now),
        way_back=_way_back(context, now),
    )


def _trial(context: Context, now: datetime) -> str | None:
    """Living trials in one clause; nothing is known of how they stood at a moment of the past."""
    from keepwell.deployment import WAITING, living_trials
    from keepwell.orchestration import facts_of

    with context.database.read() as connection:
        found = [facts_of(trial) for trial in living_trials(connection, context.name) if trial.since <= now]
    told = []
    for one in found:
        who = f"version {one['version']}" + (f" beside {one['beside']}" if one["beside"] else "")
        what = "waits for a person" if one["status"] == WAITING else f"{one['kind']} until {day(one['until'])}"
        told.append(f"{who}, {what}: {one['shows']}")
    return "; ".join(told) or None


def _way_back(context: Context, now: datetime) -> str | None:
    from keepwell.deployment import last_rehearsal, way_back

    with context.database.read() as connection:
        number = way_back(connection, context.name, now)
        found = last_rehearsal(connection, context.name, number) if number is not None else None
    if number is None:
        return None
    if found is None or found.at > now:
        return f"version {number}, not rehearsed yet"
    when = "today" if now - found.at < timedelta(days=1) else f"on {day(found.at)}"
    if not found.passed:
        return f"none: the rehearsal of version {number} failed {when} ({found.problem})"
    return f"version {number}, rehearsed {when}, {found.took}"


def _judge(
    context: Context, checkup: Checkup | None, cycle: CycleRecord | None, champion: AliasChange | None, now: datetime
) -> tuple[str, datetime | None, str]:
    if checkup is None:
        if cycle is not None and cycle.status == "failed":
            return "unknown", cycle.as_of, f"its first cycle failed: {cycle.sentence.rstrip('.')}"
        return "unknown", None, "it has not been checked yet; `keepwell run` does"
    silent = _next(context, checkup.as_of, 2)
    if silent is not None and now > silent + GRACE:
        return "unknown", silent, f"no scheduled cycle came since {day(checkup.as_of)}, when it was {checkup.verdict}"
    if checkup.verdict == "well" and cycle is not None and cycle.status == "failed":
        return "watch", cycle.as_of, f"the newest cycle failed: {cycle.sentence.rstrip('.')}"
    if champion is not None and checkup.facts.get("champion") is None:
        return "unknown", None, f"version {champion.number} is new; the next cycle checks it"
    return checkup.verdict, _since(context, checkup), checkup.sentence.rstrip(".")


def _aside(waiting: list[dict[str, Any]], checkup: Checkup | None) -> str:
    """Where the newest rows are, when none of them was good."""
    if checkup is None:
        return ""
    newest = checkup.facts.get("newest")
    later = [row for row in waiting if newest is None or row["time"] > datetime.fromisoformat(newest)]
    if not later:
        return ""
    told = f"{'the 1 row' if len(later) == 1 else f'all {len(later):,} rows'} that came{' since' if newest else ''}"
    return f"; {told} {'was' if len(later) == 1 else 'were'} set aside, `keepwell quarantine list` says why"


def _untold(context: Context, now: datetime) -> tuple[str, ...]:
    """What does not reach people and machines; only now, since the record does not keep how it was."""
    from keepwell.notifying import stuck

    with context.database.read() as connection:
        found = stuck(connection, now, timedelta(minutes=context.settings.notify.stuck_minutes), context.name)
    return tuple(f"{one.sentence}, since {day(one.since)}" for one in found)


def _pause(context: Context, now: datetime, is_past: bool) -> Pause | None:
    """The pause in force at a moment: from the timeline for the past, since the record keeps only the newest beside it."""
    from keepwell.retraining import Pause, get_pause
    from keepwell.storage import list_events

    with context.database.read() as connection:
        if not is_past:
            return get_pause(connection, context.name, now)
        found = list_events(connection, context.name, kinds=("paused", "resumed"), until=now, limit=1)
    if not found or found[0].kind == "resumed":
        return None
    facts = found[0].facts
    until = datetime.fromisoformat(facts["until"]) if facts["until"] else None
    pause = Pause(found[0].as_of, until, facts["by"], facts["reason"])
    return pause if pause.lasts(now) else None


def _since(context: Context, checkup: Checkup) -> datetime | None:
    """When the verdict became what it is; None when it was never another."""
    from keepwell.storage import list_events

    with context.database.read() as connection:
        changed = list_events(connection, context.name, kinds=("verdict",), until=checkup.as_of, limit=1)
    return changed[-1].as_of if changed else None


def _champion(changes: list[AliasChange]) -> AliasChange | None:
    newest = max(enumerate(changes), key=lambda item: (item[1].since, item[0]), default=None)
    return newest[1] if newest and newest[1].number is not None else None


def _next(context: Context, after: datetime, count: int) -> datetime | None:
    """The count-th scheduled moment after one; None without a schedule."""
    from zoneinfo import ZoneInfo

    from croniter import croniter

    schedule = context.settings.schedule
    if schedule.cron is None:
        return None
    moments = croniter(schedule.cron, after.astimezone(ZoneInfo(schedule.timezone)))
    found: datetime = after
    for _ in range(count):
        found = moments.get_next(datetime)
    return found.astimezone(UTC)


def _wanted(context: Context, now: datetime, last: RetrainDecision | None, *, is_past: bool) -> tuple[str | None, str | None, str | None]:
    """What asks for a version, what holds it and what comes of it: of now as `keepwell next` says it, of the past as it was decided."""
    from keepwell.upcoming import asked_for

    decided = (last.trigger, last.held_by, None) if last else (None, None, None)
    if is_past:
        return decided
    try:
        found = asked_for(context, now)
    except KeepwellError:  # the folder's code cannot be read, say: how the model is must be told all the same
        return decided
    if found is None:
        return (last.trigger if last and last.build else None), None, None
    decision, act = found
    does = "goes back to the version before" if act.name == "roll back" else "builds a version"
    return decision.trigger, "; ".join(act.held_by) or None, f"the next cycle {does}" if not act.held_by else None


def _retraining(trigger: str | None, held_by: str | None, coming: str | None) -> str:
    if trigger is None:
        return "nothing asks for a new version"
    if held_by:
        return f"{trigger}, but it is held: {held_by}"
    return f"{trigger}: {coming}" if coming else f"the last cycle built a version, because {trigger}"


def _owner(owner: str | None, deputy: str | None) -> str:
    if owner is None:
        return "nobody; set [owner] owner in keepwell.toml"
    return f"{owner}, deputy {deputy}" if deputy else owner


def serving_sentence(model: str, number: int | None, since: datetime | None, at: datetime | None = None) -> str:
    """Which version answers, or answered at a moment, and since when."""
    then = f"At {day(at)} " if at else ""
    if number is None:
        return f"{then}{model} {'had' if at else 'has'} no version that serves."
    return f"{then}{model} {'was' if at else 'is'} served by version {number}, since {day(since)}."


def maturity(context: Context) -> list[dict[str, Any]]:
    """How much of the truth is in: per year of prediction, newest last.

    Returns
    -------
    Rows with `year`, `predictions`, `labelled`, `share` (of the predictions, a fraction) and `median_days` from a row's time
    until its label was known (None without any label). Rows are counted, not requests: see `serving.representative`.
    """
    import polars as pl

    from keepwell.serving import joined, representative

    rows = joined(representative(context.predictions.rows()), context.labels.rows())
    if rows.is_empty():
        return []
    took = (pl.col("labelled_at") - pl.col("time")).dt.total_seconds() / 86400
    years = rows.group_by(year=pl.col("time").dt.year()).agg(
        predictions=pl.len(), labelled=pl.col("label").count(), median_days=took.filter(pl.col("label").is_not_null()).median()
    )
    found = years.with_columns(share=pl.col("labelled") / pl.col("predictions")).sort("year")
    return [dict(row) for row in found.select("year", "predictions", "labelled", "share", "median_days").to_dicts()]
