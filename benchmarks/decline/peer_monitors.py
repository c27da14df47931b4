"""Other tools as monitors, each with its own defaults. This file runs in the tool's own environment, on files; peers.py starts it.

What a benchmark must choose for a tool is chosen once, and kindly:

- A rule that compares distributions (PSI, Evidently, NannyML) looks at the newest batch, or at the newest 365 rows when a batch has fewer:
  on 30 rows any distance is mostly chance. At first its window reaches back into the reference.
- It looks at the columns that the model uses. A change in a column that the model ignores cannot make it cry.
- Its onset is the start of the first batch of the unbroken run of alarms; its causes are the columns that alarm, farthest over first.
- ADWIN and Page-Hinkley watch the model's errors (0 or 1) as labels come in, and alarm only when errors became more. Without labels each
  watches the numeric columns, in standard deviations of the reference. Both have met the reference before.
- NannyML alarms on ROC AUC, realized with labels and estimated (CBPE) without; which columns drift is read beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from replay import Case, Rows, load

FEWEST = 365  # rows that a distribution is read from
MOST_REFERENCE = 5_000  # rows of the reference that Evidently is given, every n-th: it reads all of them again at each batch
PSI_LIMIT, PSI_BINS = 0.2, 10

Said = list[dict[str, Any]]


class Windows:
    """The rows that a rule sees at the end of each batch."""

    def __init__(self, case: Case, *, labels: bool = False):
        rows, known = case.production, case.reference
        self.X = pd.concat([known.X, rows.X], ignore_index=True)
        self.y, self.p = np.concatenate([known.y, rows.y]), np.concatenate([known.p, rows.p])
        due = rows.t + case.delay if labels else rows.t
        starts, ends = np.searchsorted(due, case.edges[:-1]), np.searchsorted(due, case.edges[1:])
        self.size = max(FEWEST, int(np.median(ends - starts)))
        self.spans = [slice(max(0, len(known.X) + end - self.size), len(known.X) + end) for end in ends]

    def rows_of_all(self) -> np.ndarray:
        """Row numbers of all windows, one after the other: as many chunks of one size as there are batches."""
        return np.concatenate([np.arange(span.start, span.stop) for span in self.spans])


def said_of(case: Case, hot: list[list[str] | None]) -> Said:
    """Alarms from what each batch's window showed: None for nothing, else the columns blamed."""
    said, since = [], None
    for k, columns in enumerate(hot):
        since = None if columns is None else (k if since is None else since)
        if columns is not None:
            at, onset = str(case.edges[k + 1]), str(case.edges[since])
            said.append({"at": at, "kind": "decline", "onset": onset, "causes": [[None, name] for name in columns]})
    return said


# ---- PSI > 0.2


def psi(case: Case, labels: bool) -> dict[str, Said]:
    windows = Windows(case)
    rules = {name: shares_of(case.reference.X[name], name in case.text) for name in case.features}
    usual = {name: rules[name](case.reference.X[name]) for name in case.features}
    hot: list[list[str] | None] = []
    for span in windows.spans:
        seen = windows.X.iloc[span]
        value = {}
        for name in case.features:
            a, b = (np.clip(shares, 1e-4, None) for shares in (usual[name], rules[name](seen[name])))
            value[name] = float(((b - a) * np.log(b / a)).sum())
        over = sorted((name for name in value if value[name] > PSI_LIMIT), key=lambda name: -value[name])
        hot.append(over or None)
    return {"psi": said_of(case, hot)}


