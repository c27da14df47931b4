"""The two models that every server answers for, as Keepwell projects: boosted trees, and a pipeline with categories.

`build(kind, folder)` runs one cycle of a project and leaves beside it what the other servers load: the same fitted
estimator, by joblib, and the same request rows.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

KINDS = ("lightgbm", "pipeline")
SITES, DAYS = 10, 500
BUILT_AT = datetime(2026, 6, 1, 6, tzinfo=UTC)
BODIES = 256  # different rows that are sent in turn
NUMBERS = {"lightgbm": [f"x{place}" for place in range(20)], "pipeline": [f"x{place}" for place in range(16)]}
WORDS = {"lightgbm": [], "pipeline": [f"c{place}" for place in range(4)]}

CODE = """
import polars as pl

from keepwell import Model
{imports}
NUMBERS = {numbers}
WORDS = {words}


def gather(since, until, *, source):
    return source(since, until)


def features(observations):
    return observations.select("site", "day", *NUMBERS, *WORDS)


def label(observations):
    return observations.select("site", "day", label="happened")


def train(X, y, *, settings, seed):
{train}

model = Model(name="{kind}", gather=gather, features=features, label=label, train=train, entity="site", time="day", horizon_days=1)
"""

IMPORTS = {
    "lightgbm": "from lightgbm import LGBMClassifier",
    "pipeline": (
        "from sklearn.compose import ColumnTransformer\n"
        "from sklearn.ensemble import HistGradientBoostingClassifier\n"
        "from sklearn.impute import SimpleImputer\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import OneHotEncoder"
    ),
}
TRAIN = {
    "lightgbm": "    return LGBMClassifier(n_estimators=200, num_leaves=31, random_state=seed, verbose=-1).fit(X, y)\n",
    "pipeline": (
        "    words = OneHotEncoder(handle_unknown='ignore', sparse_output=False)\n"
        "    parts = ColumnTransformer([('numbers', SimpleImputer(strategy='median'), NUMBERS), ('words', words, WORDS)])\n"
        "    return make_pipeline(parts, HistGradientBoostingClassifier(max_iter=100, random_state=seed)).fit(X, y)\n"
    ),
}

SETTINGS = """
[source]
kind = "files"
path = "rows.parquet"
time = "day"

[gather]
start = "2025-01-01"
tries = 1

[contract]
strictness = "off"

[build]
min_rows = 1000
holdout_days = 100
lookahead_checks = 1

[gate]
max_calibration_error = 0.9

[schedule]
cron = ""
"""


def rows_of(kind: str, seed: int = 11) -> pl.DataFrame:
    """Daily rows of some sites; the label follows a few of the columns, with noise. The pipeline's numbers have gaps."""
    draw = np.random.default_rng(seed)
    n = SITES * DAYS
    columns: dict[str, object] = {
        "site": [f"s{place % SITES}" for place in range(n)],
        "day": [date(2025, 1, 1) + timedelta(days=place // SITES) for place in range(n)],
    }
    numbers = {name: draw.normal(size=n).round(6) for name in NUMBERS[kind]}
    score = numbers["x0"] + 0.7 * numbers["x1"] * numbers["x2"] - 0.5 * np.abs(numbers["x3"])
    words = {name: draw.choice([f"{name}_{place}" for place in range(8)], size=n) for name in WORDS[kind]}
    for name, values in words.items():
        score = score + 0.4 * (np.char.endswith(values, "_3")) - 0.3 * (values == f"{name}_5")
    columns |= numbers | words
    columns["happened"] = (draw.uniform(size=n) < 1 / (1 + np.exp(-2 * score))).astype(int)
    frame = pl.DataFrame(columns)
    if kind == "lightgbm":
        return frame
    gaps = {name: draw.uniform(size=n) < 0.03 for name in NUMBERS[kind]}
    return frame.with_columns(
        pl.when(pl.lit(pl.Series(gone))).then(None).otherwise(pl.col(name)).alias(name) for name, gone in gaps.items()
    )


def write(kind: str, folder: Path) -> Path:
    """The project's files."""
    folder.mkdir(parents=True, exist_ok=True)
    code = CODE.format(kind=kind, imports=IMPORTS[kind], numbers=NUMBERS[kind], words=WORDS[kind], train=TRAIN[kind])
    (folder / "model.py").write_text(code)
    (folder / "keepwell.toml").write_text(SETTINGS)
    rows_of(kind).write_parquet(folder / "rows.parquet")
    return folder


def build(kind: str, folder: Path) -> Path:
    """A project with a champion, `model.joblib`, `columns.json` and `rows.json` (the request rows)."""
    import joblib

    from keepwell import Project

    if (folder / "rows.json").exists():
        return folder
    write(kind, folder)
    X = rows_of(kind).drop("site", "day", "happened")
    with Project(folder) as project:
        record = project.run(BUILT_AT)
        assert project.aliases().get("champion") == 1, record
        facts = project.version(1).facts
        fitted = _fitted(kind, folder, facts["train_rows"])
        joblib.dump(fitted, folder / "model.joblib")
        (folder / "columns.json").write_text(json.dumps(facts["signature"]))
        theirs = fitted.predict_proba(_pandas(kind, X.head(50)))[:, 1]
        ours = project.context.predictor(1).answer(X.head(50))
        assert np.abs(theirs - ours).max() < 1e-9, "the other servers must serve the same model"
    (folder / "rows.json").write_text(json.dumps(X.head(BODIES).to_dicts()))
    return folder


def _fitted(kind: str, folder: Path, n: int) -> Any:
    """The estimator trained anew, on the same rows, on a pandas frame, which is what the other servers speak."""
    space: dict[str, object] = {}
    exec(compile((folder / "model.py").read_text(), str(folder / "model.py"), "exec"), space)
    rows = rows_of(kind).head(n)  # they are in order of time, and the newest were held out
    train: Any = space["train"]
    return train(_pandas(kind, rows.drop("site", "day", "happened")), rows["happened"].to_numpy(), settings={}, seed=7)


def _pandas(kind: str, X: pl.DataFrame) -> Any:
    return X.to_pandas().astype(dict.fromkeys(WORDS[kind], object))
