"""The paired test of a trial: how often it is wrong when looked at every day, how soon it is right, what it says in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepwell.deployment import Terms, blocks_of, judge, takes, terms, together

ERROR = 0.05
LIVES = 400
HELD_OUT, DAYS = 365, 180


def independent(draw: np.random.Generator, days: int) -> np.ndarray:
    return draw.normal(0, 0.03, days)


def heavy(draw: np.random.Generator, days: int) -> np.ndarray:
    return draw.standard_t(3, days) * 0.02


def alike(draw: np.random.Generator, days: int) -> np.ndarray:
    """Neighbouring days resemble each other (0.5), as weather does."""
    steps = draw.normal(0, 0.03, days)
    for day in range(1, days):
        steps[day] += 0.5 * steps[day - 1]
    return steps


def life(draw: np.random.Generator, gains: np.ndarray) -> str:
    """A trial after a gate: terms from its days, then a look at every day; the first word counts."""
    held_out, days = gains[:HELD_OUT], gains[HELD_OUT:]
    held_to = terms(np.arange(HELD_OUT), held_out, 1.0)
    _, _, means = blocks_of(np.arange(HELD_OUT, HELD_OUT + days.size), days, held_to.block_days)
    return judge(means, held_to.reach, ERROR).verdict


@pytest.mark.parametrize("kind", [independent, heavy, alike])
def test_equal_versions_are_seldom_told_apart_however_often_one_looks(kind: object) -> None:
    """Both errors, a promotion and a return for nothing, stay under the stated one over 180 looks."""
    draw = np.random.default_rng(11)
    said = [life(draw, kind(draw, HELD_OUT + DAYS)) for _ in range(LIVES)]  # type: ignore[operator]
    assert said.count("better") / LIVES <= ERROR
    assert said.count("worse") / LIVES <= ERROR


def test_a_version_that_is_worse_every_day_is_never_called_better() -> None:
    draw = np.random.default_rng(5)
    assert {life(draw, independent(draw, HELD_OUT + DAYS) - 0.01) for _ in range(100)} <= {"worse", "open"}


@pytest.mark.parametrize(("effect", "days"), [(1.0, 30), (0.5, 70), (0.3, 150)])
def test_it_is_proven_in_the_days_that_the_manual_says(effect: float, days: int) -> None:
    """`effect` is the mean gain in standard deviations of a day; in at least 8 of 10 lives it is proven by then."""
    draw = np.random.default_rng(3)
    proven = [judge(draw.normal(effect, 1.0, days), 4.0, ERROR).verdict == "better" for _ in range(200)]
    assert np.mean(proven) >= 0.8


def test_the_interval_holds_the_true_gain() -> None:
    draw = np.random.default_rng(8)
    found = [judge(draw.normal(0.2, 1.0, 100), 4.0, ERROR) for _ in range(200)]
    assert np.mean([one.low <= 0.2 <= one.high for one in found]) >= 1 - 2 * ERROR
    assert np.mean([one.high - one.low for one in found]) < 1.5


@given(st.lists(st.floats(-1, 1), max_size=60), st.integers(0, 60))
def test_what_was_proven_stays_proven(gains: list[float], more: int) -> None:
    before = judge(gains[:more], 0.5, ERROR).verdict
    after = judge(gains, 0.5, ERROR).verdict
    assert before == "open" or before == after


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_the_two_sides_are_mirrors(gains: list[float]) -> None:
    one, other = judge(gains, 0.5, ERROR), judge([-gain for gain in gains], 0.5, ERROR)
    assert (one.better, one.worse) == pytest.approx((other.worse, other.better))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_a_day_is_one_number_however_many_rows_it_has() -> None:
    number, rows, means = blocks_of([3.1, 3.9, 4.5], [0.2, 0.4, -0.1], 1)
    assert (number.tolist(), rows.tolist(), means.tolist()) == ([3, 4], [2, 1], pytest.approx([0.3, -0.1]))


def test_days_that_resemble_each_other_are_put_together() -> None:
    draw = np.random.default_rng(2)
    assert terms(np.arange(365), independent(draw, 365), 1.0).block_days == 1
    assert terms(np.arange(365), alike(draw, 365), 1.0).block_days > 1


def test_one_freak_day_does_not_decide() -> None:
    held_to = terms(np.arange(365), independent(np.random.default_rng(1), 365), 1.0)
    assert judge([1.0], held_to.reach, ERROR).verdict == "open"
    assert terms([1.0, 2.0], [0.1, 0.2], 1.0).reach == 1.0  # too few days to know the spread


def test_at_the_end_all_days_count_alike() -> None:
    judged = judge([-0.01] * 10, 0.2, ERROR)
    assert together(Terms(0.2, 1, 90, 0.01), judged) == pytest.approx(0.008)
    assert together(Terms(0.2, 1, 0, 0.0), judge([], 0.2, ERROR)) == 0.0


def test_a_share_is_a_share_and_the_same_entity_stays_in_it() -> None:
    names = [f"site {number}" for number in range(4000)]
    small, large = ({name for name in names if takes("rain", 5, name, share)} for share in (0.1, 0.3))
    assert small < large
    assert len(small) / len(names) == pytest.approx(0.1, abs=0.02)
    assert {name for name in names if takes("rain", 6, name, 0.1)} != small