def shares_of(known: pd.Series, is_text: bool) -> Any:
    """A function from values to shares of ten bins of equal weight (of categories), with one bin for missing and one for new words."""
    if is_text:
        names = sorted(known.dropna().unique())

        def words(values: pd.Series) -> np.ndarray:
            counts = [int((values == name).sum()) for name in names]
            gone = int(values.isna().sum())
            return np.array([*counts, gone, len(values) - gone - sum(counts)]) / max(1, len(values))

        return words
    cuts = np.unique(np.nanquantile(known, np.linspace(0, 1, PSI_BINS + 1)[1:-1]))

    def numbers(values: pd.Series) -> np.ndarray:
        there = values.dropna().to_numpy()
        counts = np.bincount(np.searchsorted(cuts, there, side="right"), minlength=len(cuts) + 1)
        return np.append(counts, len(values) - len(there)) / max(1, len(values))

    return numbers


# ---- river


def river_monitor(name: str) -> Any:
    def run(case: Case, labels: bool) -> dict[str, Said]:
        from river.drift import ADWIN, PageHinkley

        make = ADWIN if name == "adwin" else PageHinkley
        return {name: errors_watched(case, make) if labels else columns_watched(case, make)}

    return run


def errors_watched(case: Case, make: Any) -> Said:
    def errors(rows: Rows) -> np.ndarray:
        return ((rows.p >= case.threshold) != rows.y).astype(float)

    detector, usual = make(), errors(case.reference)
    for one in usual:
        detector.update(one)
    said, lately = [], list(usual[-50:])
    due, times, wrong = case.production.t + case.delay, case.production.t, errors(case.production)
    for k, one in enumerate(wrong):
        detector.update(one)
        lately = [*lately[-49:], one]
        level = getattr(detector, "estimation", None)
        if detector.drift_detected and due[k] < case.edges[-1] and (np.mean(lately) if level is None else level) > usual.mean():
            said.append({"at": batch_end(case, due[k]), "kind": "decline", "onset": onset_of(detector, times, k), "causes": []})
    return said


def columns_watched(case: Case, make: Any) -> Said:
    said = []
    for name in case.features:
        if name in case.text:
            continue
        known = case.reference.X[name]
        center, spread = known.mean(), known.std()
        detector = make()
        for one in ((known - center) / spread).dropna():
            detector.update(one)
        values, times = ((case.production.X[name] - center) / spread).to_numpy(), case.production.t
        there = np.flatnonzero(~np.isnan(values))
        for k, one in enumerate(values[there]):
            detector.update(one)
            if detector.drift_detected:
                at = times[there][k]
                onset = onset_of(detector, times[there], k)
                said.append({"at": batch_end(case, at), "kind": "decline", "onset": onset, "causes": [[None, name]]})
    return sorted(said, key=lambda event: event["at"])


def batch_end(case: Case, moment: Any) -> str:
    return str(case.edges[int(np.searchsorted(case.edges, moment, side="right"))])


def onset_of(detector: Any, times: np.ndarray, k: int) -> str:
    """ADWIN keeps the rows since the change; Page-Hinkley says only that there was one."""
    width = int(getattr(detector, "width", 1))
    return str(times[max(0, k - width + 1)])


# ---- NannyML


