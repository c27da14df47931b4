"""The algebra of a batch runs on one thread, and what was allowed before is allowed again."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: once the main thread has limited OpenBLAS, it heeds no other thread any more.
OVERLAPPING = """
from threading import Barrier, Thread

import numpy
from threadpoolctl import threadpool_info

from keepwell.monitoring.threads import one_thread

def allowed():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

before, both = allowed(), Barrier(2)

def leave(is_first):
    with one_thread():
        both.wait()
        if not is_first:
            first.join()
            print(set(allowed()) <= {1})

first, last = Thread(target=leave, args=(True,)), Thread(target=leave, args=(False,))
first.start()
last.start()
last.join()
print(allowed() == before)
try:
    with one_thread():
        raise ValueError
except ValueError:
    print(allowed() == before)
"""


def test_the_limit_is_lifted_after_the_last_of_those_that_overlap_and_after_an_error() -> None:
    said = subprocess.run([sys.executable, "-c", OVERLAPPING], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.split() == ["True"] * 3
