"""Do the observations hold something about persons? A look at names and values, at each build."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

MOST_VALUES = 2000  # different values of a column that are looked at
FEWEST = 0.05  # share of them that must look so; a single odd text is chance
FEWEST_CARDS = 0.5  # a tenth of all long numbers have the check digit of a card by chance

NAMES = re.compile(
    r"(^|_)(e_?mail|phone|mobile|ssn|passport|iban|birth(day|date|_date)?|dob|first_?name|last_?name|full_?name|surname|street|address"
    r"|ip_address|password|national_id|tax_id)(_|$)"
)
_CARD = re.compile(r"\d(?:[ -]?\d){12,18}")
VALUES: dict[str, Callable[[str], bool]] = {
    "an e-mail address": lambda text: re.fullmatch(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}", text) is not None,
    "a telephone number": lambda text: re.fullmatch(r"\+\d(?:[ ()/.-]?\d){7,14}", text) is not None,
    "a bank account": lambda text: re.fullmatch(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?", text) is not None,
    "an internet address": lambda text: re.fullmatch(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", text) is not None,
    "a payment card": lambda text: _CARD.fullmatch(text) is not None and _luhn(text),
}


def personal(rows: pl.DataFrame, *, but: Sequence[str] = ()) -> dict[str, Any]:
    """Which columns look as if they were about a person.

    It finds addresses, numbers and accounts by their form and columns by their English names. It cannot find what has
    neither: a free text, a name in another language, a rare combination of harmless values.

    Parameters
    ----------
    but : columns that are Keepwell's own.

    Returns
    -------
    `columns` and `values` that were looked at, and `found`: {column: what it looks like}.
    """
    found: dict[str, str] = {}
    looked = 0
    columns = [column for column in rows.iter_columns() if column.name not in but]
    for column in columns:
        if match := NAMES.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.name).lower()):
            found[column.name] = f"its name ({match.group(2)})"
        if column.dtype not in (pl.String, pl.Int64):
            continue
        values = column.drop_nulls().unique(maintain_order=True).head(MOST_VALUES).cast(pl.String).to_list()
        looked += len(values)
        kinds = VALUES if column.dtype == pl.String else {"a payment card": VALUES["a payment card"]}
        for kind, fits in kinds.items():
            least = FEWEST_CARDS if kind == "a payment card" else FEWEST
            if sum(map(fits, values)) > least * max(len(values), 1 / FEWEST):
                found.setdefault(column.name, kind)
    return {"columns": len(columns), "values": looked, "found": found}


def _luhn(text: str) -> bool:
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    return sum(digits[0::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10
