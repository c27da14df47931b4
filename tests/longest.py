"""Which files begin first, so that no worker is left with a long one when the others have ended.

pytest-xdist would begin with the files of most tests, and those that take longest have few. A list from `--durations`, longest first;
what is not on it takes seconds.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST = (
    "api/test_process.py",
    "orchestration/test_year.py",
    "chaos/test_chaos.py",
    "keeping/test_backup.py",
    "orchestration/test_crash.py",
    "test_weather_example.py",
    "api/test_workers.py",
    "chaos/test_real_disk.py",
    "ui/test_browser.py",
    "orchestration/test_trials.py",
    "orchestration/test_watching.py",
    "rehearsal/test_rehearse.py",
    "notifying/test_killed.py",
    "chaos/test_flaky_store.py",
    "chaos/test_answering.py",
    "notifying/test_doors.py",
    "chaos/test_restart.py",
    "orchestration/test_unwritten_end.py",
    "orchestration/test_tending.py",
    "cli/test_door.py",
    "cli/test_keeping.py",
    "diagnosis/test_faults.py",
    "api/test_described.py",
    "api/test_swaps_under_load.py",
    "api/test_https.py",
    "monitoring/test_quiet.py",
    "reporting/test_checkup.py",
)


def longest_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """The files of `LONGEST`, then those with most tests; within a file the order stays."""
    places = {TESTS / name: place for place, name in enumerate(LONGEST)}
    tests = Counter(item.path for item in items)
    return sorted(items, key=lambda item: (places.get(item.path, len(places)), -tests[item.path], str(item.path)))
