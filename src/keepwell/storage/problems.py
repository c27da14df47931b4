"""What a store's own error says, in one line that a person can read."""

from __future__ import annotations

import re

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ARROW = re.compile(r"\s*\n\s*↳\s*")


def problem_of(error: BaseException) -> str:
    """The cause's own words: no colours, no dump of its insides, no traceback."""
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's errors carry the driver's
    text = ARROW.sub(": ", COLOUR.sub("", str(cause))).strip()
    return text.split("\n")[0].strip() or type(cause).__name__
