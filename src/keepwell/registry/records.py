"""What the registry remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"


@dataclass(frozen=True)
class Version:
    """One immutable version of a model and everything it was made of.

    Digests name artifacts: `model_file` (in `format`), `code` (the scientist's files), `contract` (contract.toml),
    `settings` (JSON), `training_set` (Parquet), `environment` (JSON), `card` (Markdown). `facts` holds the lineage
    (table versions, rows, moments, parent version) and the evaluation (metrics, slices, baselines, gate).
    """

    number: int
    run: str
    as_of: datetime
    passed: bool
    sentence: str
    format: str
    model_file: str
    code: str
    contract: str | None
    settings: str
    training_set: str
    environment: str
    card: str
    facts: dict[str, Any]

    def _repr_html_(self) -> str:
        from keepwell import notebook
        from keepwell.wording import interval, when

        facts = [
            ("Gate", self.sentence),
            ("Made", when(self.as_of)),
            ("Built by", self.run),
            ("Model file", f"{self.format}, {self.model_file[:12]}"),
        ]
        scores = [(name, interval(metric)) for name, metric in self.facts.get("metrics", {}).items()]
        word = "passed" if self.passed else "refused"
        return notebook.card(word, f"Version {self.number}, {word} at the gate", facts, [("Metric", "Value (95 %)"), *scores])


@dataclass(frozen=True)
class AliasChange:
    """From `since` on `alias` named version `number` (None: nothing), by whom and why."""

    alias: str
    number: int | None
    since: datetime
    recorded_at: datetime
    reason: str
    by: str


def digests_of(version: Version) -> Iterator[tuple[str, str]]:
    """(what, digest) of each artifact that a version needs to answer, to be judged again, and to be built again."""
    for what in ("model_file", "code", "contract", "settings", "training_set", "environment", "card"):
        if digest := getattr(version, what):
            yield what.replace("_", " "), digest
    if rows := version.facts.get("golden", {}).get("rows"):
        yield "golden rows", rows
    if sheet := version.facts.get("sheet"):
        yield "evaluation sheet", sheet
    if packages := version.facts.get("packages"):
        yield "packages", packages
    for name, pins in version.facts.get("pins", {}).items():
        for year, files in pins.items():
            yield f"{name} of {year}", files["file"]


@dataclass(frozen=True)
class Swept:
    """The files of version `number` were removed at a moment, by a rule of ``[retention]``; its row stays."""

    number: int
    at: datetime
    rule: str
