"""Policies to rehearse: the sections of keepwell.toml that decide when a version is built and goes live, under a name."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keepwell.errors import SettingInvalid, SettingUnknown, listed
from keepwell.settings import check_known

SECTIONS = ("build", "check", "gate", "promotion", "retrain", "watch")
MONTH, YEAR = 28, 364  # whole weeks, so that cycles a week or four weeks apart meet them
_AT_ONCE = {"cooldown_days": 0, "min_new_labels": 0}
_ALONE: dict[str, Any] = {"every_days": None, "max_age_days": None, "on_decline": False, "max_per_month": None}


@dataclass(frozen=True)
class Policy:
    """`sections` outrank the project's own settings."""

    name: str
    what: str = ""
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)


BUILT_IN = {
    policy.name: policy
    for policy in (
        Policy("never", "the first version serves for ever", {"retrain": _ALONE}),
        Policy("monthly", "a build every four weeks", {"retrain": {**_ALONE, "every_days": MONTH, **_AT_ONCE}}),
        Policy("yearly", "a build every 52 weeks", {"retrain": {**_ALONE, "every_days": YEAR, **_AT_ONCE}}),
        Policy("on-decline", "a build when a check-up says unwell, and no other", {"retrain": {**_ALONE, "on_decline": True}}),
        Policy("as-is", "as the settings say"),
    )
}


def read_policies(given: Sequence[str]) -> list[Policy]:
    """Policies by built-in name or TOML file; a file's `name` (default its own) must be its alone.

    Raises
    ------
    SettingInvalid : no such policy, a file that is not TOML, a section that no policy has, or a name twice.
    SettingUnknown : a setting does not exist; carries the nearest one.
    """
    found = [BUILT_IN[one] if one in BUILT_IN else _read(Path(one)) for one in given]
    names = [policy.name for policy in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingInvalid("name", twice, "two policies have this name", "the policies to rehearse")
    return found


def _read(path: Path) -> Policy:
    if not path.is_file():
        problem = f"it is neither a file nor one of {listed(list(BUILT_IN))}"
        raise SettingInvalid("policy", str(path), problem, "the policies to rehearse")
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingInvalid("policy", path.name, f"it is not TOML: {error}", str(path)) from None
    name = str(content.pop("name", path.stem))
    what = str(content.pop("what", ""))
    for section, values in content.items():
        if section not in SECTIONS:
            raise SettingInvalid(section, "a section", f"a policy has only name, what, {listed(list(SECTIONS))}", str(path))
        if not isinstance(values, dict):
            raise SettingUnknown(section, None, str(path))
        for setting in values:
            check_known([section, setting], str(path))
    return Policy(name, what, content)
