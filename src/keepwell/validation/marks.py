"""A finding together with the rows it speaks of, while a batch is being checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keepwell.validation.records import Action, Finding


@dataclass(frozen=True, eq=False)
class Mark:
    """`where`: shape (rows,), True on the rows of the batch that show it. `reason`: the finding without its counts. `earlier`: how many
    of the newest accepted rows show it too."""

    finding: Finding
    where: np.ndarray
    reason: str
    earlier: int = 0

    @property
    def breaks(self) -> bool:
        return self.finding.action == "quarantine"


def mark(
    kind: str,
    column: str | None,
    where: np.ndarray,
    example: object,
    what: str,
    todo: str,
    *,
    action: Action = "quarantine",
    is_fault: bool = False,
    conversion: str = "",
    earlier: int = 0,
) -> Mark:
    """Write the one sentence that every finding has: kind, column, rows, example, what is wrong, what to do."""
    rows = int(where.sum())
    about = f"column '{column}', " if column is not None else ""
    aside = "set aside" if action == "quarantine" else "kept"
    message = f"{kind}: {about}{rows} of {where.size} rows, for example {example}: {what}; {aside}. {todo}"
    finding = Finding(kind, column, rows, str(example), message, action, is_fault, what, conversion=conversion)
    return Mark(finding, where, f"{kind}: {about}{what}", earlier)


def many(where: np.ndarray) -> bool:
    """Half of at least three rows: no longer single bad rows but a feed that is broken."""
    rows = int(where.sum())
    return rows >= 3 and 2 * rows >= int(where.size)
