"""A scenario as plain files without its truth, and a monitor led through it in time order. Needs numpy, pandas and pyarrow only."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HIDDEN = ("time", "y", "answer")


@dataclass
class Rows:
    """What was asked, what the model answered, and the truth that came later."""

    X: pd.DataFrame
    y: np.ndarray
    p: np.ndarray
    t: np.ndarray


@dataclass
class Case:
    """What any monitor may know; it stands for the model when that is not at hand."""

    id: str
    features: list[str]
    categorical: list[str]
    text: list[str]
    batch: np.timedelta64
    delay: np.timedelta64
    edges: np.ndarray
    reference: Rows
    production: Rows
    model: Any = None
    threshold: float = 0.5
    label_delay: np.timedelta64 | None = None

    def predict(self, X: Any) -> Any:
        """The model, when it is at hand."""
        assert self.model is not None, "this monitor was started without the model"
        return self.model.predict(X)


def save(scenario: Any, folder: Path) -> None:
    """reference.parquet, production.parquet and case.json."""
    folder.mkdir(parents=True, exist_ok=True)
    stream = scenario.stream
    known = stream.model.predict(stream.reference)
    for name, frame, answers in (("reference", stream.reference, known), ("production", scenario.rows, scenario.answers)):
        frame[[*stream.columns, "time", "y"]].assign(answer=answers).to_parquet(folder / f"{name}.parquet", index=False)
    seconds = [int(span / np.timedelta64(1, "s")) for span in (stream.batch, stream.model.label_delay)]
    facts = {
        "id": scenario.spec.id,
        "features": stream.model.features,
        "categorical": stream.model.categorical,
        "text": [one for one in stream.columns if one not in stream.numeric],
        "batch_s": seconds[0],
        "label_delay_s": seconds[1],
        "edges": [str(edge) for edge in np.arange(stream.start, stream.end + stream.batch, stream.batch)],
    }
    (folder / "case.json").write_text(json.dumps(facts, indent=1), "utf-8")


def load(folder: Path, model: Any = None) -> Case:
    """Read one back."""
    facts = json.loads((folder / "case.json").read_text("utf-8"))
    parts = [_rows(pd.read_parquet(folder / f"{name}.parquet"), facts["text"]) for name in ("reference", "production")]
    spans = [np.timedelta64(facts[name], "s").astype("timedelta64[ns]") for name in ("batch_s", "label_delay_s")]
    edges = np.array(facts["edges"], dtype="datetime64[ns]")
    return Case(facts["id"], facts["features"], facts["categorical"], facts["text"], spans[0], spans[1], edges, parts[0], parts[1], model)


def _rows(frame: pd.DataFrame, text: list[str]) -> Rows:
    X = frame[[one for one in frame.columns if one not in HIDDEN]].copy()
    for name in text:
        X[name] = pd.Series([one if isinstance(one, str) else None for one in X[name]], dtype=object)
    return Rows(X, frame["y"].to_numpy(), frame["answer"].to_numpy(), frame["time"].to_numpy().astype("datetime64[ns]"))


def play(case: Case, monitor: Any, *, labels: bool) -> tuple[list[dict[str, Any]], float]:
    """What the monitor said, each at the end of the batch that it was looking at; and its processor seconds."""
    rows, reference = case.production, case.reference
    case.label_delay = case.delay if labels else None
    due = rows.t + case.delay
    said: list[dict[str, Any]] = []
    began = time.process_time()
    monitor.fit(reference.X.copy(), reference.y.copy(), reference.p.copy(), reference.t.copy(), case)
    for start, end in zip(case.edges[:-1], case.edges[1:], strict=True):
        here = slice(*np.searchsorted(rows.t, [start, end]))
        came = None
        if labels:
            known = (due >= start) & (due < end)
            came = pd.Series(rows.y[known], index=rows.X.index[known])
        events = monitor.update(rows.X.iloc[here].copy(), rows.p[here].copy(), came, rows.t[here].copy(), (start, end))
        said += [as_plain(event, end) for event in events or []]
    return said, time.process_time() - began


def as_plain(event: Any, at: Any) -> dict[str, Any]:
    """An event for a file."""
    onset = None if event.onset is None or pd.isna(event.onset) else str(np.datetime64(pd.Timestamp(event.onset)))
    return {"at": str(at), "kind": event.kind, "onset": onset, "causes": [list(cause) for cause in event.causes or []]}
