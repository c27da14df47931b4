"""From evidence to a signal: what costs nothing is a note, what costs is an incident, and an incident has an end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from keepwell.detection import BETS
from keepwell.diagnosis import BEFORE, DOUBTLESS, HARM, Explanation, explain, is_disproved, weighed

if TYPE_CHECKING:
    from keepwell.monitoring.signals import Signal
    from keepwell.monitoring.watch import Watch

MEASURED = 0.02  # of the reference's loss: a rise that labels have measured and that costs less is none
OTHERS = 2.0  # standard errors by which the harm of other rows is doubted
PROVEN = 2.25  # standard errors of it above nothing: its beginning was chosen where it looks largest
SURE, GROSS = 2.0, 8.0  # harm of so many times what makes a decline, three standard errors surely, needs no second look; see `judge`
FADED = 3.0  # how far its log evidence must fall below the threshold before a channel has ceased to ring
LOOKS, OFTEN, AGAIN = (0, 1, 2), 4, 28  # batches after something new rings at which it is looked at: these, then every 4th, then every 28th
RECOVERED = 200.0  # how much the bets must win before an incident has ended
MOST = 1.0  # standard errors that a batch may count for in them: at least 15 batches are needed
EXPECTED = ("data_quality", "covariate_shift")  # causes whose harm is told before labels measure it
NEWEST, SURELY = 4, 1.645  # batches, and standard errors below half of what it was, at which an incident is no longer diagnosed
NOTHING_WON = [float("-inf")] * len(BETS)
SETTLING = (1, 2, 4, 7, 10, 14, 21, 28)  # batches after a decline was told at which its diagnosis is made better
LOOKS_AT_LABELS = 12  # times, each `AGAIN` batches after the last, that labels are asked whether it costs anything


@dataclass(eq=False)
class Incident:
    """A decline that was told: its number, in which batch, the channels that rang, its explanation and the newest batch this has seen."""

    number: int
    told: int
    channels: np.ndarray
    explanation: Explanation
    seen: int
    recovery: list[float] = field(default_factory=NOTHING_WON.copy)


@dataclass(eq=False)
class Judgement:
    """What is being looked at before it is told: since which batch the newest channel rings, and how often harm was found in a row."""

    since: int
    harmful: int = 0


def judge(watch: Watch, number: int) -> list[Signal]:
    """Signals of the batch that has just closed."""
    signals = [*_settle(watch, number), *_recover(watch, number)]
    ringing = watch.detector.ringing.copy()
    # A channel that hovers about its threshold does not begin to ring anew each time.
    fades = watch.detector.evidence >= watch.detector.threshold - FADED
    watch.rang = np.where(ringing & np.isnan(watch.rang), number, np.where(ringing | fades, watch.rang, np.nan))
    for incident in watch.open_incidents:
        ringing &= ~incident.channels
    if any(number - incident.told <= SETTLING[-1] for incident in watch.open_incidents):
        # Echoes of what was told: what begins to ring while an incident settles belongs to it.
        for incident in watch.open_incidents:
            incident.channels |= ringing & (watch.rang > incident.told)
        return signals
    if not ringing.any():
        watch.judgement = None
        return signals
    judgement = watch.judgement
    if judgement is None or (watch.rang[ringing] == number).any():
        judgement = watch.judgement = Judgement(number, judgement.harmful if judgement else 0)
    age = number - judgement.since
    if age not in LOOKS and age % (OFTEN if age < AGAIN else AGAIN) and not judgement.harmful:
        return signals
    # Where something has rung for long a second look tells a few odd batches from a new fault, unless its harm is gross.
    needed = SURE if number - float(np.min(watch.rang[ringing])) <= AGAIN else GROSS
    explanation, ringing = _explained(watch, ringing)
    is_proven, harm = _is_proven(watch, ringing, explanation), _harm(explanation)
    known = {cause.column for incident in watch.open_incidents for cause in incident.explanation.causes[:1] if cause.column}
    cause = explanation.cause
    # Beside an open decline only another broken column can be told apart: labels cannot say which of two they suffer from.
    is_new = not watch.open_incidents or (
        cause is not None and cause.cls == "data_quality" and cause.column not in known and explanation.began.at > watch.told_until()
    )
    # What began longer ago is held against batches that it touched, too: only labels can tell that it costs.
    is_recent = number - watch.batch_of(explanation.began.at) <= BEFORE
    is_harmful = is_new and is_recent and harm > HARM * explanation.expected
    judgement.harmful = judgement.harmful + (2 if _is_sure(explanation, needed) else 1) if is_harmful else 0
    if (is_proven and not watch.open_incidents) or judgement.harmful >= 2:
        watch.incidents += 1
        watch.open_incidents.append(Incident(watch.incidents, number, ringing, explanation, number))
        watch.judgement = None
        return [*signals, watch.signal("decline", number, explanation.causes, explanation)]
    told = [one for one in explanation.causes if one.cls in ("data_quality", "covariate_shift") and one.column not in watch.told_columns]
    told = [one for one in told if one.facts.get("beyond", np.inf) > 1]  # what might still be rare weather is not even a note
    if not told or judgement.harmful or not is_new:
        return signals
    watch.told_columns |= {one.column for one in told}
    return [*signals, watch.signal("note", number, told, explanation)]


def _explained(watch: Watch, ringing: np.ndarray) -> tuple[Explanation, np.ndarray]:
    """Why these channels ring, and which of them that explains.

    What rang long before has another cause, often a harmless one, and its sharp onset would hide what is new: so the channels that began
    lately are asked by themselves, and are heard when there is no doubt about the harm. So is the loss of a slice, beside others.
    """
    times = np.sort(watch.rang[ringing])
    apart = np.flatnonzero(np.diff(times) > AGAIN)
    slices = ringing & np.array([channel.kind == "slice" for channel in watch.reference.channels])
    asked = [ringing & (watch.rang > times[apart[-1]])] if len(apart) else []
    for some in [*asked, *([slices] if slices.any() and (slices != ringing).any() else [])]:
        new = {channel.column for at, channel in enumerate(watch.reference.channels) if some[at]}
        off = (
            channel.column for at, channel in enumerate(watch.reference.channels) if ringing[at] and not some[at] and channel.is_of_column
        )
        old = tuple(name for name in dict.fromkeys(off) if name not in new)
        explanation = explain(replace(watch.case(), ringing=some, old=old))
        if _is_sure(explanation) or (some is slices and _is_proven(watch, slices, explanation)):
            return explanation, some
    return explain(replace(watch.case(), ringing=ringing)), ringing


def _columns(watch: Watch, ringing: np.ndarray) -> set[str]:
    """Columns whose own channels ring."""
    return {channel.column for at, channel in enumerate(watch.reference.channels) if ringing[at] and channel.is_of_column}


def _harm(explanation: Explanation) -> float:
    """What broken columns cost at least: a standard error below what was told, and drawn to what labels say by now, where that is less.

    A rise that labels show beyond it may come from elsewhere and does not make it costlier. What other rows cost is read off their answers
    alone, and those of a few days scatter: two standard errors.
    """
    harm, error = explanation.harm or 0.0, explanation.harm_error or 0.0
    if explanation.cause is not None and explanation.cause.cls == "covariate_shift":
        error *= OTHERS
    if explanation.rise is not None:
        harm = min(harm, weighed((harm, error), (explanation.rise, explanation.rise_error or 0.0))[0])
    return harm - error


def _is_sure(explanation: Explanation, times: float = SURE) -> bool:
    """Is the harm so many times what makes a decline, whatever its error?"""
    return (explanation.harm or 0.0) - DOUBTLESS * (explanation.harm_error or 0.0) > times * HARM * explanation.expected


def _is_proven(watch: Watch, ringing: np.ndarray, explanation: Explanation) -> bool:
    """Do the channels of the loss ring, and did what was measured rise so that it matters?

    An error that has a sign is proven long before its cost is, and a tolerated mean wanders: both count only when the labels that are in
    say that it costs: by a rise, or by what recalibrated answers would spare, unless the model does better than expected. Without labels
    the estimate speaks for itself.
    """
    kinds = {channel.kind for at, channel in enumerate(watch.reference.channels) if ringing[at]}
    if not kinds & {"gap", "loss", "signed", "score", "slice", "diff"}:
        return False
    measured = [(explanation.gap, explanation.gap_error, MEASURED)]
    if (explanation.gap or 0.0) > 0:
        measured.append((explanation.avoidable, explanation.avoidable_error, HARM))
    if kinds & {"loss", "diff"}:
        measured.append((explanation.rise, explanation.rise_error, MEASURED))
    known = [(rise, error or 0.0, least) for rise, error, least in measured if rise is not None]
    if not known:
        return "diff" in kinds
    return any(rise > least * explanation.expected and rise > PROVEN * error for rise, error, least in known)


def _settle(watch: Watch, number: int) -> list[Signal]:
    """Better diagnoses of what was told lately, while it lasts: batches after its end say nothing of it.

    What was told of a broken column or of other rows before their labels came is withdrawn when these surely show no such rise.
    """
    signals = []
    for incident in list(watch.open_incidents):
        age = number - incident.told
        is_due = age in SETTLING or (age % AGAIN == 0 and age <= LOOKS_AT_LABELS * AGAIN)
        if not is_due or _looks_over(watch, incident):
            continue
        explanation = explain(replace(watch.case(), ringing=incident.channels))
        if (shown := _disproof(incident, explanation)) is not None:
            watch.open_incidents.remove(incident)
            signals.append(watch.signal("withdrawn", number, shown.causes, shown, incident.number))
            continue
        if age not in SETTLING or watch.batch_of(explanation.began.at) > incident.told:  # another change, on top of this one
            continue
        if explanation.began.channel != incident.explanation.began.channel:
            incident.recovery = NOTHING_WON.copy()
        incident.explanation, incident.seen = _moved(incident.explanation, explanation), number
        signals.append(watch.signal("decline", number, explanation.causes, incident.explanation, incident.number))
    return signals


def _disproof(incident: Incident, explanation: Explanation) -> Explanation | None:
    """What was told, with what labels measured of it, where they surely show next to nothing of its harm; else None."""
    told, rise, error = incident.explanation, explanation.rise, explanation.rise_error
    if told.cause is None or told.cause.cls not in EXPECTED or not told.harm or rise is None or error is None:
        return None
    return replace(told, rise=rise, rise_error=error, has_labels=True) if is_disproved(told.harm, rise, error) else None


def _moved(told: Explanation, explanation: Explanation) -> Explanation:
    """A better diagnosis, with the onset that was told before where it lies elsewhere."""
    meets = explanation.began.low <= told.began.high and told.began.low <= explanation.began.high
    return replace(explanation, earlier=told.earlier if meets else told.earlier or told.began.at)


def _looks_over(watch: Watch, incident: Incident) -> bool:
    """Are the newest batches surely less than half as far off as it was?"""
    at, off = _off(watch, incident)
    if at is None:
        return False
    z = watch.series.z[watch.series.numbers >= watch.batch_of(incident.explanation.began.at), at]
    newest = z[np.isfinite(z)][-NEWEST:]
    return bool(len(newest)) and float(newest.mean()) * np.sign(off) < abs(off) / 2 - SURELY / np.sqrt(len(newest))


def _off(watch: Watch, incident: Incident) -> tuple[int | None, float]:
    """The channel of an incident's onset (None when it cannot be asked), and how far off it was, in the mean, while it was diagnosed."""
    names = [channel.name for channel in watch.reference.channels]
    if incident.explanation.began.channel not in names:
        return None, 0.0
    at, series = names.index(incident.explanation.began.channel), watch.series
    changed = (series.numbers >= watch.batch_of(incident.explanation.began.at)) & (series.numbers <= incident.seen)
    z = series.z[changed, at]
    off = float(np.nanmean(z)) if np.isfinite(z).any() else 0.0
    return (at, off) if off else (None, 0.0)


