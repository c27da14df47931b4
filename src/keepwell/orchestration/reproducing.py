"""Repeat a build outside the record, and say that it came out identical, or at which step it did not and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from keepwell.comparison import Difference, code_differences, frame_differences, package_differences, setting_differences
from keepwell.errors import KeepwellError, NotRepeatable
from keepwell.ingestion import key_of
from keepwell.orchestration import building
from keepwell.orchestration.context import Context, Inputs
from keepwell.orchestration.proof import Repeated, Reproduction, sentence_of
from keepwell.registry import list_versions
from keepwell.settings import Settings
from keepwell.storage import ArtifactStore, digest_of, to_json
from keepwell.training import (
    Code,
    Outline,
    Result,
    Run,
    StepRecord,
    answers,
    content_digest,
    from_bytes,
    load_model,
    machine,
    needed_packages,
    pin,
    unpin,
)

STEPS = ("prepare", "train", "evaluate", "gate")
MEASURED = ("latency", "size")  # checks of the gate on what a clock says, or how a file happens to be written


class _Scratch(ArtifactStore):
    """The project's artifacts to read, and memory to write."""

    def __init__(self, kept: ArtifactStore) -> None:
        self.url, self._kept, self._new = kept.url, kept, dict[str, bytes]()

    def put(self, content: bytes) -> str:
        digest = digest_of(content)
        self._new[digest] = content
        return digest

    def get(self, digest: str) -> bytes:
        return self._new[digest] if digest in self._new else self._kept.get(digest)

    def has(self, digest: str) -> bool:
        return digest in self._new or self._kept.has(digest)


class _Bench(Context):
    """A context whose builds read given inputs and leave the record alone."""

    given: Inputs

    def inputs(self, as_of: datetime) -> Inputs:
        return self.given


def reproduce(context: Context, run: Run, steps: list[StepRecord], *, here: bool = False) -> Reproduction:
    """Run a build's steps again.

    Parameters
    ----------
    run, steps : what the record holds of it.
    here : with the folder's code and settings and the tables as they are now, not with those that were pinned.

    Raises
    ------
    NotRepeatable : the record does not hold what the build was made of.
    ArtifactMissing, ArtifactCorrupt : a pinned file was lost or changed.
    """
    recorded = {step.name: step for step in steps if step.name in STEPS}
    if "prepare" not in recorded or "pins" not in recorded["prepare"].result or "settings" not in run.facts:
        raise NotRepeatable(run.run, "its inputs were not kept")
    kept = _Kept.of(context, run, recorded["prepare"].result)
    moved = kept.moved(context)
    bench = _here(context, kept) if here else _pinned(context, kept)
    proofs: list[Repeated] = []
    found: Result = {}
    verdict, first, error = "identical", None, None
    for name in STEPS[: len(recorded) + (run.status == "failed")]:
        try:
            found[name] = _again(bench, run, name, found, recorded)
        except KeepwellError as problem:
            then = _said(context.artifacts, name, recorded[name].result) if name in recorded else run.sentence
            is_same = then == problem.message
            proofs.append(Repeated(name, "identical" if is_same else "differs", then, problem.message))
            if not is_same:
                verdict, first, error = "differs", name, problem
            break
        if name not in recorded:
            verdict, first = "differs", name
            proofs.append(Repeated(name, "differs", run.sentence, "it did not fail"))
            break
        said = [_said(bench.artifacts, name, result) for result in (recorded[name].result, found[name])]
        proofs.append(Repeated(name, "identical" if said[0] == said[1] else "differs", *said))
        if said[0] != said[1] and first is None:
            verdict, first = "differs", name
            if not here:
                break
    packages = tuple(package_differences(kept.packages, needed_packages(bench.code.files())))
    because: tuple[Difference, ...] = ()
    change = None
    if first is not None:
        because = (*moved, *packages) if here else (*packages, *_results(context, bench, first, recorded, found))
        change = _change(bench, recorded, found) if error is None else None
        if error is None and first in recorded and (unsteady := _twice(bench, run, first, found, recorded)) is not None:
            verdict, change = "nondeterministic", unsteady
            proofs = [replace(proof, verdict=verdict) if proof.name == first else proof for proof in proofs]
        elif not here and not packages:
            because = (*because, *_machine(context, run))
    version = _number(context, run)
    sentence = sentence_of(run.run, version, verdict, first, because, packages, change, error)
    aside = packages if first is None else ()
    return Reproduction(
        run.run, version, datetime.now(UTC), here, verdict, first, sentence, tuple(proofs), because, aside, () if here else moved, change
    )


