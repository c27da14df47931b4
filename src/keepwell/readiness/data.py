"""The seven tests about features and data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from keepwell.readiness.evidence import Evidence
from keepwell.readiness.limits import BUILT_DAYS, SEEN_DAYS
from keepwell.readiness.records import Asked, Point

EXPECTED = Asked("D1", "data", "What each column should look like is written down, and held against what comes")
USEFUL = Asked("D2", "data", "Each feature earns its place")
CHEAP = Asked("D3", "data", "No feature costs more than it gives")
RULED = Asked("D4", "data", "Features obey rules that stand above the model")
PRIVATE = Asked("D5", "data", "Data about persons is protected along the whole way")
FAST = Asked("D6", "data", "A new feature reaches production fast")
TESTED = Asked("D7", "data", "The code that makes features is tested")
BUILD = "`keepwell run --build` builds a version and measures it."


def points(evidence: Evidence) -> list[Point]:
    """All seven."""
    return [
        _expected(evidence),
        _useful(evidence),
        _cheap(evidence),
        _ruled(evidence),
        _private(evidence),
        _fast(evidence),
        _tested(evidence),
    ]


def built(evidence: Evidence, name: str) -> tuple[datetime, int, Any] | None:
    """What the newest version's build measured: when, of which version, and what; None when it did not."""
    version = evidence.version
    if version is None or not version.facts.get(name):
        return None
    return version.as_of, version.number, version.facts[name]


def _expected(evidence: Evidence) -> Point:
    contract, gathered = evidence.contract, evidence.gathered
    if contract is None or gathered is None:
        return EXPECTED.none("`keepwell run` infers a contract from the first rows ([contract] first_rows).")
    strictness = evidence.settings.contract.strictness
    proof = f"contract {contract.digest[:12]} is in force since {contract.since:%Y-%m-%d} and each gather is held against it ({strictness})"
    whole = strictness in ("quarantine", "stop")
    step = "Let cycles run." if whole else "Set [contract] strictness to quarantine or stop."
    return EXPECTED.given(1.0 if whole else 0.5 if strictness == "note" else 0.0, proof, gathered.as_of, evidence.at, SEEN_DAYS, step)


def _useful(evidence: Evidence) -> Point:
    found = built(evidence, "worth")
    if found is None:
        return USEFUL.none(BUILD)
    dated, number, rows = found
    idle = [row["feature"] for row in rows if not row["is_useful"]]
    proof = f"the value of each of version {number}'s {len(rows)} features was measured on held-out rows"
    proof += f"; {len(rows) - len(idle)} are proven to be of use by themselves"
    step = f"Not proven to be of use by themselves: {', '.join(idle)}. Try without the last ones." if idle else BUILD
    return USEFUL.given(1.0 if 2 * len(idle) <= len(rows) else 0.5, proof, dated, evidence.at, BUILT_DAYS, step)


def _cheap(evidence: Evidence) -> Point:
    found = built(evidence, "cost")
    if found is None:
        return CHEAP.none(BUILD)
    dated, number, cost = found
    per = cost["seconds"] / max(cost["rows"], 1) * 1e6
    proof = f"all features together took {per:,.1f} microseconds a row when version {number} was built"
    return CHEAP.given(0.5, proof, dated, evidence.at, BUILT_DAYS, "The cost of each feature by itself is not measured yet.")


def _ruled(evidence: Evidence) -> Point:
    found = built(evidence, "rules")
    if found is None or not found[2]["banned"]:
        return RULED.none(f"Name features that none may use in [rules] banned. {BUILD}")
    dated, number, rules = found
    proof = (
        f"version {number}'s {rules['features']} features were held against {rules['banned']} banned names; a banned one stops the build"
    )
    return RULED.given(1.0, proof, dated, evidence.at, BUILT_DAYS, BUILD)


def _private(evidence: Evidence) -> Point:
    found = built(evidence, "privacy")
    if found is None:
        return PRIVATE.none(BUILD)
    dated, number, look = found
    if look["found"]:
        named = ", ".join(f"{name} ({why})" for name, why in sorted(look["found"].items()))
        return PRIVATE.none(
            f"These columns look as if they were about persons: {named}. Leave them out in `gather`, or replace them there."
        )
    proof = f"{look['columns']} columns and {look['values']:,} values were looked through for version {number}"
    proof += ": none looks as if it were about a person"
    return PRIVATE.given(1.0, proof, dated, evidence.at, BUILT_DAYS, BUILD)


def _fast(evidence: Evidence) -> Point:
    live = [change for change in evidence.changes if change.number is not None]
    if not live or evidence.champion is None:
        return FAST.none(BUILD)
    by_number = {version.number: version for version in evidence.versions}
    for change in reversed(live):
        version, before = by_number.get(change.number or 0), by_number.get((change.number or 0) - 1)
        if version and before and version.code != before.code:
            proof = f"version {version.number} brought other code than version {before.number}"
            proof += f" and was live {_apart(version.as_of, change.since)}"
            return FAST.given(1.0, proof, change.since, evidence.at, BUILT_DAYS, "Change `features` and let a cycle build it.")
    version = by_number.get(live[-1].number or 0)
    if version is None:
        return FAST.none(BUILD)
    proof = f"version {version.number} was live {_apart(version.as_of, live[-1].since)}, through the same steps a new feature goes"
    step = "The whole point comes with the first version of changed code that goes live."
    return FAST.given(0.5, proof, live[-1].since, evidence.at, 3 * BUILT_DAYS, step)


def _apart(built_at: datetime, live: datetime) -> str:
    days = (live - built_at).total_seconds() / 86400
    return "in the cycle that built it" if days <= 0 else f"{days:,.1f} days after it was built"


def _tested(evidence: Evidence) -> Point:
    prepared = evidence.steps.get("prepare")
    cuts = prepared.result.get("cuts_checked", 0) if prepared else 0
    if not cuts or evidence.version is None:
        return TESTED.none(BUILD)
    proof = f"version {evidence.version.number}'s features were made anew at {cuts} cuts of the past"
    proof += ", and from the look-back alone: the same rows"
    return TESTED.given(1.0, proof, evidence.version.as_of, evidence.at, BUILT_DAYS, BUILD)
