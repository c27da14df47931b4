"""The retraining policy: a pure decision from a model's state, from the cause of what is wrong to the act that mends it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from keepwell.retraining.brakes import Brake, brakes
from keepwell.retraining.pauses import Pause
from keepwell.retraining.value import Gain
from keepwell.settings import BuildSection, RetrainSection

NOTHING, FIX, WAIT, RECALIBRATE, RETRAIN, ROLL_BACK = (
    "nothing",
    "fix upstream",
    "quarantine and wait",
    "recalibrate",
    "retrain",
    "roll back",
)
ACTS = (NOTHING, FIX, WAIT, RECALIBRATE, RETRAIN, ROLL_BACK)
JUDGED = 30  # labelled rows since the onset, a third of them, that a new version must at least be judged on
PERSISTS = timedelta(days=30)  # a shift of the inputs that passes by itself is not worth a version
NEARLY = 0.8  # a recalibration that gains this share of what a retraining would is preferred: it keeps the ranking


@dataclass(frozen=True, kw_only=True)
class Decline:
    """The decline that has not ended: since when (`low` to `high` holds the onset) and because of what.

    Parameters
    ----------
    kind : of the likeliest cause (see `diagnosis.CLASSES`), "" while none is proven; `cls` its broad class; `column` where, or "".
    rows : labelled rows since the onset. judge_from : when two thirds of them had come, None when there are none.
    """

    onset: datetime
    low: datetime
    high: datetime
    kind: str = ""
    cls: str = "unknown"
    column: str = ""
    rows: int = 0
    judge_from: datetime | None = None


@dataclass(frozen=True)
class Gains:
    """What each act would be worth by estimate; None where it cannot be said."""

    retrain: Gain | None = None
    recalibrate: Gain | None = None
    roll_back: Gain | None = None


@dataclass(frozen=True, kw_only=True)
class State:
    """What the decision looks at.

    Parameters
    ----------
    labels : labelled rows known. new_labels : of these, how many came since the last build.
    last_build : when the last build began, or None. builds : when the newest ones began.
    trained_until : time of the champion's newest training row, or None without a champion.
    verdict : word of this cycle's check-up.
    faults : messages of findings that speak of a broken source. set_aside : are all their rows in quarantine?
    asked : somebody asked for a build by hand.
    decline : what the watch says of a decline that has not ended. noted : a change without harm that it told in this cycle.
    promoted, previous : since when the champion serves, and the version before it.
    recalibrates : can the champion be recalibrated as it is (its features code is still that of the folder)?
    gains : None while nothing was estimated.
    since : the champion learned only from rows since then, because the relation had changed; so do those after it.
    without : spells whose rows no version may learn from: a column was broken then.
    """

    labels: int
    new_labels: int
    last_build: datetime | None
    trained_until: datetime | None
    verdict: str
    faults: tuple[str, ...] = ()
    asked: bool = False
    builds: tuple[datetime, ...] = ()
    set_aside: bool = False
    pause: Pause | None = None
    decline: Decline | None = None
    noted: str | None = None
    promoted: datetime | None = None
    previous: int | None = None
    recalibrates: bool = False
    gains: Gains | None = None
    without: tuple[tuple[datetime, datetime], ...] = ()
    since: datetime | None = None
    waits: str | None = None  # filled in by `decide`


@dataclass(frozen=True)
class RetrainDecision:
    """Build or not; `trigger` names what asked for it (or None), `held_by` what forbids it (or None).

    `act` is one of `ACTS`, `brake` the name of what holds it. A build trains on rows since `window_from` (None: all) and is judged on those
    after `judge_from` (None: the usual holdout), never on rows of the spells `without`. `gain` is what the act is worth by estimate; None
    where nothing was estimated.
    """

    build: bool
    trigger: str | None
    held_by: str | None
    sentence: str
    act: str = NOTHING
    window_from: datetime | None = None
    judge_from: datetime | None = None
    gain: Gain | None = None
    brake: str | None = None
    without: tuple[tuple[datetime, datetime], ...] = ()

    @property
    def plan(self) -> dict[str, Any]:
        """What a build must know of it, as plain values; empty for a build like any other."""
        if not self.build:
            return {}
        moments = {"window_from": self.window_from, "judge_from": self.judge_from}
        found: dict[str, Any] = {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
        if self.without:
            found["without"] = [[low.isoformat(), until.isoformat()] for low, until in self.without]
        return {**found, "act": RECALIBRATE} if self.act == RECALIBRATE else found

    @property
    def facts(self) -> dict[str, Any]:
        """What the record keeps beside the sentence."""
        return {
            "act": self.act,
            "window_from": self.window_from.isoformat() if self.window_from else None,
            "judge_from": self.judge_from.isoformat() if self.judge_from else None,
            "gain": asdict(self.gain) if self.gain else None,
            "brake": self.brake,
            "without": [[low.isoformat(), until.isoformat()] for low, until in self.without],
        }


@dataclass(frozen=True)
class _Advice:
    """An act, because of what, and how."""

    act: str
    because: str
    window_from: datetime | None = None
    judge_from: datetime | None = None
    gain: Gain | None = None
    waits: str | None = None


def decide(settings: RetrainSection, build: BuildSection, state: State, now: datetime) -> RetrainDecision:
    """First what asks for a build, then which act fits the cause, then what holds it.

    A data fault holds every build: a broken sensor must not be learned. Estimated gains are told, and choose between recalibrating,
    retraining and rolling back. They hold a build only where the watch tells no decline and the check-up alone says unwell: what they are
    made with knows less than the model, so they may not stand in the way of mending a proven decline.
    """
    trigger = trigger_of(settings, build, state, now)
    advice = _advice(settings, build, state, now, trigger)
    if trigger is None:
        if advice.act == NOTHING:
            return RetrainDecision(False, None, None, advice.because)
        return RetrainDecision(False, None, None, f"{advice.act}: {advice.because}", advice.act)
    known: dict[str, Any] = {"act": advice.act, "window_from": advice.window_from, "judge_from": advice.judge_from, "gain": advice.gain}
    known["without"] = state.without
    if known["window_from"] is None and advice.act == RETRAIN:
        known["window_from"] = state.since
    words = _words(trigger, advice)
    held = next((one for one in all_brakes(settings, build, state, now) if one.holds), None)
    if advice.act == ROLL_BACK and (held is None or held.name not in ("pause", "data fault")):
        return RetrainDecision(False, trigger, None, words, **known)
    if held is not None:
        return RetrainDecision(False, trigger, held.sentence, f"{words}; held: {held.sentence}", brake=held.name, **known)
    return RetrainDecision(True, trigger, None, words, **known)


def all_brakes(settings: RetrainSection, build: BuildSection, state: State, now: datetime) -> list[Brake]:
    """Every brake with its value against its limit, those that hold and those that do not."""
    trigger = trigger_of(settings, build, state, now)
    waits = _advice(settings, build, state, now, trigger).waits if trigger == UNWELL else None
    return list(brakes(settings, build, replace(state, waits=waits), now))


UNWELL = "the model is unwell"


def trigger_of(settings: RetrainSection, build: BuildSection, state: State, now: datetime) -> str | None:
    """What asks for a new version, in words; None when nothing does."""
    if state.asked:
        return "asked for by hand"
    if state.trained_until is None:
        return "no version serves yet"
    if settings.on_decline and state.verdict == "unwell":
        return UNWELL
    if settings.max_age_days is not None and (age := now - state.trained_until) > timedelta(
        days=settings.max_age_days + build.holdout_days
    ):
        return f"the champion's newest training row is {age.days} days old"
    if settings.every_days is not None and state.last_build is not None and now - state.last_build >= timedelta(days=settings.every_days):
        return f"{settings.every_days:g} days since the last build"
    return None


def _words(trigger: str, advice: _Advice) -> str:
    """The decision in one sentence; a build like any other needs no more words than what asked for it."""
    if advice.act == RETRAIN and not advice.because:
        return trigger + (f"; retraining would gain about {advice.gain}" if advice.gain else "")
    gain = f"; it would gain about {advice.gain}" if advice.gain else ""
    return f"{trigger}: {advice.act}, because {advice.because}{gain}"


def _advice(settings: RetrainSection, build: BuildSection, state: State, now: datetime, trigger: str | None) -> _Advice:
    """The act that fits."""
    if state.faults:
        if state.set_aside:
            return _Advice(WAIT, f"{state.faults[0]}; its rows are set aside until the source is mended")
        return _Advice(FIX, f"{state.faults[0]}; it is for the owner of the source to mend, and no version may learn from it")
    if trigger is None:
        return _Advice(NOTHING, f"{state.noted}: nothing to do" if state.noted else "nothing asks for a new version")
    gains, decline = state.gains or Gains(), state.decline
    if decline is None:
        none = gains.retrain is not None and gains.retrain.value <= 0 and trigger == UNWELL
        waits = f"the watch tells no decline, and by estimate retraining would gain nothing: {gains.retrain}" if none else None
        return _Advice(RETRAIN, "", gain=gains.retrain, waits=waits)
    if trigger == UNWELL and _began_at_promotion(state) and gains.roll_back is not None and gains.roll_back.low > 0:
        because = f"the decline began when the champion was promoted, and version {state.previous} is better on the same rows"
        return _Advice(ROLL_BACK, because, gain=gains.roll_back)
    if trigger == UNWELL and state.recalibrates and (why := _recalibrating(decline, gains)):
        return _Advice(RECALIBRATE, why, decline.onset, decline.judge_from, gains.recalibrate, _too_few(decline))
    return _retraining(settings, build, decline, gains, now)


def _retraining(settings: RetrainSection, build: BuildSection, decline: Decline, gains: Gains, now: datetime) -> _Advice:
    """On which rows: those since the onset when the relation changed and they are enough, else all."""
    since, gain, waits = f"{decline.onset:%-d %B %Y}", gains.retrain, _too_few(decline)
    where = f" in {decline.column}" if decline.column else ""
    if decline.cls == "covariate_shift":
        because = f"the inputs have shifted{where} since {since} and it costs; on all rows"
        if now - decline.onset < PERSISTS:
            waits = f"a shift of the inputs since {since} may pass by itself within {PERSISTS.days} days"
        return _Advice(RETRAIN, because, None, decline.judge_from, gain, waits)
    if decline.cls != "concept_shift":
        names = {"label_shift": "the share of labels has changed", "data_quality": f"nobody has mended what is off{where}"}
        name = names.get(decline.cls, "the cause is not proven")
        return _Advice(RETRAIN, f"it declines since {since} and {name}; on all rows", None, decline.judge_from, gain, waits)
    learned = decline.rows * 2 // 3
    if learned >= build.min_rows:
        because = f"the relation has changed{where}; on the {learned} rows since {since}"
        return _Advice(RETRAIN, because, decline.onset, decline.judge_from, gain, waits)
    needed = -(-build.min_rows * 3 // 2)
    days = (now - decline.onset) / timedelta(days=1)
    soon = days * (needed - decline.rows) / decline.rows if decline.rows else 0.0
    if waits is None and soon <= settings.cooldown_days:  # a version of mostly old rows now would only hold up that of the new ones
        told = f"{decline.rows} labelled rows since {since}, {needed} are needed to learn from them alone"
        waits = f"{told}, in about {max(soon, 1):.0f} days"
    because = f"the relation has changed{where} since {since}; on all rows, since {learned} are too few ({build.min_rows} are needed)"
    return _Advice(RETRAIN, because, None, decline.judge_from, gain, waits)


def _too_few(decline: Decline) -> str | None:
    """Why a version cannot be judged yet on what has changed."""
    if decline.rows >= 3 * JUDGED:
        return None
    return f"{decline.rows} labelled rows since {decline.onset:%-d %B %Y}, {3 * JUDGED} are needed to judge a version on them"


def _recalibrating(decline: Decline, gains: Gains) -> str | None:
    """Why a recalibration is enough; None when it is not."""
    again, whole = gains.recalibrate, gains.retrain
    if again is not None and whole is not None and whole.low > again.high:
        return None  # more than the level of the answers is wrong
    since = f"{decline.onset:%-d %B %Y}"
    if decline.cls == "label_shift":
        return f"the share of labels has changed since {since} and the ranking holds"
    if again is not None and whole is not None and again.low > 0 and again.value >= NEARLY * whole.value:
        return f"since {since} the answers are off in their level, not in their ranking"
    return None


def _began_at_promotion(state: State) -> bool:
    """Does the interval of the onset hold the promotion, a week either side? Onsets are of batches, promotions of cycles."""
    slack, decline = timedelta(days=7), state.decline
    if decline is None or state.promoted is None or state.previous is None:
        return False
    return decline.low - slack <= state.promoted <= decline.high + slack


def considers_return(state: State) -> bool:
    """Would the gain of going back matter to the decision?"""
    return state.verdict == "unwell" and _began_at_promotion(state) and not state.faults
