"""A forecast that declines at one horizon: found, and named by its horizon."""

import numpy as np
import polars as pl
import pytest
import streams

from keepwell.monitoring import Watch

BEGAN, AFTER = 400, 90
HORIZONS = (24, 48, 72)


def forecasts(days: int, *, seed: int, since: int = 0, worse_at: int | None = None) -> pl.DataFrame:
    """Three forecasts a day for each of three horizons; errors grow with the horizon, and one horizon gets worse by half."""
    frame = streams.stream(days, seed=seed, since=since, task="regression")
    horizon = np.tile(np.repeat(HORIZONS, 3), days)
    error = np.random.default_rng(seed).normal(0, 1, frame.height) * (1 + horizon / 72)
    error = np.where(horizon == worse_at, 1.5 * error, error)
    names = [f"{since}-{at}" for at in range(frame.height)]
    return frame.with_columns(horizon=horizon, label=pl.col("answer") + pl.Series(error), id=pl.Series(names))


@pytest.fixture(scope="module")
def state() -> bytes:
    return Watch(forecasts(BEGAN, seed=1), streams.amount, entity="station", key="id", task="regression", slices="horizon").state()


@pytest.mark.parametrize("worse_at", HORIZONS)
def test_a_decline_at_one_horizon_is_found_and_named(state: bytes, worse_at: int) -> None:
    signals = Watch.load(state, streams.amount).update(forecasts(AFTER, seed=2, since=BEGAN, worse_at=worse_at))
    declines = [signal for signal in signals if signal.kind == "decline"]
    assert declines
    cause = declines[-1].causes[0]
    assert (cause.kind, cause.column, cause.scope) == ("concept_shift", "horizon", str(worse_at))
    assert declines[-1].explanation is not None
    began = declines[-1].explanation.began
    assert began.low <= streams.day(BEGAN) <= began.high


def test_sound_forecasts_say_nothing(state: bytes) -> None:
    assert Watch.load(state, streams.amount).update(forecasts(AFTER, seed=2, since=BEGAN)) == []


def test_a_horizon_is_a_name_even_where_it_is_a_number(state: bytes) -> None:
    watch = Watch.load(state, streams.amount)
    assert [channel.name for channel in watch.reference.channels if channel.kind == "slice"] == ["slice:24", "slice:48", "slice:72"]
    assert "horizon" in [column.name for column in watch.reference.columns.categories]
    assert watch.kept.frame.schema["horizon"].is_integer()
