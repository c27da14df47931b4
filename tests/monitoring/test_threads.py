"""The algebra of a batch runs on one thread, and what was allowed before is allowed again."""

from __future__ import annotations

from threading import Barrier, Thread

from threadpoolctl import threadpool_info

from keepwell.monitoring.threads import one_thread


def allowed() -> list[int]:
    """Threads of the library that NumPy calls; others may have been loaded since the limit was first set."""
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas" and "numpy" in one["filepath"]]


def test_the_limit_is_lifted_after_the_last_of_those_that_overlap() -> None:
    before, both = allowed(), Barrier(2)

    def overlap(leaves_first: bool) -> None:
        with one_thread():
            both.wait()
            if not leaves_first:
                first.join()
                assert set(allowed()) <= {1}

    first, last = Thread(target=overlap, args=(True,)), Thread(target=overlap, args=(False,))
    first.start()
    last.start()
    last.join()
    assert allowed() == before


def test_the_limit_is_lifted_after_an_error() -> None:
    before = allowed()
    try:
        with one_thread():
            raise ValueError
    except ValueError:
        assert allowed() == before
