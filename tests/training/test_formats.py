"""Models to bytes and back: same answers, same identity, no code run."""

import io
import json
import pickle
import zipfile
from functools import partial

import numpy as np
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler
from skops.io import dumps
from threadpoolctl import threadpool_limits

from keepwell.errors import EstimatorInvalid, FormatRefused, InputInvalid, ModelFileInvalid, SchemaMismatch, TrustRefused
from keepwell.settings import TrustSection
from keepwell.training.formats import ModelFile, answers, canonical_digest, latency_ms, load, save

RNG = np.random.default_rng(0)
X = pl.DataFrame({"rain": RNG.exponential(size=300), "wind": RNG.normal(size=300), "month": np.arange(300) % 12})
Y = (X["rain"].to_numpy() + RNG.normal(0, 0.3, 300) > 0.8).astype(int)
ARRAY = X.to_numpy().astype(float)


def lightgbm(kind="LGBMClassifier", **settings):
    return getattr(pytest.importorskip("lightgbm"), kind)(n_estimators=8, verbose=-1, n_jobs=1, **settings)


def xgboost(kind="XGBClassifier", **settings):
    return getattr(pytest.importorskip("xgboost", reason="XGBoost is not installed"), kind)(n_estimators=8, n_jobs=1, **settings)


ESTIMATORS = {
    "logistic": LogisticRegression,
    "scaled": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "splines": lambda: make_pipeline(SplineTransformer(), Ridge()),
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "boosting": lambda: GradientBoostingRegressor(n_estimators=5, random_state=0),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=8),
    "categories": lambda: HistGradientBoostingRegressor(max_iter=5, categorical_features=[2]),
    "calibrated": lambda: CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=3), cv=2),
    "search": lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2),
    "lightgbm": lightgbm,
    "lightgbm regression": lambda: lightgbm("LGBMRegressor"),
    "lightgbm in a pipeline": lambda: make_pipeline(StandardScaler(), lightgbm()),
    "xgboost": xgboost,
    "xgboost regression": lambda: xgboost("XGBRegressor"),
    "xgboost in a pipeline": lambda: make_pipeline(StandardScaler(), xgboost()),
}


