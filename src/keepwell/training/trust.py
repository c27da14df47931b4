"""What a scikit-learn model file may hold, beyond what skops trusts by itself, and the proof that its trees are sound.

The list was reviewed type by type: each is plain data that does nothing when it is made, or a pure function of arrays.
Two of them, the tree stores, are read by compiled code that does not check its indices: a forged file could crash the
process or read foreign memory. So `check_trees` proves, before the first answer, that every index stays inside.
Not on the list, because it cannot be proved so simply: ``sklearn.neighbors`` search trees. Settings can add names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from keepwell.errors import ModelFileInvalid

TREE = "sklearn.tree._tree.Tree"
TREE_PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
TRUSTED = (
    TREE,  # decision trees, forests, gradient boosting; proved by check_trees
    TREE_PREDICTOR,  # histogram gradient boosting; proved by check_trees
    "collections.OrderedDict",
    "functools.partial",  # of a function that is itself trusted
    "lightgbm.basic.Booster",  # inside a pipeline; LightGBM's own text, read by LightGBM
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",  # what a BSpline carries
    "scipy.interpolate._bsplines.BSpline",  # SplineTransformer
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.metrics._scorer._PassthroughScorer",  # searches
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.TimeSeriesSplit",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",  # histogram gradient boosting with categories
    "xgboost.core.Booster",  # inside a pipeline; XGBoost's own bytes, read by XGBoost
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)


def check_trees(estimator: Any) -> None:
    """Prove that no tree in a loaded estimator can be followed out of its own arrays.

    Children must come after their parent (so there is no ring either), features must exist in the rows the tree gets,
    and category sets must exist. scikit-learn does not check this on load (its pull request 34558).

    Raises
    ------
    ModelFileInvalid : an index points outside.
    """
    for part in _parts(estimator):
        name = f"{type(part).__module__}.{type(part).__name__}"
        if name == TREE:
            nodes = part.__getstate__()["nodes"]
            inner = nodes["left_child"] != -1
            _inside(nodes, inner, ("left_child", "right_child"), part.n_features, "feature")
            if nodes.size != part.node_count:
                raise ModelFileInvalid("skops", "a tree has another number of nodes than it says")
        elif hasattr(part, "tree_") and part.tree_.n_features != getattr(part, "n_features_in_", None):
            raise ModelFileInvalid("skops", "a tree reads another number of features than it checks")
        elif hasattr(part, "_predictors"):
            _check_histogram(part)
        elif isinstance(getattr(part, "estimators_", None), np.ndarray) and hasattr(part, "n_trees_per_iteration_"):
            stages = part.estimators_  # gradient boosting follows these trees without asking them
            if stages.ndim != 2 or stages.shape[1] != part.n_trees_per_iteration_:
                raise ModelFileInvalid("skops", "its stages do not have the number of trees it says")
            if any(tree.tree_.n_features != part.n_features_in_ for tree in stages.flat):
                raise ModelFileInvalid("skops", "a tree reads another number of features than the model checks")


def _check_histogram(model: Any) -> None:
    categorical = np.asarray(model._bin_mapper.is_categorical_, bool)  # in the order of the columns the trees get
    if categorical.shape != (model.n_features_in_,):
        raise ModelFileInvalid("skops", "its list of categorical features has the wrong length")
    for stage in model._predictors:
        for tree in stage:
            nodes = tree.nodes
            inner = nodes["is_leaf"] == 0
            _inside(nodes, inner, ("left", "right"), model.n_features_in_, "feature_idx")
            by_set = inner & (nodes["is_categorical"] != 0)
            sets = np.asarray(tree.raw_left_cat_bitsets)
            if sets.ndim != 2 or sets.shape[1] != 8 or np.any(nodes["bitset_idx"][by_set] >= len(sets)):
                raise ModelFileInvalid("skops", "a tree names a set of categories that it does not have")
            if not categorical[nodes["feature_idx"][by_set].astype(np.intp)].all():
                raise ModelFileInvalid("skops", "a tree splits a feature by category that is none")


def _inside(nodes: Any, inner: Any, children: tuple[str, str], features: int, feature: str) -> None:
    if nodes.ndim != 1 or not nodes.size:
        raise ModelFileInvalid("skops", "a tree has no nodes")
    here = np.arange(nodes.size)[inner]
    for child in children:
        there = nodes[child][inner].astype(np.int64)
        if np.any(there <= here) or np.any(there >= nodes.size):
            raise ModelFileInvalid("skops", f"'{child}' of a tree points outside it")
    used = nodes[feature][inner].astype(np.int64)
    if np.any(used < 0) or np.any(used >= features):
        raise ModelFileInvalid("skops", f"'{feature}' of a tree points to a feature that is not there")


def _parts(root: Any) -> Iterator[Any]:
    """Every object reachable from an estimator through attributes and containers, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | bool | type | None):
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            if part.dtype == object:
                waiting.extend(part.flat)
        else:
            yield part
            waiting.extend(getattr(part, "__dict__", {}).values())
