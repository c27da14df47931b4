"""What a new version would be worth, estimated before it is built."""

import numpy as np
import pytest

from keepwell.retraining import gain_of_correcting


def rows(n: int, *, slope: float, level: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers of a model that believes in slope 2, labels of a world that follows `slope` and `level`, and the inputs."""
    draw = np.random.default_rng(3)
    inputs = draw.normal(0, 1, (n, 2))
    answer, chance = (1 / (1 + np.exp(-(one * inputs[:, 0] + more))) for one, more in ((2.0, 0.0), (slope, level)))
    return answer, (draw.random(n) < chance).astype(float), inputs


def test_a_model_that_is_right_has_nothing_to_gain() -> None:
    answer, label, inputs = rows(600, slope=2)
    found = gain_of_correcting("binary", "brier", answer, label, inputs)
    assert found is not None and found.low < 0.002 and abs(found.share) < 0.05


def test_a_changed_relation_is_worth_a_retraining_and_not_a_recalibration() -> None:
    answer, label, inputs = rows(600, slope=-2)
    whole = gain_of_correcting("binary", "brier", answer, label, inputs)
    again = gain_of_correcting("binary", "brier", answer, label)
    assert whole is not None and again is not None
    assert whole.low > 0.1 and whole.low > again.high


def test_a_changed_level_is_worth_a_recalibration() -> None:
    answer, label, inputs = rows(600, slope=2, level=2)
    whole = gain_of_correcting("binary", "brier", answer, label, inputs)
    again = gain_of_correcting("binary", "brier", answer, label)
    assert whole is not None and again is not None
    assert again.low > 0 and again.value > 0.8 * whole.value


def test_a_number_that_is_off_by_a_constant_is_worth_a_recalibration() -> None:
    draw = np.random.default_rng(4)
    answer = draw.normal(10, 3, 300)
    found = gain_of_correcting("regression", "mae", answer, answer + 2 + draw.normal(0, 0.5, 300))
    assert found is not None and found.value == pytest.approx(2 - 0.4, abs=0.1)


def test_few_rows_say_nothing() -> None:
    answer, label, inputs = rows(50, slope=2)
    assert gain_of_correcting("binary", "brier", answer, label, inputs) is None
