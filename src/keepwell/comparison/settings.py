"""Two tables of settings, value by value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from keepwell.comparison.records import Difference

SEED = "build.seed"


def setting_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Settings that are absent on one side or have another value, by their dotted names."""
    old, new = _flat(before), _flat(after)
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return [Difference("seed" if name == SEED else "setting", name, old.get(name), new.get(name)) for name in names]


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in table.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": json.dumps(value, default=str)}
    return found
