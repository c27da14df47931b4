"""Which values of `[train]` are best is found on rows that come later than those they were fitted on."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from keepwell import Model
from keepwell.errors import EmptyWindow
from keepwell.training import search

ROWS = 200


class Constant:
    """Answers what it was told, and the newest label it saw when that was asked for."""

    def __init__(self, value: float) -> None:
        self.value = value

    def predict(self, X: object) -> np.ndarray:
        return np.full(len(X), self.value)  # type: ignore[arg-type]


def given(train: object) -> Model:
    nothing = lambda *_, **__: None  # noqa: E731
    return Model(
        name="m", task="regression", gather=nothing, features=nothing, label=nothing, train=train, time="day", entity="e", horizon_days=3
    )


def rows(height: int = ROWS) -> pl.DataFrame:
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(height)]
    return pl.DataFrame(
        {"e": "a", "day": days, "label": np.where(np.arange(height) < height * 0.75, 1.0, 5.0), "x": np.arange(height) * 1.0}
    )


def squared(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.square(y - p).mean())


def test_the_value_that_is_best_on_the_newest_rows_wins_and_all_are_on_record() -> None:
    model = given(lambda X, y, settings, seed: Constant(settings["value"]))
    found = search(model, rows(), settings={"value": 0.0, "other": 1}, choices={"value": [1.0, 5.0, 9.0]}, seed=1, loss=squared)
    assert found["settings"] == {"value": 5.0, "other": 1} and found["values"] == {"value": 5.0}
    assert [one["loss"] for one in found["tried"]] == [16.0, 0.0, 16.0]


def test_every_combination_is_tried_and_of_equal_ones_the_first_wins() -> None:
    model = given(lambda X, y, settings, seed: Constant(5.0))
    found = search(model, rows(), settings={}, choices={"a": [1, 2], "b": ["x", "y", "z"]}, seed=1, loss=squared)
    assert len(found["tried"]) == 6 and found["values"] == {"a": 1, "b": "x"}


def test_no_label_is_learned_that_was_not_known_when_the_judged_rows_begin() -> None:
    seen: list[int] = []
    model = given(lambda X, y, settings, seed: seen.append(len(X)) or Constant(1.0))
    found = search(model, rows(), settings={}, choices={"a": [1]}, seed=1, loss=squared)
    judged_from = ROWS - found["rows"]
    assert seen == [judged_from - 3]  # three days is how long the truth takes


def test_a_loss_that_is_no_number_never_wins() -> None:
    model = given(lambda X, y, settings, seed: Constant(settings["value"]))
    found = search(model, rows(), settings={}, choices={"value": [float("nan"), 1.0]}, seed=1, loss=squared)
    assert found["values"] == {"value": 1.0}


def test_too_few_rows_are_said() -> None:
    with pytest.raises(EmptyWindow, match="search"):
        search(given(lambda X, y, settings, seed: Constant(1.0)), rows(40), settings={}, choices={"a": [1]}, seed=1, loss=squared)
