"""Without labels: what is told of the loss, how often it holds, and when it is withdrawn."""

import numpy as np
import polars as pl
import pytest
import streams

from keepwell.diagnosis import BLIND, estimate_of
from keepwell.monitoring import Watch, tell

BEGAN = 500


@pytest.mark.parametrize("batches", [10, 30])
def test_the_interval_holds_the_loss_that_is_measured_later_as_often_as_it_says(batches: int) -> None:
    """90 % of 40 windows that share no batch, of four streams; three standard errors of 40 draws are 14 %."""
    held = []
    for seed in range(4):
        watch = Watch(streams.stream(BEGAN, seed=seed), streams.chance, entity="station", false_alarms="1 per 1000 years")
        after = streams.stream(10 * batches, seed=seed + 50, since=BEGAN)
        watch.update(after.drop("label"), until=streams.day(BEGAN + 10 * batches))
        loss = watch.reference.outcome.losses(after["label"].to_numpy(), after["answer"].to_numpy()).reshape(10, -1).mean(axis=1)
        case, newest = watch.case(), len(watch.series.numbers)
        for number, measured in enumerate(loss):
            found = estimate_of(case, np.arange(newest - (10 - number) * batches, newest - (9 - number) * batches))
            assert found is not None
            held.append(found.low <= measured <= found.high)
    assert np.mean(held) >= 0.9 - 0.14


def test_a_wider_window_is_known_better() -> None:
    watch = Watch(streams.stream(BEGAN, seed=1), streams.chance, entity="station")
    watch.update(streams.stream(60, seed=2, since=BEGAN).drop("label"))
    short, long = watch.estimate(5), watch.estimate(50)
    assert short is not None
    assert long is not None
    assert long.high - long.low < short.high - short.low
    assert (short.withdrawn, long.withdrawn) == ("", "")


def test_it_is_withdrawn_with_its_reason_when_a_column_is_guilty() -> None:
    after = streams.stream(20, seed=2, since=BEGAN)
    watch = Watch(streams.stream(BEGAN, seed=1), streams.chance, entity="station")
    signals = watch.update(streams.answered(after.with_columns(pl.col("warmth") * 1.8 + 32)).drop("label"))
    explanation = signals[-1].explanation
    assert explanation is not None
    assert explanation.estimate is not None
    assert explanation.estimate.withdrawn == "withdrawn because of unit change in warmth"
    assert (now := watch.estimate()) is not None
    assert now.withdrawn
    assert BLIND in explanation.notes
    assert BLIND[1:] in tell(explanation)


def test_with_labels_nothing_is_estimated_and_nothing_hidden() -> None:
    after = streams.stream(20, seed=2, since=BEGAN)
    watch = Watch(streams.stream(BEGAN, seed=1), streams.chance, entity="station")
    explanation = watch.update(streams.answered(after.with_columns(pl.col("warmth") * 1.8 + 32)))[-1].explanation
    assert explanation is not None
    assert (explanation.estimate, explanation.notes) == (None, ())
