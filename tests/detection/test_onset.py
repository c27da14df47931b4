"""When a change began, and how sure that is."""

import numpy as np
import pytest

from keepwell.detection import scan, scan_told


def stepped(size: float, seed: int, *, quiet: int = 120, changed: int = 30) -> np.ndarray:
    z = np.random.default_rng(seed).normal(0, 1, quiet + changed)
    z[quiet:] += size
    return z


@pytest.mark.parametrize("changed", [10, 30])
@pytest.mark.parametrize("size", [0.6, 0.8, 1.2, 2.0])
def test_the_interval_holds_the_onset_as_often_as_it_says(size: float, changed: int) -> None:
    """90 % of 200 steps, within sampling error (three standard errors of 200 draws are 6.4 %)."""
    found = [scan(stepped(size, seed, changed=changed)) for seed in range(200)]
    held = np.mean([one.low <= 120 <= one.high for one in found])
    assert held >= 0.9 - 0.064


@pytest.mark.parametrize("changed", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("width", [10, 30])
@pytest.mark.parametrize("size", [1.5, 3.0])
def test_the_interval_holds_the_onset_of_a_growing_change_as_often_as_it_says(size: float, width: int, changed: float) -> None:
    """90 % of 200 ramps that grow for `width` batches and then stay, seen early and late; three standard errors are 6.4 %."""
    length = round(changed * width)
    grown = size * np.minimum(np.arange(1, length + 1) / width, 1.0)
    found = [scan(stepped(0.0, seed, quiet=200, changed=length) + np.r_[np.zeros(200), grown]) for seed in range(200)]
    held = np.mean([one.low <= 200 <= one.high for one in found])
    assert held >= 0.9 - 0.064


@pytest.mark.parametrize("size", [0.8, 2.0, 6.0])
def test_a_step_in_the_midst_of_a_batch_is_held_by_the_interval_as_often_as_it_says(size: float) -> None:
    """90 % of 200 steps whose first batch has changed in part; the first batch of which at least half has is meant."""
    held = []
    for seed in range(200):
        part = np.random.default_rng([seed, 1]).random()
        z = stepped(size, seed)
        z[120] -= (1 - part) * size
        found = scan(z)
        held.append(found.low <= (120 if part >= 0.5 else 121) <= found.high)
    assert np.mean(held) >= 0.9 - 0.064


def test_a_step_in_the_midst_of_a_batch_is_no_growing_change() -> None:
    z = stepped(8.0, seed=1)
    z[120] -= 4.0
    assert (scan(z).shape, scan(z).at) == ("step", 120)


def test_a_large_step_is_found_to_the_batch() -> None:
    found = scan(stepped(4.0, seed=1))
    assert (found.at, found.shape) == (120, "step")
    assert found.size == pytest.approx(4.0, abs=0.5)
    assert found.high - found.low <= 2


def test_a_weak_step_has_a_wider_interval_than_a_strong_one() -> None:
    widths = {size: np.mean([(one := scan(stepped(size, seed))).high - one.low for seed in range(30)]) for size in (0.6, 2.0)}
    assert widths[0.6] > 3 * widths[2.0]


def test_a_growing_change_is_a_ramp() -> None:
    z = np.random.default_rng(2).normal(0, 1, 150)
    z[110:] += np.arange(40) * 0.2
    found = scan(z)
    assert found.shape == "ramp"
    assert abs(found.at - 110) <= 8


def test_the_same_series_gives_the_same_interval() -> None:
    assert scan(stepped(1.0, seed=3)) == scan(stepped(1.0, seed=3))


def test_batches_without_rows_are_passed_over() -> None:
    z = stepped(3.0, seed=4)
    z[10:20] = np.nan
    assert scan(z).at == 120


def told(z: np.ndarray, most: float = 2.4) -> np.ndarray:
    """How likely each batch is at each of twelve sizes, over none."""
    size = np.linspace(0, most, 13)[1:, None]
    return size * z - size**2 / 2


@pytest.mark.parametrize("size", [0.6, 1.2, 2.0])
@pytest.mark.parametrize("width", [1, 30])
def test_an_onset_read_off_likelihoods_is_held_as_often_as_it_says(size: float, width: int) -> None:
    """90 % of 60 steps and of 60 ramps that grow for a month and then stay; three standard errors are 11.6 %."""
    grown = np.r_[np.zeros(150), size * np.minimum(np.arange(1, 61) / width, 1.0)]
    found = [scan_told(told(stepped(0.0, seed, quiet=150, changed=60) + grown)) for seed in range(60)]
    assert np.mean([one.low <= 150 <= one.high for one in found]) >= 0.9 - 0.116


def test_an_onset_read_off_likelihoods_is_near_a_large_step_and_the_start_of_a_ramp() -> None:
    step = scan_told(told(stepped(2.0, seed=1)))
    assert abs(step.at - 120) <= 2
    grown = np.r_[np.zeros(150), 2.4 * np.minimum(np.arange(1, 81) / 40, 1.0)]
    ramp = scan_told(told(stepped(0.0, seed=2, quiet=150, changed=80) + grown))
    assert ramp.shape == "ramp"
    assert abs(ramp.at - 150) <= 8
