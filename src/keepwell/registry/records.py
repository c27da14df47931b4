"""What the registry remembers."""

from __future__ import annotations

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


@dataclass(frozen=True)
class AliasChange:
    """From `since` on `alias` named version `number` (None: nothing), by whom and why."""

    alias: str
    number: int | None
    since: datetime
    recorded_at: datetime
    reason: str
    by: str
