"""The seven tests about the machinery."""

from __future__ import annotations

from keepwell.readiness.data import BUILD, built
from keepwell.readiness.evidence import Evidence
from keepwell.readiness.limits import BUILT_DAYS, PROVED_DAYS, REHEARSED_DAYS, REPLAYED_DAYS, SEEN_DAYS
from keepwell.readiness.records import Asked, Point
from keepwell.training import Proof

REPEATABLE = Asked("I1", "infrastructure", "Training is repeatable")
UNIT = Asked("I2", "infrastructure", "The model's code is tested in small")
WHOLE = Asked("I3", "infrastructure", "The whole pipeline is tested end to end")
GATED = Asked("I4", "infrastructure", "Quality is checked before a version serves")
FOLLOWED = Asked("I5", "infrastructure", "A single prediction can be followed step by step")
GENTLE = Asked("I6", "infrastructure", "A new version meets real traffic gently")
BACK = Asked("I7", "infrastructure", "The way back is quick and safe")
REPRODUCE = "`keepwell reproduce champion` repeats its build."


def points(evidence: Evidence) -> list[Point]:
    """All seven."""
    return [
        _repeatable(evidence),
        _unit(evidence),
        _whole(evidence),
        _gated(evidence),
        _followed(evidence),
        _gentle(evidence),
        _back(evidence),
    ]


def _proof(evidence: Evidence) -> Proof | None:
    """The newest repeated build that used what was pinned."""
    return next((proof for proof in reversed(evidence.proofs) if not proof.facts.get("here")), None)


def _repeatable(evidence: Evidence) -> Point:
    proof, tried = _proof(evidence), built(evidence, "smoke")
    dated = evidence.model_time(proof.at) if proof else None
    if proof is not None and dated is not None and (evidence.at - dated).days <= PROVED_DAYS:
        if proof.verdict != "identical":
            return REPEATABLE.none(f"A repeated build came out otherwise: {proof.sentence}.")
        return REPEATABLE.given(1.0, f"{proof.run} was repeated: identical", dated, evidence.at, PROVED_DAYS, REPRODUCE)
    if tried is not None and tried[2].get("identical"):
        said = f"training twice on {tried[2]['rows']} rows gave one model when version {tried[1]} was built"
        return REPEATABLE.given(0.5, said, tried[0], evidence.at, BUILT_DAYS, f"On all rows: {REPRODUCE}")
    if proof is not None and dated is not None:
        return REPEATABLE.given(1.0, f"{proof.run} was repeated: {proof.verdict}", dated, evidence.at, PROVED_DAYS, REPRODUCE)
    return REPEATABLE.none(REPRODUCE)


def _unit(evidence: Evidence) -> Point:
    found = built(evidence, "smoke")
    if found is None:
        return UNIT.none(BUILD)
    dated, number, tried = found
    if tried.get("problem") or not tried["kept"]:
        return UNIT.none(f"The test on few rows failed: {tried.get('problem', 'the saved model answers otherwise')}")
    proof = f"version {number}: fitted on {tried['rows']} rows, saved, loaded and asked again: the same finite answers"
    return UNIT.given(1.0, proof, dated, evidence.at, BUILT_DAYS, BUILD)


def _whole(evidence: Evidence) -> Point:
    proof, run = _proof(evidence), evidence.run
    if proof is not None and proof.verdict == "identical":
        dated = evidence.model_time(proof.at)
        if (evidence.at - dated).days <= PROVED_DAYS:
            said = f"every step of {proof.run} ran again outside the record, from the pinned inputs to the gate"
            return WHOLE.given(1.0, said, dated, evidence.at, PROVED_DAYS, REPRODUCE)
    if run is None or run.ended is None:
        return WHOLE.none(BUILD)
    said = f"{run.run} went through all steps, in use and not as a test"
    return WHOLE.given(0.5, said, run.as_of, evidence.at, BUILT_DAYS, f"As a test, outside the record: {REPRODUCE}")


def _gated(evidence: Evidence) -> Point:
    version, champion = evidence.version, evidence.champion
    if version is None or champion is None:
        return GATED.none(BUILD)
    if not champion.passed:
        return GATED.none(f"Version {champion.number} serves though the gate refused it. `keepwell rollback` goes back.")
    checks = version.facts["gate"]["checks"]
    said = "passed" if version.passed else "was refused"
    proof = f"version {version.number} {said}, held against {', '.join(check['name'] for check in checks)}"
    return GATED.given(1.0, proof, version.as_of, evidence.at, BUILT_DAYS, BUILD)


def _followed(evidence: Evidence) -> Point:
    answers, replayed = evidence.answers, evidence.newest.get("replayed")
    if replayed is not None and replayed.facts.get("passed", not replayed.facts.get("differ")):
        return FOLLOWED.given(1.0, replayed.sentence, replayed.as_of, evidence.at, REPLAYED_DAYS, "The next build makes answers again.")
    numbers = {version.number for version in evidence.versions}
    if answers is None or not answers.has_inputs or answers.version not in numbers:
        return FOLLOWED.none("`keepwell predict`, or a served request: the ledger keeps each answer with its inputs.")
    proof = f"the ledger keeps each of {answers.count:,} answers with its features and its version, and that with code, data and settings"
    return FOLLOWED.given(
        0.5,
        proof,
        answers.newest,
        evidence.at,
        SEEN_DAYS,
        "The next build makes kept answers again and compares.",
    )


def _gentle(evidence: Evidence) -> Point:
    trial = evidence.newest.get("trial")
    if trial is None:
        return GENTLE.none("A trial in shadow before a promotion, where this Keepwell has it ([promotion]).")
    return GENTLE.given(1.0, trial.sentence, trial.as_of, evidence.at, BUILT_DAYS, "The next promotion renews it.")


def _back(evidence: Evidence) -> Point:
    rehearsed, undone = evidence.newest.get("rehearsed"), evidence.newest.get("rolled_back")
    if rehearsed is not None:
        if not rehearsed.facts.get("passed", False):
            return BACK.none(f"The rehearsal failed: {rehearsed.sentence}")
        return BACK.given(1.0, rehearsed.sentence, rehearsed.as_of, evidence.at, REHEARSED_DAYS, "Cycles rehearse it again.")
    if undone is not None:
        return BACK.given(
            0.5, undone.sentence, undone.as_of, evidence.at, BUILT_DAYS, "The whole point needs rehearsals that run by themselves."
        )
    return BACK.none("A rehearsal of the way back, where this Keepwell has it; `keepwell rollback --dry-run` shows where it leads.")
