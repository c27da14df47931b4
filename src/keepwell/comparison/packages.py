"""Two environments, package by package."""

from __future__ import annotations

from collections.abc import Mapping

from keepwell.comparison.records import Difference


def package_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """Packages that are absent on one side or of another version; name -> version on both sides."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [Difference("package", name, before.get(name), after.get(name)) for name in names]
