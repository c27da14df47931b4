"""A quicker form of a version answers as the version itself, or is not used."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler

from keepwell.model import Model
from keepwell.serving import BOUND, Predictor, Ready, made_ready
from keepwell.serving.runtimes import Frames
from keepwell.serving.signature import Signature
from keepwell.training import load_model, save_model

NUMBERS, WORDS = ["a", "b b", "c"], ["kind", "place"]
ALL = [*NUMBERS, *WORDS]


def frame(n: int = 300, *, gaps: bool = False) -> pl.DataFrame:
    draw = np.random.default_rng(3)
    columns: dict[str, Any] = {name: draw.normal(size=n).round(3) for name in NUMBERS}
    columns |= {name: draw.choice(["x", "y", "zebra"], size=n) for name in WORDS}
    made = pl.DataFrame(columns)
    if not gaps:
        return made
    return made.with_columns(
        pl.when(pl.lit(pl.Series(draw.uniform(size=n) < 0.1))).then(None).otherwise(pl.col(name)).alias(name) for name in ALL
    )


def label(X: pl.DataFrame) -> np.ndarray:
    return (
        ((X["a"].fill_null(0) + (X["kind"].fill_null("x") == "y") + np.random.default_rng(1).normal(size=X.height)) > 0.3)
        .to_numpy()
        .astype(int)
    )


def ready(estimator: Any, X: pl.DataFrame, task: str = "binary") -> Ready:
    """A version of a fitted estimator, as it is after it was loaded."""
    nothing = lambda *_, **__: None  # noqa: E731
    model = Model(name="m", gather=nothing, features=nothing, label=nothing, train=nothing, time="t", horizon_days=1, task=task)
    version: Any = SimpleNamespace(number=1, facts={})
    predictor = Predictor(version, model, estimator, {name: str(kind) for name, kind in X.schema.items()})
    return made_ready(predictor, X.head(32))


def parts(*, numbers: Any = None, words: Any = None) -> ColumnTransformer:
    return ColumnTransformer([("n", numbers or SimpleImputer(), NUMBERS), ("w", words or OneHotEncoder(handle_unknown="ignore"), WORDS)])


PIPELINES = {
    "imputed and one-hot, boosted": (
        parts(
            words=make_pipeline(
                SimpleImputer(strategy="most_frequent", missing_values=None), OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            )
        ),
        HistGradientBoostingClassifier(max_iter=20),
        "trees",
    ),
    "scaled and one-hot, dropped first": (
        parts(numbers=StandardScaler(), words=OneHotEncoder(drop="first", handle_unknown="ignore")),
        LogisticRegression(),
        "product",
    ),
    "min-max and ordinal, a forest": (
        parts(numbers=MinMaxScaler(), words=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        RandomForestClassifier(n_estimators=10, random_state=1),  # has a threshold that only its own rounding of values gets right
        "trees",
    ),
    "robust and infrequent": (
        parts(
            numbers=make_pipeline(SimpleImputer(), RobustScaler()),
            words=OneHotEncoder(min_frequency=120, handle_unknown="infrequent_if_exist"),
        ),
        LogisticRegression(),
        "product",
    ),
    "passed through": (
        ColumnTransformer([("n", "passthrough", NUMBERS)], remainder="drop"),
        GradientBoostingRegressor(n_estimators=10),
        "trees",
    ),
}


@pytest.mark.parametrize(("before", "last", "form"), PIPELINES.values(), ids=PIPELINES.keys())
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_a_pipeline_as_tables_answers_like_the_pipeline(before: Any, last: Any, form: str) -> None:
    if form == "trees":
        pytest.importorskip("treelite")
    X = frame(gaps="imputed" in str(before) or isinstance(last, HistGradientBoostingClassifier))
    fitted = make_pipeline(before, last).fit(X, label(X))
    made = ready(fitted, X, "binary" if hasattr(fitted, "predict_proba") else "regression")
    assert made.agreement.runtime == f"tables and {form}"
    assert made.agreement.largest_difference <= BOUND
    rows = X.rows()
    right = np.asarray(Frames(made.predictor.answer, made.signature).answer(rows))
    assert np.abs(np.asarray(made.answer(rows)) - right).max() <= BOUND
    assert made.answer(rows) == [made.answer([row])[0] for row in rows], "a batch changes no answer"


class Shifted(LinearRegression):
    """A scikit-learn class by name, whose answers are not those of its weights."""


Shifted.__module__, Shifted.__name__ = "sklearn.linear_model._base", "LinearRegression"
Shifted.predict = lambda self, X: LinearRegression.predict(self, X) + 1e-9  # type: ignore[method-assign]


def test_a_form_that_answers_otherwise_is_not_used() -> None:
    X = frame().select(NUMBERS)
    made = ready(Shifted().fit(X, label(frame())), X, "regression")
    assert made.agreement.runtime == "estimator"
    assert made.answer(X.rows()[:3]) == list(made.predictor.answer(X.head(3)))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_boosters_answer_bit_identically_in_c(library: str, task: str) -> None:
    module = pytest.importorskip(library)
    X = frame(gaps=True).select(NUMBERS)
    kind = {"lightgbm": "LGBM", "xgboost": "XGB"}[library] + ("Classifier" if task == "binary" else "Regressor")
    fitted = getattr(module, kind)(n_estimators=20).fit(X.to_numpy() if library == "xgboost" else X.to_pandas(), label(frame(gaps=True)))
    file = save_model(fitted)
    made = ready(load_model(file.format, file.data), X, task)
    assert made.agreement.runtime == f"{library}, single row in C"
    assert made.agreement.largest_difference == 0.0
    assert made.answer(X.rows()) == list(made.predictor.answer(X))


def test_columns_in_another_order_than_the_model_s_are_put_right() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    X = frame().select(NUMBERS)
    file = save_model(lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X.to_pandas(), label(frame())))
    turned = X.select(NUMBERS[::-1])
    made = ready(load_model(file.format, file.data), turned)
    assert made.agreement.runtime == "lightgbm, single row in C"
    assert made.answer(turned.rows()) == list(made.predictor.answer(X))


def test_a_version_that_takes_no_missing_value_refuses_it_in_its_own_words() -> None:
    X = frame().select(NUMBERS)
    made = ready(LogisticRegression().fit(X.to_numpy(), label(frame())), X)
    assert made.agreement.runtime == "tables and product"
    assert not made.takes_missing
    with pytest.raises(Exception, match="NaN"):
        made.answer([(1.0, None, 2.0)])


def test_an_encoder_that_refuses_what_it_never_saw_refuses_it_as_tables_too() -> None:
    X = frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = ready(make_pipeline(parts(words=OneHotEncoder(handle_unknown="error")), LogisticRegression()).fit(X, label(X)), X)
    assert made.agreement.runtime == "tables and product"
    with pytest.raises(LookupError, match="never seen"):
        made.answer([(1.0, 2.0, 3.0, "x", "elsewhere")])


# --- reading requests ---

SIGNATURE = Signature({"a": "Float64", "b b": "Float32", "n": "Int8", "on": "Boolean", "word": "String"})


def test_a_request_is_read_straight_into_values() -> None:
    body = b'{"rows": [{"word": "x", "a": 1, "b b": 0.1, "n": null, "on": true}], "entity": "north"}'
    assert SIGNATURE.read(body) == ([(1.0, float(np.float32(0.1)), None, True, "x")], [("north", None)])
    long = b'{"rows": [{"entity": "e", "time": "2026", "features": {"word": null, "a": 1, "b b": 2, "n": 3, "on": null}}]}'
    assert SIGNATURE.read(long) == ([(1.0, 2.0, 3, None, None)], [("e", "2026")])


@pytest.mark.parametrize(
    "row",
    [
        '{"a": 1}',
        '{"a":"1","b b":1,"n":1,"on":true,"word":""}',
        '{"a":1,"b b":1,"n":128,"on":true,"word":""}',
        '{"a":1e999,"b b":1,"n":1,"on":true,"word":""}',
        '{"a":1,"b b":1,"n":1,"on":1,"word":""}',
        "[]",
        "{",
    ],
)
def test_what_does_not_fit_is_left_to_the_full_reader(row: str) -> None:
    assert SIGNATURE.read(f'{{"rows": [{row}]}}'.encode()) is None


def test_a_row_is_written_as_it_was_read() -> None:
    assert bytes(SIGNATURE.packed((1.5, 2.0, 3, None, "ä"))) == '{"a":1.5,"b b":2.0,"n":3,"on":null,"word":"ä"}'.encode()


def test_columns_of_other_protocols_are_checked_by_name() -> None:
    columns = {"word": ["x"], "extra": [1], "a": [1], "b b": [1], "n": [2.0], "on": [False]}
    assert SIGNATURE.checked(columns, 1) == [(1.0, 1.0, 2, False, "x")]
    for wrong, said in (
        ({"n": [300]}, "'n' in row 0 is 300"),
        ({"on": ["yes"]}, "'on' in row 0 is 'yes'"),
        ({"a": [1, 2]}, "number of rows"),
    ):
        with pytest.raises(Exception, match=said):
            SIGNATURE.checked({**columns, **wrong}, 1)
    with pytest.raises(Exception, match="no column on, word"):
        SIGNATURE.checked({"a": [1], "b b": [1], "n": [1]}, 1)


def test_an_onnx_graph_is_asked_without_a_frame() -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    X = frame().select(NUMBERS)
    fitted = LogisticRegression().fit(X.to_numpy(), label(frame()))
    graph = skl2onnx.to_onnx(fitted, X.to_numpy()[:1].astype(np.float32), options={"zipmap": False})
    made = ready(load_model("onnx", graph.SerializeToString()), X)
    assert (made.agreement.runtime, made.agreement.largest_difference) == ("onnx", 0.0)
    assert made.agreement.as_dict()["bound"] == BOUND