def _likelier(watch: Watch, shift: float) -> np.ndarray:
    """How much likelier the reference makes the labels of each of the batches just tested than half of a shift of their share, in nats."""
    kept = watch.kept
    rows = np.flatnonzero(np.isfinite(kept.label) & np.isin(kept.batch, watch.tested))
    _, place = np.unique(kept.batch[rows], return_inverse=True)
    return np.asarray(np.bincount(place, watch.reference.outcome.against(kept.label[rows], kept.answer[rows], shift / 2)))


def _won(watch: Watch, incident: Incident, at: int, off: float) -> np.ndarray:
    """What each bet on an incident's end wins by each batch that is newly known, (batches, bets)."""
    is_of_labels = watch.reference.channels[at].is_of_labels
    cause = incident.explanation.cause
    if watch.task == "binary" and cause is not None and "intercept" in cause.facts:
        return np.tile(np.minimum(_likelier(watch, cause.facts["intercept"]), MOST)[:, None], len(BETS))
    z = watch.newly_tested(at) if is_of_labels else watch.series.z[-1:, at]
    z = z[np.isfinite(z)]
    return np.asarray(BETS * np.minimum(abs(off) / 2 - z * np.sign(off), MOST)[:, None] - BETS**2 / 2)


def _recover(watch: Watch, number: int) -> list[Signal]:
    """The end of an incident: bets against its channel being still half as far off as it was, taken anew until they win.

    No batch wins much: a fault may pass over a few of them. How far off labels are is known only after a while, so they are waited for.
    A changed share of labels is hardly seen in some seasons, which must not pass for its end: the bet is on each label, by what the change
    would make of it.
    """
    signals = []
    for incident in list(watch.open_incidents):
        at, off = _off(watch, incident)
        if at is None or number <= incident.told:
            continue
        for won in _won(watch, incident, at, off):
            incident.recovery = (np.logaddexp(incident.recovery, 0.0) + won).tolist()
        is_settled = not watch.reference.channels[at].is_of_labels or number > incident.told + SETTLING[-1]
        if is_settled and np.logaddexp.reduce(incident.recovery) - np.log(len(BETS)) >= np.log(RECOVERED):
            watch.open_incidents.remove(incident)
            watch.forget(incident, number)
            signals.append(watch.signal("recovered", number, incident.explanation.causes, incident.explanation, incident.number))
    return signals
