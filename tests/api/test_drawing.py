"""Ids are never given twice: not to two threads, and not to a parent and its child."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest

from keepwell.api.drawing import AT_ONCE, new_id


def test_threads_get_different_ids() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [name for names in pool.map(lambda _: [new_id() for _ in range(3 * AT_ONCE)], range(8)) for name in names]
    assert len(set(found)) == len(found) == 24 * AT_ONCE


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_child_draws_its_own() -> None:
    new_id()
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(target=lambda: theirs.send([new_id() for _ in range(AT_ONCE)]))
    child.start()
    found = ours.recv()
    child.join()
    assert not set(found) & {new_id() for _ in range(2 * AT_ONCE)}
