"""Two states of a project's Python files, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from keepwell.comparison.records import Difference


def code_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[Difference]:
    """One difference per file that is not the same.

    Parameters
    ----------
    before, after : path -> text.

    Returns
    -------
    `facts["lines"]` holds the numbers of the changed lines, as they are in `after` (in `before` where lines were only taken
    away); `detail` is a unified diff.
    """
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None or new is None:
            found.append(Difference("code", name, None if old is None else "present", None if new is None else "present"))
            continue
        was, now = old.splitlines(), new.splitlines()
        detail = "\n".join(difflib.unified_diff(was, now, f"{name} (before)", f"{name} (after)", lineterm="", n=2))
        found.append(Difference("code", name, "present", "present", detail, {"lines": _lines(was, now)}))
    return found


def _lines(was: list[str], now: list[str]) -> list[int]:
    changed: list[int] = []
    for tag, first, _, start, end in difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        if tag != "equal":
            changed += range(start + 1, end + 1) if end > start else [first + 1]
    return changed