def nannyml(case: Case, labels: bool) -> dict[str, Said]:
    import nannyml as nml

    def frame(X: pd.DataFrame, y: np.ndarray, p: np.ndarray) -> pd.DataFrame:
        return X[case.features].assign(y=y, proba=p, guess=(p >= case.threshold).astype(int)).reset_index(drop=True)

    known = frame(case.reference.X, case.reference.y, case.reference.p)
    seen = Windows(case)
    everything = frame(seen.X, seen.y, seen.p)
    names = {"y_true": "y", "y_pred": "guess", "y_pred_proba": "proba", "problem_type": "classification_binary", "metrics": ["roc_auc"]}
    if labels:
        judged = Windows(case, labels=True)
        performance = nml.PerformanceCalculator(**names, chunk_size=judged.size).fit(known)
        result = performance.calculate(everything.iloc[judged.rows_of_all()].reset_index(drop=True))
    else:
        estimate = nml.CBPE(**names, chunk_size=seen.size).fit(known)
        result = estimate.estimate(everything.iloc[seen.rows_of_all()].reset_index(drop=True))
    score = result.filter(period="analysis").to_df()["roc_auc"]
    fell = (score["alert"] & (score["value"] < score["lower_threshold"])).to_numpy()
    drift = nml.UnivariateDriftCalculator(column_names=case.features, chunk_size=seen.size).fit(known)
    moved = drift.calculate(everything.iloc[seen.rows_of_all()].reset_index(drop=True)).filter(period="analysis").to_df()
    over = {}  # column -> how far over its limit, at each batch; negative where it does not alarm
    for name in case.features:
        facts = moved[name].droplevel(0, axis=1)
        over[name] = np.where(facts["alert"], np.maximum(facts["value"] - facts["upper_threshold"], 1e-12), -1.0).astype(float)
    drifting = [sorted((name for name in over if over[name][k] > 0), key=lambda name: -over[name][k]) for k in range(len(fell))]
    return {
        "nannyml": said_of(case, [columns if is_low else None for columns, is_low in zip(drifting, fell, strict=True)]),
        "nannyml_drift": said_of(case, [columns or None for columns in drifting]),
    }


# ---- Evidently


def evidently(case: Case, labels: bool) -> dict[str, Said]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    text = [name for name in case.features if name in case.text]
    shape = DataDefinition(numerical_columns=[name for name in case.features if name not in text], categorical_columns=text)
    step = max(1, -(-len(case.reference.X) // MOST_REFERENCE))
    known = Dataset.from_pandas(case.reference.X[case.features].iloc[::step].reset_index(drop=True), data_definition=shape)
    windows = Windows(case)
    report = Report([ValueDrift(column=name) for name in case.features], include_tests=True)
    any_column: list[list[str] | None] = []
    half: list[list[str] | None] = []
    for span in windows.spans:
        seen = windows.X.iloc[span][case.features].reset_index(drop=True)
        here = [name for name in case.features if seen[name].notna().any()]  # a column without a value stops it
        use = report if len(here) == len(case.features) else Report([ValueDrift(column=name) for name in here], include_tests=True)
        outcome = use.run(Dataset.from_pandas(seen, data_definition=shape), known).dict()
        over = {name: 1e9 for name in case.features if name not in here}
        for metric, test in zip(outcome["metrics"], outcome["tests"], strict=True):
            if str(test["status"]).endswith("FAIL"):
                params = test["metric_config"]["params"]
                value, limit = float(metric["value"]), float(params["threshold"])
                over[params["column"]] = limit / max(value, 1e-12) if "p_value" in params["method"] else value / limit
        order = sorted(over, key=lambda name: -over[name])
        any_column.append(order or None)
        half.append(order if len(order) >= len(case.features) / 2 else None)
    return {"evidently": said_of(case, any_column), "evidently_share": said_of(case, half)}


MONITORS = {
    "psi": (psi, ["numpy"]),
    "adwin": (river_monitor("adwin"), ["river"]),
    "page_hinkley": (river_monitor("page_hinkley"), ["river"]),
    "nannyml": (nannyml, ["nannyml", "statsmodels"]),
    "evidently": (evidently, ["evidently", "pandas"]),
}


def main() -> None:
    """Lead one tool through the folders whose names come in on standard input; one JSON line each, the first names the versions."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--monitor", required=True, choices=sorted(MONITORS))
    ask.add_argument("--labels", choices=("with", "without"), required=True)
    given = ask.parse_args()
    run, packages = MONITORS[given.monitor]
    warnings.filterwarnings("ignore")
    print(json.dumps({"versions": {name: version(name) for name in packages}}), flush=True)
    for line in sys.stdin:
        folder = Path(line.strip())
        case = load(folder)
        began = time.process_time()
        said = run(case, given.labels == "with")
        print(json.dumps({"id": case.id, "seconds": time.process_time() - began, "said": said}), flush=True)


if __name__ == "__main__":
    main()
