"""Keepwell's watch behind the protocol of a decline benchmark: `fit` once, then `update` for every batch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from keepwell.monitoring import Watch

try:  # the same monitor runs on another benchmark of this shape when that one is on the path
    from decline_bench.protocol import Event, Monitor
except ModuleNotFoundError:
    from protocol import Event, Monitor

FALSE_ALARMS = 1000  # batches of the benchmark, whatever their length, from one false alarm to the next


class KeepwellMonitor(Monitor):
    """One watch a scenario."""

    def fit(self, reference_X: Any, reference_y: Any, reference_p: Any, timestamps: Any, model: Any) -> None:
        frame = self._frame(reference_X, timestamps, reference_p).with_columns(label=pl.Series(np.asarray(reference_y, float)))
        delay = model.label_delay
        names = list(reference_X.columns)

        def ask(rows: pl.DataFrame) -> np.ndarray:
            columns = {name: _back(rows[name]) for name in names}
            return np.asarray(model.predict(pd.DataFrame(columns)))

        self.watch = Watch(
            frame,
            ask,
            entity=_entity(reference_X, timestamps, model),
            key="id",
            columns=names,
            false_alarms=f"1 per {FALSE_ALARMS * float(model.batch / np.timedelta64(1, 'D')):.0f} days",
            label_delay_days=None if delay is None else float(delay / np.timedelta64(1, "D")),
        )

    def update(self, batch_X: Any, batch_p: Any, labels: Any, timestamps: Any, window: Any) -> list[Event]:
        frame = self._frame(batch_X, timestamps, batch_p)
        said = None
        if labels is not None and len(labels):
            said = pl.DataFrame({"id": [str(one) for one in labels.index], "label": labels.to_numpy().astype(float)})
        until = datetime.fromtimestamp(int(window[1].astype("datetime64[s]").astype(int)), UTC)
        events = []
        for signal in self.watch.update(frame, said, until=until):
            if signal.kind == "recovered":
                continue
            onset = None if signal.onset is None else np.datetime64(signal.onset.replace(tzinfo=None), "ns")
            causes = [(None if cause.kind == "unknown" else cause.kind, cause.column or None) for cause in signal.causes]
            events.append(Event("decline" if signal.kind == "decline" else "data", onset, causes))
        return events

    def _frame(self, X: Any, timestamps: Any, p: Any) -> pl.DataFrame:
        columns: dict[str, Any] = {"id": pl.Series([str(one) for one in X.index], dtype=pl.String)}
        times = pl.Series(np.asarray(timestamps).astype("datetime64[us]"), dtype=pl.Datetime("us"))
        columns["time"] = times.dt.replace_time_zone("UTC")
        for name in X.columns:
            values = X[name].to_numpy()
            is_text = not pd.api.types.is_numeric_dtype(X[name])
            columns[name] = (
                pl.Series([v if isinstance(v, str) else None for v in values], dtype=pl.String)
                if is_text
                else pl.Series(values.astype(float)).fill_nan(None)
            )
        return pl.DataFrame({**columns, "answer": pl.Series(np.asarray(p, float), dtype=pl.Float64)})


def _back(column: pl.Series) -> Any:
    if column.dtype == pl.String:
        return np.array(column.to_list(), dtype=object)
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _entity(X: Any, timestamps: Any, model: Any) -> str | None:
    """A text column that the model does not use and that names each row of a day once says whose row it is."""
    day = np.asarray(timestamps).astype("datetime64[D]")
    for name in X.columns:
        if not pd.api.types.is_numeric_dtype(X[name]) and name not in model.features:
            pairs = pd.DataFrame({"day": day, "entity": X[name].to_numpy()})
            if pairs.drop_duplicates().shape[0] > 0.95 * len(pairs):
                return str(name)
    return None
