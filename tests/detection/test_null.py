"""The false alarms of quiet streams stay under the budget, whatever their season, memory and common shocks."""

import numpy as np
import pytest

from keepwell.detection import BETS, EDetector, Null, batch_means, batches_to_prove

STREAMS, REFERENCE, BATCHES = 200, 730, 1_000
TIMID = np.arange(STREAMS) % 2 == 0  # losses: rows are skewed, and no large bets are made


@pytest.fixture(scope="module")
def quiet() -> tuple[Null, np.ndarray, np.ndarray]:
    """The null, innovations and margins of 200 quiet streams: a season, AR(1) shocks common to a batch, and few rows of their own.

    In half of the streams, the timid ones, rows are skewed as losses are.
    """
    draw = np.random.default_rng(11)
    days = np.arange(REFERENCE + BATCHES).astype(float)
    counts = draw.integers(5, 40, (len(days), STREAMS)).astype(float)
    memory, common = draw.uniform(0, 0.6, STREAMS), draw.uniform(0, 0.3, STREAMS)
    shock = np.zeros((len(days), STREAMS))
    for at in range(1, len(days)):
        shock[at] = memory * shock[at - 1] + common * draw.normal(0, 1, STREAMS)
    season = draw.uniform(0, 2, STREAMS) * np.sin(2 * np.pi * days[:, None] / 365.25 + draw.uniform(0, 6, STREAMS))
    own = np.where(TIMID, draw.gamma(counts) / counts - 1, draw.normal(0, 1, shock.shape) / np.sqrt(counts))
    means = season + shock + own
    null = Null.fit(means[:REFERENCE], counts[:REFERENCE], days[:REFERENCE], np.full(STREAMS, 0.02), TIMID)
    apart = means - null.usual(days)
    z = null.innovations(apart[REFERENCE:], apart[REFERENCE - 1 : -1], counts[REFERENCE:])
    return null, z, null.slack(counts[REFERENCE:])


@pytest.mark.parametrize("run_length", [200.0, 500.0, 1_000.0])
def test_false_alarms_are_at_or_under_the_budget(quiet: tuple[Null, np.ndarray, np.ndarray], run_length: float) -> None:
    null, z, slack = quiet
    detector = EDetector.new(null.cost, np.zeros(STREAMS, bool), np.ones(STREAMS), run_length)
    alarms = np.zeros(STREAMS)
    for at in range(BATCHES):
        detector.update(z[at], slack[at])
        alarms += detector.ringing
        detector.reset(detector.ringing)
    for half in (TIMID, ~TIMID):
        assert alarms[half].sum() <= half.sum() * BATCHES / run_length


def test_innovations_have_unit_spread_and_no_memory(quiet: tuple[Null, np.ndarray, np.ndarray]) -> None:
    _, z, _ = quiet
    assert z.std() == pytest.approx(1, abs=0.05)
    assert (z[1:] * z[:-1]).mean() == pytest.approx(0, abs=0.05)


def test_a_change_rings_about_when_the_plan_says(quiet: tuple[Null, np.ndarray, np.ndarray]) -> None:
    null, z, slack = quiet
    detector = EDetector.new(null.cost, np.zeros(STREAMS, bool), np.ones(STREAMS), 1_000.0)
    first = np.full(STREAMS, np.inf)
    for at in range(100):
        detector.update(z[at] + 1.0, slack[at])
        first = np.where(detector.ringing & np.isinf(first), at + 1, first)
    planned = batches_to_prove(1.0, float(slack.mean()), float(np.log(1_000)))
    assert 0.5 * planned < np.median(first) < 2 * planned


def test_every_bet_costs_at_least_what_it_wins_in_the_reference(quiet: tuple[Null, np.ndarray, np.ndarray]) -> None:
    null, z, _ = quiet
    for half in (TIMID, ~TIMID):
        made = np.isfinite(null.cost[0][:, half]).all(axis=1)
        wins = np.exp(BETS[made, None, None] * z[None, :, half]).mean(axis=(1, 2))
        assert (np.log(wins) <= 1.06 * null.cost[0][made][:, half].mean(axis=1) + 0.02).all()


def test_a_batch_without_rows_is_passed_over() -> None:
    detector = EDetector.new(np.zeros((2, len(BETS), 2)), np.array([True, True]), np.array([0.5, 0.5]), 100.0)
    detector.update(np.array([1.0, np.nan]), np.zeros(2))
    assert np.isfinite(detector.evidence[0])
    assert detector.evidence[1] == -np.inf


def test_a_constant_channel_has_a_null() -> None:
    means, counts = np.full((100, 1), 0.3), np.full((100, 1), 5.0)
    null = Null.fit(means, counts, np.arange(100.0), np.array([0.01]))
    assert np.isfinite(null.cost).all()
    assert null.usual(np.array([500.0]))[0, 0] == pytest.approx(0.3, abs=0.05)


def test_a_smaller_change_takes_longer_and_a_tolerated_one_for_ever() -> None:
    planned = [batches_to_prove(shift, 0.2, 9.0) for shift in (0.1, 0.2, 0.3, 0.6, 1.2)]
    assert planned[:2] == [float("inf"), float("inf")]
    assert planned[2] > planned[3] > planned[4] > 0


def test_a_batch_of_noisy_rows_counts_as_fewer() -> None:
    values, batch = np.ones((8, 1)), np.repeat([0, 1], 4)
    noise = np.where(batch == 0, 1.0, 4.0)[:, None]
    _, counts = batch_means(values, batch, 2, noise)
    assert counts[:, 0].tolist() == [4.0, 1.0]


def test_a_channel_that_bets_little_is_not_carried_away_by_one_batch() -> None:
    draw = np.random.default_rng(3)
    means, counts, time = draw.normal(0, 1, (500, 2)), np.full((500, 2), 10.0), np.arange(500.0)
    null = Null.fit(means, counts, time, np.zeros(2), np.array([False, True]))
    detector = EDetector.new(null.cost, np.zeros(2, bool), np.ones(2), 10_000.0)
    detector.update(null.innovations(np.full((1, 2), 8.0), np.zeros((1, 2)), counts[:1])[0], np.zeros(2))
    assert detector.ringing.tolist() == [True, False]


def test_the_farthest_is_that_of_windows_which_the_reference_holds_often_enough() -> None:
    """Batches that remember each other tell less of how far a mean may wander: what is known of short windows stands for longer ones."""
    draw = np.random.default_rng(3)
    means = draw.normal(0, 1, (800, 2))
    for at in range(1, len(means)):
        means[at, 1] += 0.8 * means[at - 1, 1]
    null = Null.fit(means, np.ones_like(means), np.arange(800.0), np.zeros(2))
    plain, kept = np.array([null.farthest(batches) for batches in (1, 5, 21, 89, 300)]).T
    assert plain[0] > plain[1] > plain[2] > plain[3] == plain[4]
    assert kept[0] > kept[1] > kept[2] == kept[3] == kept[4]
