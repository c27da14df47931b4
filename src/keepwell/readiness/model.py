"""The seven tests about the model."""

from __future__ import annotations

from datetime import datetime

from keepwell.readiness.data import BUILD
from keepwell.readiness.evidence import Evidence
from keepwell.readiness.limits import BUILT_DAYS, SEEN_DAYS
from keepwell.readiness.records import Asked, Point

REVIEWED = Asked("M1", "model", "The model's code is reviewed and under version control")
AGREES = Asked("M2", "model", "The score at evaluation agrees with the one in real life")
TUNED = Asked("M3", "model", "Hyperparameters were searched, not guessed")
AGES = Asked("M4", "model", "What age does to the model is known")
SIMPLER = Asked("M5", "model", "A simpler model is not as good")
SLICED = Asked("M6", "model", "It is good enough on the slices that matter")
FAIR = Asked("M7", "model", "It serves groups of people alike")
PAIRS = 3  # comparisons of an older with a newer version that make a curve


def points(evidence: Evidence) -> list[Point]:
    """All seven."""
    return [
        _reviewed(evidence),
        _agrees(evidence),
        _tuned(evidence),
        _ages(evidence),
        _simpler(evidence),
        _sliced(evidence),
        _fair(evidence),
    ]


def _reviewed(evidence: Evidence) -> Point:
    version, run = evidence.version, evidence.run
    if version is None or run is None:
        return REVIEWED.none(BUILD)
    git = run.facts.get("git", {})
    clean = bool(git.get("commit")) and not git.get("changed")
    person = next((change.by for change in reversed(evidence.changes) if change.number == version.number and change.by != "keepwell"), None)
    approved = evidence.newest.get("approved")
    if approved is not None and approved.facts.get("version") == version.number:
        person = approved.by
    where = f"git commit {git['commit'][:12]}" if clean else f"an archive of digest {version.code[:12]}"
    proof = f"version {version.number} is of {where}" + (f" and {person} let it go live" if person else "")
    step = "Keep the project in git without uncommitted changes, and let a person promote ([promotion] mode = approve)."
    return REVIEWED.given(1.0 if clean and person else 0.5, proof, version.as_of, evidence.at, BUILT_DAYS, step)


def _agrees(evidence: Evidence) -> Point:
    found = evidence.checkup
    facts = found.facts if found else {}
    if found is None or facts.get("realised") is None or facts.get("expected") is None:
        return AGREES.none("It comes with the first check-up over enough labels ([check] min_labels).")
    limit = facts["expected"] * (1 + evidence.settings.check.tolerance)
    agree = facts["low"] is not None and facts["low"] <= limit and facts["labels"] >= evidence.settings.check.min_labels
    interval = f"{facts['realised']:.4f} ({facts['low']:.4f} to {facts['high']:.4f})"
    proof = f"{facts['metric']} {interval} over {facts['labels']} labels in real life, {facts['expected']:.4f} at evaluation"
    step = "Let cycles run." if agree else "They disagree, or rest on too few labels: `keepwell why` says where the loss went."
    return AGREES.given(1.0 if agree else 0.5, proof, found.as_of, evidence.at, SEEN_DAYS, step)


def _tuned(evidence: Evidence) -> Point:
    version = evidence.version
    found = version.facts.get("searched") if version else None
    if version is None or found is None:
        return TUNED.none("Name the values to try in [search]: what `train` tries inside itself is not on record.")
    best = ", ".join(f"{name} = {value}" for name, value in sorted(found["values"].items()))
    proof = f"version {version.number} has the best of {len(found['tried'])} combinations on {found['rows']} later rows: {best}"
    return TUNED.given(1.0, proof, version.as_of, evidence.at, BUILT_DAYS, BUILD)


