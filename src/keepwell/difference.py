"""What would change when another version becomes champion, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from keepwell.wording import number, when

if TYPE_CHECKING:
    from keepwell import Project
    from keepwell.registry import Version


@dataclass(frozen=True)
class Line:
    """One thing, as it is and as it would be."""

    what: str
    before: str
    after: str
    remark: str


@dataclass(frozen=True)
class Difference:
    """From the version that serves (None: none does) to another one."""

    before: int | None
    after: int
    lines: tuple[Line, ...]

    def _repr_html_(self) -> str:
        from keepwell.notebook import card

        rows = [(line.what, line.before, line.after, line.remark) for line in self.lines]
        before = f"version {self.before}" if self.before is not None else "no champion"
        return card("", f"From {before} to version {self.after}", (), [("What", "Before", "After", ""), *rows])


def between(project: Project, before: int | None, after: int) -> Difference:
    """Compare the champion with a version that may follow it.

    Raises
    ------
    VersionNotFound : there is no such version.
    """
    new = project.version(after)
    old = project.version(before) if before is not None and before != after else None
    lines = [
        Line("made", when(old.as_of) if old else "–", when(new.as_of), ""),
        Line("gate", _gate(old), _gate(new), "" if new.passed else "the gate refused it: --override is needed"),
        *_metrics(old, new),
        Line("trained on", _span(old), _span(new), ""),
        Line("rows", _rows(old), _rows(new), ""),
    ]
    for name, what in (("code", "code"), ("training_set", "training set")):
        lines.append(_digest(what, getattr(old, name) if old else None, getattr(new, name)))
    contract = _digest("contract", old.contract if old else None, new.contract)
    lines.append(contract if new.contract else replace(contract, remark="none came with it: the one in force stays"))
    lines.append(_content("settings", project, old.settings if old else None, new.settings))
    lines.append(_content("packages", project, old.environment if old else None, new.environment))
    lines.append(_rehearsed(project, after))
    return Difference(old.number if old else before, after, tuple(lines))


def _rehearsed(project: Project, number: int) -> Line:
    found = project.rollback_rehearsed(number)
    if found is None:
        return Line("rehearsed", "", "not today", "it is before anything moves, on a rollback")
    return Line("rehearsed", "", f"today, {found.took}" if found.passed else "failed today", found.problem or "golden rows bit-equal")


def _gate(version: Version | None) -> str:
    return "–" if version is None else "passed" if version.passed else "refused"


def _span(version: Version | None) -> str:
    return "–" if version is None else f"{when(version.facts['trained_from'])} to {when(version.facts['trained_until'])}"


def _rows(version: Version | None) -> str:
    return "–" if version is None else f"{version.facts['train_rows']:,}"


def _metrics(old: Version | None, new: Version) -> list[Line]:
    """Each metric as it was judged then: not on the same rows, so it is told and not compared."""
    lines: list[Line] = []
    for name, metric in new.facts["metrics"].items():
        value = metric.get("value")
        if value is None:
            continue
        was = (old.facts["metrics"].get(name) or {}).get("value") if old else None
        lines.append(Line(name, number(was), number(value), "each on its own held-out days" if old and not lines else ""))
    return lines


def _digest(what: str, old: str | None, new: str | None) -> Line:
    remark = "" if old is None else "same" if old == new else "changed"
    return Line(what, old[:12] if old else "–", new[:12] if new else "–", remark)


def _content(what: str, project: Project, old: str | None, new: str) -> Line:
    """Two JSON artifacts by digest, and the names that differ."""
    if old is None or old == new:
        return _digest(what, old, new)
    before, after = (_flat(json.loads(project.context.artifacts.get(digest))) for digest in (old, new))
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    told = "; ".join(f"{name} {_said(before.get(name))} → {_said(after.get(name))}" for name in names[:4])
    return Line(what, old[:12], new[:12], f"changed: {told}{f' and {len(names) - 4} more' if len(names) > 4 else ''}")


def _said(value: Any) -> str:
    return "none" if value is None else str(value)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
