"""The version is swapped while requests come in: none fails, each is answered, bit by bit, as the version it names answers.

`make chaos-answers` does the same with 10,000 requests and 20 swaps.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from swapping import swapped, two_versions

WITHIN_S = 5.0  # a swap is seen in the answers after this at most; a busy machine is given more

pytestmark = [pytest.mark.sqlite("is about what a server does in memory"), pytest.mark.local("and nothing about where files are")]


def test_swaps_under_load_fail_no_request_and_each_answer_is_that_of_the_version_it_names(tiny: Path) -> None:
    found = swapped(two_versions(tiny), requests=1000, swaps=6)
    print(found)
    assert (found.failed, found.wrong) == (0, 0), found
    assert found.requests >= 1000
    assert set(found.versions) == {1, 2}
    assert found.late_s < WITHIN_S