def _ages(evidence: Evidence) -> Point:
    by_number = {version.number: version for version in evidence.versions}
    pairs = []
    for version in evidence.versions:
        parent, theirs = by_number.get(version.facts.get("parent") or 0), (version.facts.get("champion_metrics") or {}).get(evidence.metric)
        ours = version.facts["metrics"].get(evidence.metric)
        if parent is None or not theirs or not ours:
            continue
        days = (_until(version.facts) - _until(parent.facts)).days
        pairs.append((version.as_of, days, theirs["value"] - ours["value"]))
    if not pairs:
        return AGES.none("It comes when a new version is built: it is compared with the older one on the same newest rows.")
    dated, days, gain = pairs[-1]
    proof = f"{len(pairs)} times an older version was held against a fresh one on the same rows"
    proof += f"; last: {days} days older, {evidence.metric} {gain:+.4f}"
    step = f"{PAIRS} comparisons make the point whole." if len(pairs) < PAIRS else BUILD
    return AGES.given(1.0 if len(pairs) >= PAIRS else 0.5, proof, dated, evidence.at, BUILT_DAYS, step)


def _until(facts: dict[str, str]) -> datetime:
    return datetime.fromisoformat(facts["trained_until"])


def _simpler(evidence: Evidence) -> Point:
    version, champion = evidence.version, evidence.champion
    if version is None or champion is None:
        return SIMPLER.none(BUILD)
    serves = version.number == champion.number
    measured = version.facts["metrics"] if serves else version.facts.get("champion_metrics") or {}
    ours = (measured.get(evidence.metric) or {}).get("value")
    naive = {name: (scores.get(evidence.metric) or {}).get("value") for name, scores in version.facts["baselines"].items()}
    naive = {name: value for name, value in naive.items() if value is not None}
    if ours is None or not naive:
        return SIMPLER.none(BUILD)
    beaten = all(ours < value for value in naive.values())
    said = ", ".join(f"{name} {value:.4f}" for name, value in sorted(naive.items()))
    proof = f"{evidence.metric} {ours:.4f} of version {champion.number}, on the same rows {said}"
    if not beaten:
        return SIMPLER.none(f"A baseline is as good: {proof}. `keepwell why` and new features may help; until then use the baseline.")
    return SIMPLER.given(1.0, proof, version.as_of, evidence.at, BUILT_DAYS, BUILD)


def _sliced(evidence: Evidence) -> Point:
    version, gate = evidence.version, evidence.settings.gate
    measured = version.facts["slices"] if version else []
    if version is None or len(measured) < 2:
        return SLICED.none("Give the model a `slices` function: columns whose values name the slices that matter.")
    large = sum(_rows(part, evidence.metric) >= gate.min_slice_rows for part in measured)
    proof = f"{len(measured)} slices were measured for version {version.number}, {large} with the {gate.min_slice_rows} rows that decide"
    if large < 2:
        step = "Keep more days for judging ([build] holdout_days), or let fewer rows decide ([gate] min_slice_rows)."
        return SLICED.given(0.5, proof, version.as_of, evidence.at, BUILT_DAYS, step)
    if gate.max_slice_loss is None:
        return SLICED.given(0.5, proof, version.as_of, evidence.at, BUILT_DAYS, "Set [gate] max_slice_loss.")
    return SLICED.given(1.0, f"{proof}; one that is proven worse stops it", version.as_of, evidence.at, BUILT_DAYS, BUILD)


def _rows(part: dict[str, object], metric: str) -> float:
    metrics = part["metrics"]
    assert isinstance(metrics, dict)
    return float((metrics.get(metric) or {}).get("n", 0))


def _fair(evidence: Evidence) -> Point:
    version = evidence.version
    step = "Name the columns of `slices` that are groups of people in [rules] groups."
    if version is None or not version.facts["slices"]:
        return FAIR.none(f"Give the model a `slices` function. {step}")
    groups = [part for part in version.facts["slices"] if part["column"] in evidence.settings.rules.groups]
    parts = groups or version.facts["slices"]
    values = {f"{part['column']} = {part['value']}": (part["metrics"].get(evidence.metric) or {}).get("value") for part in parts}
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2:
        return FAIR.none(step)
    worst, best = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    of = "groups of people" if groups else "slices, none of which is named as a group of people"
    proof = (
        f"{evidence.metric} over {len(known)} {of}: from {known[best]:.4f} ({best}) to {known[worst]:.4f} ({worst}), each with its interval"
    )
    return FAIR.given(1.0 if groups else 0.5, proof, version.as_of, evidence.at, BUILT_DAYS, step if not groups else BUILD)
