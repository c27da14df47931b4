"""Periods as people name them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from keepwell.errors import InputInvalid
from keepwell.reporting import EVERY, last_full, period_of

NOW = datetime(2026, 5, 4, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since", "until", "before"),
    [
        ("2026-02", (2026, 2, 1), (2026, 3, 1), "2026-01"),
        ("2026-01", (2026, 1, 1), (2026, 2, 1), "2025-12"),
        ("2025-12", (2025, 12, 1), (2026, 1, 1), "2025-11"),
        ("2026-Q1", (2026, 1, 1), (2026, 4, 1), "2025-Q4"),
        ("2024", (2024, 1, 1), (2025, 1, 1), "2023"),
        ("2026-W01", (2025, 12, 29), (2026, 1, 5), "2025-W52"),
        ("week", (2026, 4, 27), (2026, 5, 4), "2026-W17"),
        ("year", (2025, 1, 1), (2026, 1, 1), "2024"),
    ],
)
def test_a_named_period_has_its_days_and_the_one_before(text, since, until, before):
    found = period_of(text, NOW)
    assert (found.since, found.until) == (datetime(*since, tzinfo=UTC), datetime(*until, tzinfo=UTC))
    assert found.before.name == before
    assert found.before.until == found.since


def test_days_up_to_now_are_compared_with_as_many_before():
    found = period_of("10d", NOW)
    assert (found.until, found.before.until) == (NOW, found.since)
    assert found.before.until - found.before.since == found.until - found.since


@pytest.mark.parametrize("text", ["", "2026-13", "2026-Q5", "2026-W54", "0000", "yesterday", "99999999d", "2026-02-01"])
def test_what_is_no_period_is_refused_with_the_forms_there_are(text):
    with pytest.raises(InputInvalid, match="It is written as 2026-W07"):
        period_of(text, NOW)


@pytest.mark.parametrize("every", EVERY)
def test_the_last_full_period_is_over_and_the_next_is_not(every):
    found = last_full(every, NOW)
    assert found.until <= NOW
    assert period_of(found.name, NOW) == found
