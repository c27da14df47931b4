"""What a comparison finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["code", "data", "contract", "package", "setting", "seed", "platform"]


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same on both sides.

    `what` names it (file, column, package, setting); `before` and `after` are short texts, None where it is absent;
    `detail` shows it at length (a unified diff, example rows).
    """

    kind: Kind
    what: str
    before: str | None
    after: str | None
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The difference in one line."""
        if self.kind == "code" and "lines" in self.facts:
            lines = self.facts["lines"]
            return f"code: {self.what} line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:5]))}{' ...' if lines[5:] else ''}"
        if self.kind == "data" and "rows" in self.facts:
            return f"data: {self.facts['said']}"
        name = self.kind if self.kind == "seed" else f"{self.kind}: {self.what}"
        return f"{name}{':' if self.kind == 'seed' else ''} {self.before or 'absent'} -> {self.after or 'absent'}"
