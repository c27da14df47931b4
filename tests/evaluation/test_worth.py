"""The value of features: what the answer rests on is found, noise is not, and the same seed says the same."""

import numpy as np
import polars as pl

from keepwell.evaluation import worth

ROWS = 400
DRAW = np.random.default_rng(3)
X = pl.DataFrame({name: DRAW.normal(size=ROWS) for name in ("signal", "weak", "noise")})
Y = X["signal"].to_numpy() + 0.3 * X["weak"].to_numpy() + DRAW.normal(scale=0.3, size=ROWS)


def answer(rows: pl.DataFrame) -> np.ndarray:
    return rows["signal"].to_numpy() + 0.3 * rows["weak"].to_numpy() + 0.0 * rows["noise"].to_numpy()


def test_features_are_ranked_by_what_the_answers_lose_without_them() -> None:
    found = worth(answer, X, Y, metric="mae", seed=7)
    assert [row["feature"] for row in found] == ["signal", "weak", "noise"]
    assert [row["is_useful"] for row in found] == [True, True, False]
    assert all(row["low"] <= row["gain"] <= row["high"] for row in found)


def test_the_same_seed_says_the_same() -> None:
    assert worth(answer, X, Y, metric="mae", seed=7) == worth(answer, X, Y, metric="mae", seed=7)


def test_noise_is_seldom_called_useful() -> None:
    """Three features without any value and answers that do rest on them: at most about one in twenty families says so."""
    wrong = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        rows = pl.DataFrame({f"n{n}": draw.normal(size=200) for n in range(3)})
        y = draw.normal(size=200)
        found = worth(lambda one: 0.2 * one.to_numpy().sum(axis=1), rows, y, metric="mae", seed=seed)
        wrong += any(row["is_useful"] for row in found)
    assert wrong <= 7, wrong  # 60 families at 5 %: more than 7 would come once in 100 times


def test_too_few_rows_say_nothing() -> None:
    assert worth(answer, X.head(20), Y[:20], metric="mae", seed=1) == []
