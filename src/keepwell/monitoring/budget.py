"""The false-alarm budget in words people use."""

from __future__ import annotations

import re

from keepwell.errors import SettingInvalid

DAYS = {"day": 1.0, "week": 7.0, "month": 30.44, "quarter": 91.31, "year": 365.25}
_WORDS = re.compile(r"\s*(\d+(?:\.\d+)?)\s+per\s+(\d+(?:\.\d+)?)?\s*(day|week|month|quarter|year)s?\s*", re.IGNORECASE)


def days_between(budget: str, setting: str = "watch.false_alarms", where: str = "keepwell.toml") -> float:
    """Days from one false alarm to the next that a budget allows.

    Raises
    ------
    SettingInvalid : it does not read like "1 per 3 years".

    Examples
    --------
    >>> round(days_between("1 per 3 years")), round(days_between("2 per year")), round(days_between("1 per quarter"))
    (1096, 183, 91)
    """
    found = _WORDS.fullmatch(budget)
    if found is None or float(found[1]) == 0 or (found[2] and float(found[2]) == 0):
        raise SettingInvalid(setting, budget, 'it reads like "1 per 3 years" (day, week, month, quarter or year)', where)
    return float(found[2] or 1) * DAYS[found[3].lower()] / float(found[1])