@dataclass(frozen=True, eq=False)
class _Kept:
    """What a build was made of."""

    run: Run
    pins: dict[str, Any]
    commits: dict[str, int]
    code: Code
    settings: dict[str, Any]
    packages: dict[str, str]

    @classmethod
    def of(cls, context: Context, run: Run, prepared: Result) -> _Kept:
        artifacts, facts = context.artifacts, run.facts
        code = Code.get(artifacts, facts["code"])
        settings, packages = (json.loads(artifacts.get(facts[name])) for name in ("settings", "packages"))
        return cls(run, prepared["pins"], prepared["commits"], code, settings, packages)

    def moved(self, context: Context) -> tuple[Difference, ...]:
        """How the folder and the tables differ now from what was pinned."""
        settings = json.loads(context.settings_json())
        own = ("build", "gate", "model", "train")  # the others do not touch a build
        before, after = ({name: table[name] for name in own if name in table} for table in (self.settings, settings))
        code = code_differences(self.code.files(), context.code.files())
        return (*code, *setting_differences(before, after), *self.data(context))

    def now(self, context: Context, scratch: ArtifactStore) -> Inputs:
        """The same rows as the tables hold them now. Truth that came in later belongs to later builds, and is left out."""
        key = list(key_of(context.outline.entity, context.outline.time))
        now = replace(context, artifacts=scratch).inputs(self.run.as_of)
        then = unpin(scratch, self.pins["labels"], time=key[1])
        if then.is_empty() or now.labels.is_empty():
            return now
        labels = now.labels.join(then.select(key), on=key, how="semi", maintain_order="left")
        return replace(now, labels=labels, pins={**now.pins, "labels": pin(scratch, labels, key[1])})

    def data(self, context: Context) -> list[Difference]:
        """Rows that the tables hold otherwise now: restated since, or changed behind Keepwell's back."""
        scratch = _Scratch(context.artifacts)
        key = key_of(context.outline.entity, context.outline.time)
        found: list[Difference] = []
        try:
            now = self.now(context, scratch)
        except KeepwellError as error:  # the pinned copies do without the tables
            return [Difference("data", "tables", "whole", "damaged", error.message, {"rows": 0, "said": error.message})]
        for name, pins in self.pins.items():
            differ = [
                year
                for year in pins.keys() | now.pins[name].keys()
                if pins.get(year, {}).get("content") != now.pins[name].get(year, {}).get("content")
            ]
            for year in sorted(differ):
                sides = [{year: side[year]} if year in side else {} for side in (pins, now.pins[name])]
                before, after = (unpin(scratch, side, time=key[1]) for side in sides)
                found += frame_differences(before, after, key)
        return found


def _pinned(context: Context, kept: _Kept) -> _Bench:
    artifacts = _Scratch(context.artifacts)
    time = context.outline.time
    rows = {name: unpin(artifacts, pins, time=time) for name, pins in kept.pins.items()}
    own = context.settings.model_dump(include={"store": True, "trust": True, "source": True})
    settings = Settings.model_validate({**kept.settings, **own})
    outline: Outline = kept.code.outline(settings.model, context.home / "code")
    return _bench(context, artifacts, Inputs(rows["observations"], rows["labels"], kept.pins, kept.commits), settings, kept.code, outline)


def _here(context: Context, kept: _Kept) -> _Bench:
    artifacts = _Scratch(context.artifacts)
    return _bench(context, artifacts, kept.now(context, artifacts), context.settings, context.code, context.outline)


def _bench(context: Context, artifacts: ArtifactStore, given: Inputs, settings: Settings, code: Code, outline: Outline) -> _Bench:
    def run(_run: str, _name: str, _parts: Result, work: Callable[[], Result]) -> Result:
        return work()

    bench = _Bench(context.folder, settings, code, outline, context.source, context.database, artifacts, context.home, run)
    bench.given = given
    return bench


