"""What is sound is called a decline no oftener than the budget allows."""

import pytest
import streams

from keepwell.monitoring import Watch

STREAMS, REFERENCE, BATCHES = 10, 400, 150


@pytest.mark.parametrize("task", ["binary", pytest.param("multiclass", marks=pytest.mark.thorough("the same bank of detectors"))])
def test_sound_streams_are_called_declines_no_oftener_than_the_budget(task: str) -> None:
    """Ten streams of 150 days at one false alarm in 1,096: 1.4 are allowed."""
    told = 0
    for seed in range(STREAMS):
        watch = Watch(streams.stream(REFERENCE, seed=1000 + seed, task=task), streams.MODELS[task], entity="station", task=task)
        signals = watch.update(streams.stream(BATCHES, seed=2000 + seed, since=REFERENCE, task=task))
        told += sum(signal.kind == "decline" and signal.is_first for signal in signals)
    assert told <= STREAMS * BATCHES / watch.run_length
