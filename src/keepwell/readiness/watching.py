"""The seven tests about monitoring."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median

from keepwell.readiness.evidence import LEDGER_DAYS, Evidence
from keepwell.readiness.limits import BUILT_DAYS, REPLAYED_DAYS, SEEN_DAYS
from keepwell.readiness.records import Asked, Point

TOLD = Asked("W1", "monitoring", "Someone is told when something upstream changes")
HOLDS = Asked("W2", "monitoring", "What is promised of the data holds for training and for serving")
SAME = Asked("W3", "monitoring", "Training and serving compute the same features")
FRESH = Asked("W4", "monitoring", "The model is not too old")
SOUND = Asked("W5", "monitoring", "Answers are sound numbers")
QUICK = Asked("W6", "monitoring", "Speed and cost do not slip")
GOOD = Asked("W7", "monitoring", "Prediction quality does not slip")
CYCLES = "`keepwell up` runs cycles on their schedule."


def points(evidence: Evidence) -> list[Point]:
    """All seven."""
    return [_told(evidence), _holds(evidence), _same(evidence), _fresh(evidence), _sound(evidence), _quick(evidence), _good(evidence)]


def _told(evidence: Evidence) -> Point:
    gathered, contract = evidence.gathered, evidence.contract
    if gathered is None or contract is None or evidence.settings.contract.strictness == "off":
        return TOLD.none(CYCLES)
    people = getattr(evidence.settings, "people", None) or {}
    owner = evidence.settings.owner.owner
    reached = any(getattr(person, "tell", ()) for person in people.values())
    proof = "each gather is held against the contract and a failing source is recorded"
    proof += f"; {owner} owns it" if owner else "; nobody owns it"
    step = "Say how the owner is reached, so that it is sent." if owner else "Set [owner] owner."
    return TOLD.given(1.0 if reached and owner else 0.5, proof, gathered.as_of, evidence.at, SEEN_DAYS, step)


def _holds(evidence: Evidence) -> Point:
    gathered, answers = evidence.gathered, evidence.answers
    if gathered is None or evidence.contract is None or evidence.settings.contract.strictness == "off":
        return HOLDS.none(CYCLES)
    live = sorted(origin for origin in (answers.origins if answers else ()) if origin not in ("cycle", "batch"))
    proof = f"rows for training and for answers come through one gate; the newest {gathered.seen:,} were seen"
    if live:
        proof += f"; live requests ({', '.join(live)}) are held against names and types only"
    step = "Live requests are not held against the contract's ranges and categories yet."
    return HOLDS.given(0.5 if live else 1.0, proof, gathered.as_of, evidence.at, SEEN_DAYS, step if live else CYCLES)


def _same(evidence: Evidence) -> Point:
    found = evidence.newest.get("replayed")
    if found is None:
        return SAME.none("The next build makes kept answers again from the data, and compares.")
    if not found.facts.get("passed", not found.facts.get("differ")):
        return SAME.none(f"They differ: {found.sentence}")
    return SAME.given(1.0, found.sentence, found.as_of, evidence.at, REPLAYED_DAYS, "The next build makes answers again.")


def _fresh(evidence: Evidence) -> Point:
    champion, decided = evidence.champion, evidence.decided
    limit = evidence.settings.retrain.max_age_days
    if champion is None or decided is None or limit is None:
        return FRESH.none("Set [retrain] max_age_days." if limit is None else CYCLES)
    age = (evidence.at - datetime.fromisoformat(champion.facts["trained_until"])).days
    proof = f"version {champion.number} knows rows until {age:,} days ago; each cycle holds that against {limit:g} days"
    whole = age <= limit
    return FRESH.given(
        1.0 if whole else 0.5, proof, decided, evidence.at, SEEN_DAYS, CYCLES if whole else "It is past its age: `keepwell run --build`."
    )


def _sound(evidence: Evidence) -> Point:
    answers, watch = evidence.answers, evidence.watch
    if answers is None:
        return SOUND.none("There are no answers yet: `keepwell predict`, or a cycle with a champion.")
    if answers.odd or (answers.different == 1 and answers.count >= 20):
        bad = f"{answers.odd:,} answers are no numbers" if answers.odd else "all answers are the same"
        return SOUND.none(f"Of the newest {LEDGER_DAYS} days, {bad}: `keepwell why`.")
    alive = watch is not None and "unwatched" not in watch
    proof = f"of {answers.count:,} answers in {LEDGER_DAYS} days none is missing or infinite, {answers.different:,} are different"
    proof += f"; the watch follows them in {watch['channels']} channels" if alive and watch else ""
    return SOUND.given(1.0 if alive else 0.5, proof, answers.newest, evidence.at, SEEN_DAYS, CYCLES if alive else "Set [watch] on = true.")


def _quick(evidence: Evidence) -> Point:
    version = evidence.version
    took = [(one.ended - one.begun) / timedelta(seconds=1) for one in evidence.cycles if one.ended is not None]
    if version is None or not took:
        return QUICK.none(CYCLES)
    limit = evidence.settings.gate.max_latency_ms
    proof = f"one answer of version {version.number} took {version.facts['latency_ms']:.2f} ms"
    proof += f"; the newest {len(took)} cycles {median(took):.2f} s each"
    proof += f"; the gate allows {limit:g} ms" if limit else ""
    step = (
        "Slowing down is on record and nobody is told of it yet."
        if limit
        else "Set [gate] max_latency_ms; slowing down later is told nobody yet."
    )
    return QUICK.given(0.5, proof, version.as_of, evidence.at, BUILT_DAYS, step)


def _good(evidence: Evidence) -> Point:
    found, watch = evidence.checkup, evidence.watch
    if found is None or found.facts.get("realised") is None:
        return GOOD.none("It comes with the first check-up over labels.")
    alive = watch is not None and "unwatched" not in watch
    proof = f"the newest check-up says {found.verdict}: {found.sentence}"
    proof += "; the watch says since when and why" if alive else ""
    return GOOD.given(1.0 if alive else 0.5, proof, found.as_of, evidence.at, SEEN_DAYS, CYCLES if alive else "Set [watch] on = true.")