def _again(bench: _Bench, run: Run, name: str, found: Result, recorded: dict[str, StepRecord]) -> Result:
    if name == "prepare":
        return building.prepare(bench, run.run, run.as_of)
    if name == "train":
        return building.train(bench, run.run, found["prepare"])
    if name == "evaluate":
        champion = recorded["evaluate"].result["champion"]
        return building.evaluate_against(bench, run.run, champion, run.as_of, found["prepare"], found["train"])
    return building.gate(bench, run.run, found["train"], found["evaluate"])


def _said(artifacts: ArtifactStore, name: str, result: Result) -> str:
    """A digest of what a step's result says, without what a clock measured and without how its files happen to be written."""
    if name == "prepare":
        said: Any = [content_digest(from_bytes(artifacts.get(result["training_set"]))), result["features"], result["cuts_checked"]]
    elif name == "train":
        said = [result["canonical"], result["golden"]["answers"], result["train_rows"], result["holdout_from"]]
    elif name == "evaluate":
        said = [content_digest(from_bytes(artifacts.get(result["sheet"]))), result["metrics"], result["champion"]]
    else:
        checks = [check for check in result["checks"] if check["name"] not in MEASURED]
        said = [all(check["passed"] for check in checks), checks]
    return digest_of(json.dumps(json.loads(to_json(said)), sort_keys=True).encode())


def _results(context: Context, bench: _Bench, name: str, recorded: dict[str, StepRecord], found: Result) -> list[Difference]:
    """How a step's frame differs from the one that was kept."""
    if name not in found or name not in ("prepare", "evaluate"):
        return []
    part = {"prepare": "training_set", "evaluate": "sheet"}[name]
    before, after = (from_bytes(bench.artifacts.get(result[part])) for result in (recorded[name].result, found[name]))
    if name == "evaluate":
        before, after = before.with_row_index("row"), after.with_row_index("row")
        return frame_differences(before, after, ["row", "time"])
    return frame_differences(before, after, key_of(context.outline.entity, context.outline.time))


def _twice(bench: _Bench, run: Run, name: str, found: Result, recorded: dict[str, StepRecord]) -> dict[str, float] | None:
    """Run a step once more. When its two runs differ, the size of that; None when they agree."""
    again = {**found, name: _again(bench, run, name, found, recorded)}
    if _said(bench.artifacts, name, found[name]) == _said(bench.artifacts, name, again[name]):
        return None
    if name == "train":
        return _between(bench, found["train"], again["train"])
    part = {"prepare": "training_set", "evaluate": "sheet"}.get(name)
    if part is None:
        return {}
    before, after = (from_bytes(bench.artifacts.get(one[name][part])).with_row_index("row") for one in (found, again))
    return {"cells": float(sum(one.facts.get("rows", 1) for one in frame_differences(before, after, ["row"])))}


def _change(bench: _Bench, recorded: dict[str, StepRecord], found: Result) -> dict[str, float] | None:
    """How far the new answers are from the recorded ones, on the recorded golden rows."""
    if "train" not in found or "train" not in recorded:
        return None
    try:
        return _between(bench, recorded["train"].result, found["train"])
    except (KeepwellError, pl.exceptions.PolarsError, ValueError):
        return None  # the two take other features: their answers to the same rows cannot be held against each other


def _between(bench: _Bench, before: Result, after: Result) -> dict[str, float]:
    rows = from_bytes(bench.artifacts.get(before["golden"]["rows"]))
    given = [
        answers(
            load_model(one["format"], bench.artifacts.get(one["model_file"]), bench.settings.trust),
            rows,
            bench.model.task,
            frame=bench.model.frame,
        )
        for one in (before, after)
    ]
    apart = np.abs(given[1] - given[0])
    return {"rows": float(apart.size), "changed": float((apart > 0).sum()), "largest": float(apart.max()), "mean": float(apart.mean())}


def _number(context: Context, run: Run) -> int | None:
    with context.database.read() as connection:
        return next((version.number for version in list_versions(connection, context.name) if version.run == run.run), None)


def _machine(context: Context, run: Run) -> list[Difference]:
    then = json.loads(context.artifacts.get(run.facts["environment"])).get("machine", {})
    return [replace(one, kind="platform") for one in setting_differences(then, machine())]
