"""What one library does in one process; run by benchmarks/profiles.py with the interpreter that has the library.

    python work.py PEER TASK REFERENCE.parquet CURRENT.parquet

Prints one JSON line: peak memory, version, what was flagged, and for the task `day` the CPU seconds of that step.
"""

from __future__ import annotations

import json
import resource
import sys
import warnings
from importlib.metadata import version
from time import process_time

warnings.filterwarnings("ignore")
SKIPPED = ("ts", "label")


def scan(task, reference, current):
    import polars as pl

    for path in (reference, current):
        table = pl.scan_parquet(path)
        schema = table.collect_schema()
        table.select(pl.col(name).sum() if kind.is_numeric() else pl.col(name).last() for name, kind in schema.items()).collect()
    return {"version": f"Polars {version('polars')}"}


def keepwell(task, reference, current):
    from keepwell.profiling import compare, profile

    before = profile(reference, time="ts")
    if task == "day":
        day = _day(current)
        begun = process_time()
        before.merge(profile(day, reference=before))
        return {"cpu": process_time() - begun}
    return {"flagged": _names(compare(before, profile(current, reference=before)).listed)}


def _day(path):
    """The first of the 365 days, as a polars frame."""
    import polars as pl

    n = pl.scan_parquet(path).select(pl.len()).collect().item()
    return pl.scan_parquet(path).head(n // 365).collect()


def _pandas(*paths):
    import pandas as pd

    return [pd.read_parquet(path) for path in paths]


def _columns(frame):
    return [name for name in frame.columns if name not in SKIPPED]


def nannyml(task, reference, current):
    import nannyml as nml

    before, after = _pandas(reference, current)
    names = _columns(before)
    calculator = nml.UnivariateDriftCalculator(
        column_names=names,
        timestamp_column_name="ts",
        continuous_methods=["jensen_shannon"],
        categorical_methods=["jensen_shannon"],
        chunk_number=20,
    )
    calculator.fit(before)
    if task == "day":
        day = after.head(len(after) // 365)
        begun = process_time()
        calculator.calculate(day)
        return {"cpu": process_time() - begun, "version": version("nannyml")}
    found = calculator.calculate(after).filter(period="analysis").to_df()
    flagged = [name for name in names if found[name, "jensen_shannon", "alert"].any()]
    return {"flagged": f"{len(flagged)} of {len(names)}, in at least one of 20 chunks", "version": version("nannyml")}


def evidently_columns(task, reference, current):
    from evidently import Dataset, Report
    from evidently.metrics import ValueDrift

    before, after = _pandas(reference, current)
    names = _columns(before)
    report = Report([ValueDrift(column=name) for name in names])
    result = report.run(Dataset.from_pandas(after), Dataset.from_pandas(before)).dict()
    return {"flagged": f"metrics of {len(result['metrics'])} columns", "version": version("evidently")}


def evidently_preset(task, reference, current):
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    before, after = _pandas(reference, current)
    result = Report([DataDriftPreset(columns=_columns(before))]).run(Dataset.from_pandas(after), Dataset.from_pandas(before)).dict()
    counted = next(metric["value"] for metric in result["metrics"] if "DriftedColumnsCount" in str(metric))
    return {"flagged": f"{int(counted['count'])} of {len(_columns(before))}", "version": version("evidently")}


def whylogs(task, reference, current):
    import pyarrow.parquet as pq
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    def profiled(path):
        found = None
        for batch in pq.ParquetFile(path).iter_batches(100_000):
            view = why.log(batch.to_pandas().drop(columns=list(SKIPPED))).view()
            found = view if found is None else found.merge(view)
        return found

    if task == "day":
        before = why.log(_pandas(reference)[0].head(50_000)).view()
        frame = _pandas(current)[0]
        day = frame.head(len(frame) // 365)
        begun = process_time()
        before.merge(why.log(day).view())
        return {"cpu": process_time() - begun, "version": version("whylogs")}
    scores = calculate_drift_scores(profiled(current), profiled(reference), with_thresholds=True)
    flagged = [name for name, score in scores.items() if score and score["drift_category"] == "DRIFT"]
    return {"flagged": f"{len(flagged)} of {len(scores)}", "version": version("whylogs")}


def _names(names):
    return ", ".join(names)


if __name__ == "__main__":
    peer, task, *paths = sys.argv[1:]
    said = globals()[peer.replace("-", "_")](task, *paths)
    print(json.dumps({**said, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
