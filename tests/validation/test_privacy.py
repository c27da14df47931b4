"""Columns about persons are found by form and by name; harmless ones are not called so."""

import polars as pl
import pytest

from keepwell.validation import personal

ROWS = 40


def card(number: int) -> str:
    """A number of 16 digits with the check digit of a card."""
    text = f"4{number:014}"
    total = sum(sum(divmod(2 * int(sign), 10)) if place % 2 == 0 else int(sign) for place, sign in enumerate(text))
    return f"{text}{-total % 10}"


CARDS = [card(number * 7919) for number in range(ROWS)]
FOUND = {
    "contact": ([f"mira{n}@example.org" for n in range(ROWS)], "an e-mail address"),
    "line": ([f"+49 30 901820 {n:02}" for n in range(ROWS)], "a telephone number"),
    "account": (["DE89 3704 0044 0532 0130 00"] * ROWS, None),  # one value is no column of accounts
    "host": ([f"192.168.0.{n}" for n in range(ROWS)], "an internet address"),
    "paid_with": (CARDS, "a payment card"),
    "customer_email": ([""] * ROWS, "its name (email)"),
    "birthDate": ([f"1970-01-{1 + n % 28:02}" for n in range(ROWS)], "its name (birth_date)"),
    "station": ([f"OFFUTT-{n}" for n in range(ROWS)], None),
    "version": ([f"1.2.{n}" for n in range(ROWS)], None),
    "phoneme": ([f"a{n}" for n in range(ROWS)], None),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_column_is_named_for_what_it_looks_like(name: str) -> None:
    values, kind = FOUND[name]
    found = personal(pl.DataFrame({name: values}))["found"]
    assert found.get(name) == kind


def test_numbers_of_a_sensor_are_not_cards() -> None:
    rows = pl.DataFrame({"reading": [1_000_000_000_000 + 7919 * n for n in range(500)], "level": [0.5 * n for n in range(500)]})
    looked = personal(rows)
    assert looked == {"columns": 2, "values": 500, "found": {}}