def task_of(estimator):
    return "binary" if hasattr(estimator, "predict_proba") else "regression"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small fits on a busy machine wait for threads more than they compute."""
    with threadpool_limits(1):
        yield


@pytest.fixture(params=ESTIMATORS, ids=lambda name: name.replace(" ", "-"))
def make(request):
    return ESTIMATORS[request.param]


@pytest.fixture(params=[X, ARRAY], ids=["frame", "array"])
def given(request):
    return request.param


def test_a_loaded_model_answers_bit_for_bit_the_same(make, given):
    estimator = make().fit(given, Y)
    file = save(estimator)
    found = answers(load(file.format, file.data), X, task_of(estimator))
    assert found.shape == (300,) and found.dtype == np.float64
    np.testing.assert_array_equal(found, answers(estimator, X, task_of(estimator)))


def test_equal_models_have_one_identity_and_other_models_another(make):
    first, again, other = make().fit(X, Y), make().fit(X, Y), make().fit(X[:200], Y[:200])
    file = save(first)
    digest = canonical_digest(first)
    assert digest == canonical_digest(again) == canonical_digest(file) == canonical_digest(load(file.format, file.data))
    assert digest != canonical_digest(other)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_native_answers_are_those_of_the_library(name):
    estimator = ESTIMATORS[name]().fit(X, Y)
    np.testing.assert_array_equal(answers(estimator, X, "binary"), estimator.predict_proba(ARRAY)[:, 1])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_native_model_takes_frames_and_arrays_and_keeps_the_predict_face(name):
    estimator = ESTIMATORS[name]().fit(X, Y)
    loaded = load(save(estimator).format, save(estimator).data)
    for rows in (X, X.to_pandas(), ARRAY):
        np.testing.assert_allclose(loaded.predict_proba(rows), estimator.predict_proba(ARRAY), atol=1e-6)
        np.testing.assert_array_equal(loaded.predict(rows), estimator.predict(ARRAY))


def test_a_booster_is_kept_like_its_wrapper():
    estimator = lightgbm().fit(X, Y)
    assert save(estimator.booster_) == save(estimator)


def test_lightgbm_keeps_the_categories_of_a_pandas_frame():
    frame = X.with_columns(sky=pl.Series(["clear", "cloud", "fog"] * 100))
    pandas = frame.to_pandas().astype({"sky": "category"})
    estimator = lightgbm().fit(pandas, Y)
    file = save(estimator)
    np.testing.assert_array_equal(answers(load(file.format, file.data), frame, "binary"), estimator.predict_proba(pandas)[:, 1])


@pytest.mark.parametrize("options", [{}, {"options": {"zipmap": False}}], ids=["maps", "tensor"])
def test_onnx_answers_like_what_it_was_made_from(options):
    pytest.importorskip("onnxruntime")
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    estimator = LogisticRegression().fit(ARRAY, Y)
    graph = to_onnx(estimator, ARRAY[:1].astype(np.float32), **options)
    file = save(graph)
    assert file.format == "onnx"
    np.testing.assert_allclose(answers(load("onnx", file.data), X, "binary"), answers(estimator, X, "binary"), atol=1e-5)
    assert canonical_digest(graph) == canonical_digest(load("onnx", file.data))


def test_onnx_regression_answers_one_number_per_row():
    pytest.importorskip("onnxruntime")
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    estimator = Ridge().fit(ARRAY, Y)
    loaded = load("onnx", save(to_onnx(estimator, ARRAY[:1].astype(np.float32))).data)
    np.testing.assert_allclose(answers(loaded, X, "regression"), estimator.predict(ARRAY), atol=1e-4)


# --- nothing in a file runs, and nothing out of bounds is followed ---


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_hostile_pickle_does_not_run(tmp_path):
    data = pickle.dumps(Hostile(tmp_path / "ran"))
    with pytest.raises(FormatRefused, match=r"\[trust\] pickle") as refusal:
        load("pickle", data)
    assert refusal.value.facts["digest"] in str(refusal.value)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_that_the_settings_name_is_kept_and_loaded():
    model = {"anything": "that only a pickle would hold"}
    with pytest.raises(FormatRefused) as refusal:
        save(model)
    trust = TrustSection(types=(), pickle=(refusal.value.facts["digest"],))
    file = save(model, trust)
    assert file.format == "pickle"
    assert load(file.format, file.data, trust) == model


def test_what_not_even_a_pickle_can_hold_is_refused_without_a_digest():
    with pytest.raises(FormatRefused, match="Use scikit-learn, LightGBM, XGBoost or ONNX"):
        save(lambda rows: rows)


def with_schema(data, change):
    """The same skops file with its schema changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema)
    members["schema.json"] = json.dumps(schema).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("builtins", "eval"), ("subprocess", "check_output")], ids=["system", "eval", "subprocess"]
)
def test_a_hostile_skops_file_does_not_run(module, name):
    """A transformer whose function was swapped for one that runs commands."""
    data = dumps(FunctionTransformer(np.log1p, kw_args={}).fit(ARRAY))

    def swap(schema):
        function = schema["content"]["content"]["func"]
        function.update({"__module__": module, "__class__": name, "__loader__": "FunctionNode"})
        schema["_keepwell_trust"] = [f"{module}.{name}"]  # what a file says about trust is not read

    with pytest.raises(TrustRefused, match=rf"{module}\.{name}"):
        load("skops", with_schema(data, swap))


def test_a_hostile_partial_does_not_run(tmp_path):
    """A partial is trusted, the function in it is not."""
    data = dumps(FunctionTransformer(partial(open, str(tmp_path / "ran"), "w")))
    with pytest.raises(TrustRefused, match="open"):
        load("skops", data)
    assert not (tmp_path / "ran").exists()


class Mine(ClassifierMixin, BaseEstimator):
    """A scientist's own estimator."""

    def fit(self, X, y):
        self.rate_ = float(np.mean(y))
        return self

    def predict_proba(self, X):
        return np.tile([1 - self.rate_, self.rate_], (len(X), 1))


def test_ones_own_types_need_the_settings_word_already_when_saved():
    mine = Mine().fit(ARRAY, Y)
    name = f"{Mine.__module__}.Mine"
    with pytest.raises(TrustRefused, match=rf"{name}.*\[trust\] types"):
        save(mine)
    trust = TrustSection(types=(name,), pickle=())
    file = save(mine, trust)
    assert answers(load(file.format, file.data, trust), X, "binary")[0] == pytest.approx(Y.mean())
    with pytest.raises(TrustRefused, match=name):
        load(file.format, file.data)


