"""What every refusal has in common."""

from __future__ import annotations

from collections.abc import Iterable


class KeepwellError(Exception):
    """Root of every refusal; `facts` holds what the message was built from."""

    status = 500
    headline = "Keepwell could not go on"
    exit_code = 1

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts

    def __reduce__(self) -> tuple[object, ...]:
        """Leaves are built from facts, so a copy that crosses a process is made from the message instead."""
        return _revive, (type(self), self.message, self.facts)

    def as_dict(self) -> dict[str, object]:
        """The same words at every door: REST returns this, `--json` prints it."""
        return {
            "error": type(self).__name__,
            "headline": self.headline,
            "message": self.message,
            "facts": {name: _plain(value) for name, value in self.facts.items()},
        }


def _revive(leaf: type[KeepwellError], message: str, facts: dict[str, object]) -> KeepwellError:
    error = leaf.__new__(leaf)
    KeepwellError.__init__(error, message, **facts)
    return error


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Iterable):
        return [_plain(v) for v in value]
    return str(value)


def listed(names: Iterable[object], none: str = "none") -> str:
    """`a, b, c`, or a word for the empty list."""
    return ", ".join(str(name) for name in names) or none
