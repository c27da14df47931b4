"""What the steps of a model's life work with: its code, its settings and its open stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from keepwell.errors import VersionNotFound
from keepwell.ingestion import key_of, open_source
from keepwell.model import Model
from keepwell.monitoring import Watch
from keepwell.registry import CHAMPION, Version, aliases_now, get_version, refuse_swept
from keepwell.serving import LABEL_KEY, PREDICTION_KEY, SHADOW_KEY, Predictor
from keepwell.settings import Settings, read
from keepwell.storage import ArtifactStore, Database, Table
from keepwell.training import Code, Outline, Pins, Result, Runner, check_environment, lock_of, needed_packages, pin, run_step
from keepwell.validation import Contract, from_toml

QUARANTINE_KEY = ("row_id",)


@dataclass(frozen=True, eq=False)
class Inputs:
    """The rows a build reads, the files that keep them, and the newest commits of their tables."""

    observations: pl.DataFrame
    labels: pl.DataFrame
    pins: dict[str, Pins]
    commits: dict[str, int]


@dataclass(eq=False)
class Context:
    """One open model.

    `source` is what ``[source]`` describes (or None), `home` the local folder for unpacked code.
    """

    folder: Path
    settings: Settings
    code: Code
    outline: Outline
    source: Any
    database: Database
    artifacts: ArtifactStore
    home: Path
    runner: Runner | None = None  # what runs a build's steps; None keeps and reuses them in the record
    _model: Model | None = None
    _predictors: dict[int, Predictor] = field(default_factory=dict)
    _versions: dict[int, Version] = field(default_factory=dict)
    _contracts: dict[str, Contract] = field(default_factory=dict)
    rehearsed_on: date | None = None  # the day on which the way back was last looked at
    watches: dict[int, tuple[str, Watch]] = field(default_factory=dict)  # version -> (cycle of its newest state, the watch in that state)

    @classmethod
    def open(cls, folder: Path, flags: Mapping[str, Any] | None = None) -> Context:
        """The model of a folder with its stores open; see `Project` for what may be wrong."""
        settings = read(folder, flags)
        home = folder / ".keepwell"
        code = Code.of(folder)
        outline = code.outline(settings.model, home / "code")
        source = open_source(settings.source, folder, settings.gather)
        database = Database(settings.store.database, folder)
        return cls(folder, settings, code, outline, source, database, ArtifactStore(settings.store.artifacts, folder), home)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.outline.name

    @property
    def model(self) -> Model:
        """The scientist's model; imported when it is first needed, which looking at the record is not."""
        if self._model is None:
            self._model = self.code.load(self.settings.model, self.home / "code")
        return self._model

    @model.setter
    def model(self, model: Model) -> None:
        self._model = model

    @cached_property
    def observations(self) -> Table:
        """Accepted observations."""
        return self._table("observations", key_of(self.outline.entity, self.outline.time), self.outline.time)

    @cached_property
    def predictions(self) -> Table:
        """The ledger."""
        return self._table("predictions", PREDICTION_KEY, "time")

    @cached_property
    def shadows(self) -> Table:
        """Answers that nobody was given: of challengers, and of former champions on probation."""
        return self._table("shadows", SHADOW_KEY, "time")

    @cached_property
    def labels(self) -> Table:
        """Labels as they came in."""
        return self._table("labels", LABEL_KEY, "time")

    @cached_property
    def quarantine(self) -> Table:
        """Rows set aside, with their reason."""
        return self._table("quarantine", QUARANTINE_KEY, "time")

    @property
    def tables(self) -> tuple[Table, ...]:
        """All versioned tables."""
        return (self.observations, self.predictions, self.labels, self.quarantine, self.shadows)

    def _table(self, kind: str, key: tuple[str, ...], time: str) -> Table:
        root = self.settings.store.tables
        root = root if "://" in root else str((self.folder / root).resolve())
        return Table(self.database, self.artifacts, root, f"{self.name}/{kind}", key, time)

    @cached_property
    def journal_folder(self) -> Path:
        """Where acknowledged answers wait to be shipped."""
        return (self.folder / self.settings.store.journal).resolve()

    @property
    def metric(self) -> str:
        """The deciding metric."""
        return self.settings.gate.metric or {"binary": "brier", "regression": "mae"}[self.outline.task]

    def inputs(self, as_of: datetime) -> Inputs:
        """What a build of this moment reads, as it is now, and pinned."""
        key = key_of(self.outline.entity, self.outline.time)
        commits = {"observations": self.observations.last_commit(), "labels": self.labels.last_commit()}
        observations = self.observations.rows(until=as_of, at=commits["observations"])
        labels = self.labels.rows(until=as_of, at=commits["labels"])
        if not labels.is_empty():
            labels = labels.filter(pl.col("prediction_id") == "")
            labels = labels.select(pl.col("entity").alias(key[0]), pl.col("time").alias(key[1]), "label")
        frames = {"observations": observations, "labels": labels}
        pins = {name: pin(self.artifacts, rows, self.outline.time) for name, rows in frames.items()}
        return Inputs(observations, labels, pins, commits)

    def predictor(self, number: int) -> Predictor:
        """A version ready to answer; kept open. Raises VersionSwept when its files were cleaned up."""
        if number not in self._predictors:
            found = self.load(number)
            if len(self._predictors) >= 4:
                self._predictors.pop(next(iter(self._predictors)))
            self._predictors[number] = found
        return self._predictors[number]

    def load(self, number: int) -> Predictor:
        """A version loaded from its files, whatever is open. Raises VersionSwept when they were cleaned up."""
        version = self.version(number)
        with self.database.read() as connection:
            refuse_swept(connection, self.name, number)
        if self.settings.serve.packages == "refuse":
            check_environment(lock_of(self.artifacts.get(version.environment)), Code.get(self.artifacts, version.code).files(), number)
        return Predictor.load(version, self.artifacts, self.home / "code", self.settings.trust)

    def champion(self) -> int | None:
        """Number of the version that serves."""
        with self.database.read() as connection:
            return aliases_now(connection, self.name).get(CHAMPION)

    def version(self, number: int) -> Version:
        """A version by number; kept, since versions never change."""
        if number not in self._versions:
            with self.database.read() as connection:
                self._versions[number] = get_version(connection, self.name, number)
        return self._versions[number]

    def expected(self, numbers: Iterable[int]) -> dict[int, float]:
        """Version -> its loss at evaluation by the deciding metric."""
        found = {number: one.get("value") for number, one in self._measured(numbers)}
        return {number: value for number, value in found.items() if value is not None}

    def doubts(self, numbers: Iterable[int]) -> dict[int, float]:
        """Version -> half of the interval of that loss."""
        sides = {number: (one.get("low"), one.get("high")) for number, one in self._measured(numbers)}
        return {number: (high - low) / 2 for number, (low, high) in sides.items() if low is not None and high is not None}

    def _measured(self, numbers: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Versions with the deciding metric at evaluation; those that are not of this record (see `keepwell.log_predictions`) have none."""
        for number in numbers:
            with suppress(VersionNotFound):
                yield number, self.version(number).facts["metrics"].get(self.metric, {})

    def contract(self, digest: str) -> Contract:
        """The contract kept under a digest."""
        if digest not in self._contracts:
            self._contracts[digest] = from_toml(self.artifacts.get(digest).decode())
        return self._contracts[digest]

    def run_step(self, run: str, name: str, parts: Result, work: Callable[[], Result]) -> Result:
        """A build step's result: run, or used again when an earlier one has the same identity."""
        if self.runner is not None:
            return self.runner(run, name, parts, work)
        return run_step(self.database, self.name, run, name, parts, work)

    @property
    def packages_json(self) -> bytes:
        """The packages that this code needs, with their versions."""
        return json.dumps(needed_packages(self.code.files()), sort_keys=True).encode()

    def settings_json(self) -> bytes:
        """The settings a version carries: all but secrets and where things are."""
        left_out: Any = dict.fromkeys(("store", "trust", "source", "people", "webhooks", "notify"), True) | {
            "serve": {"token", "certificate", "key"}
        }
        plain = self.settings.model_dump(mode="json", exclude=left_out)
        return json.dumps(plain, sort_keys=True, indent=1).encode()