def tamper(estimator, field, value, row=0):
    """Set one index of one tree node to something foreign, as a forged file would."""
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        estimator._predictors[0][0].nodes[field][row] = value
        return dumps(estimator)
    tree = np.ravel(estimator.estimators_)[0].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][row] = value
    tree.__setstate__(state)
    return dumps(estimator)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("histograms", "left", 10**6),
        ("histograms", "right", 0),
        ("histograms", "feature_idx", 3),
        ("categories", "bitset_idx", 10**4),
        ("forest", "left_child", 10**6),
        ("forest", "right_child", 0),
        ("forest", "feature", -9),
        ("boosting", "feature", 77),
    ],
    ids=str,
)
def test_a_tree_that_points_outside_itself_is_not_loaded(name, field, value):
    estimator = ESTIMATORS[name]().fit(ARRAY, (ARRAY[:, 2] > 5) if name == "categories" else Y)
    assert load("skops", dumps(estimator)) is not None
    with pytest.raises(ModelFileInvalid, match=r"outside it|not there|does not have"):
        load("skops", tamper(estimator, field, value))


@pytest.mark.parametrize("kind", ["skops", "lightgbm", "xgboost", "onnx"])
def test_bytes_that_are_no_model_are_refused(kind):
    if kind != "skops":
        pytest.importorskip({"onnx": "onnxruntime"}.get(kind, kind))
    with pytest.raises(ModelFileInvalid, match=f"The {kind} model file was not loaded"):
        load(kind, b"no model at all")


def test_an_unknown_format_is_refused():
    with pytest.raises(FormatRefused, match="unknown format 'joblib'"):
        load("joblib", b"")


# --- answers ---


@pytest.mark.parametrize("name", ["logistic", "histograms", "lightgbm", "xgboost"])
def test_columns_may_come_in_any_order_and_with_others(name):
    estimator = ESTIMATORS[name]().fit(X, Y)
    mixed = X.select("wind", "month", pl.lit(0).alias("other"), "rain")
    np.testing.assert_array_equal(answers(estimator, mixed, "binary"), answers(estimator, X, "binary"))


@pytest.mark.parametrize("name", ["logistic", "lightgbm", "xgboost"])
def test_a_missing_column_is_named(name):
    estimator = ESTIMATORS[name]().fit(X, Y)
    with pytest.raises(SchemaMismatch, match="lacks wind"):
        answers(estimator, X.drop("wind"), "binary")


def test_one_row_answers_as_it_does_among_many(make):
    estimator = make().fit(X, Y)
    task = task_of(estimator)
    many = answers(estimator, X, task)
    assert [answers(estimator, X[i : i + 1], task)[0] for i in (0, 7, 299)] == pytest.approx(list(many[[0, 7, 299]]), rel=1e-12)


def test_a_model_fitted_on_pandas_can_be_asked_in_pandas():
    frame = X.with_columns(sky=pl.Series(["clear", "cloud", "fog"] * 100))
    coded = ColumnTransformer([("sky", OneHotEncoder(), ["sky"])], remainder="passthrough")
    estimator = make_pipeline(coded, LogisticRegression(max_iter=500)).fit(frame.to_pandas(), Y)
    np.testing.assert_array_equal(answers(estimator, frame, "binary", frame="pandas"), answers(estimator, frame, "binary"))


def test_nulls_reach_the_model_as_nan():
    estimator = HistGradientBoostingClassifier(max_iter=3).fit(ARRAY, Y)
    holes = X.with_columns(rain=pl.lit(None, pl.Float64))
    assert np.isfinite(answers(estimator, holes, "binary")).all()


def test_text_is_refused_by_a_model_of_arrays():
    estimator = LogisticRegression().fit(ARRAY, Y)
    with pytest.raises(InputInvalid, match="sky has type String"):
        answers(estimator, X.drop("month").with_columns(sky=pl.lit("clear")), "binary")


def test_a_model_fitted_on_one_class_is_sure_of_it():
    only = HistGradientBoostingClassifier(max_iter=1)
    only.predict_proba = lambda rows: np.ones((len(rows), 1))
    only.classes_ = np.array([1])
    assert answers(only, X, "binary").tolist() == [1.0] * 300


def test_no_rows_have_no_answers():
    assert answers(LogisticRegression().fit(ARRAY, Y), X[:0], "binary").shape == (0,)


def test_three_classes_are_not_binary():
    estimator = LogisticRegression().fit(ARRAY, np.arange(300) % 3)
    with pytest.raises(EstimatorInvalid, match="3 classes"):
        answers(estimator, X, "binary")


def test_what_cannot_predict_says_so():
    with pytest.raises(EstimatorInvalid, match=r"StandardScaler.*'predict'"):
        answers(StandardScaler().fit(ARRAY), X, "regression")


def test_latency_is_measured_in_milliseconds():
    assert 0 < latency_ms(LogisticRegression().fit(ARRAY, Y), X, "binary", tries=5) < 200


def test_a_model_file_is_a_plain_record():
    assert ModelFile("skops", ".skops", b"x") == ModelFile("skops", ".skops", b"x")
