"""Random names: ids of answers and of traces, drawn from the kernel many at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator

AT_ONCE = 256  # each call of the kernel lets another thread take the interpreter, which then is away for a while


class _Names:
    """Names that were drawn and not yet given."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._left: Iterator[str] = iter(())

    def take(self) -> str:
        for name in self._left:  # a list's iterator hands each of its names to one thread only
            return name
        digits = os.urandom(16 * AT_ONCE).hex()
        first, *others = [digits[at : at + 32] for at in range(0, len(digits), 32)]
        self._left = iter(others)
        return first


_names = _Names()
os.register_at_fork(after_in_child=_names.forget)  # else parent and child would give the same


def new_id() -> str:
    """32 random hexadecimal digits, never given twice. Any thread may ask.

    Examples
    --------
    >>> len(new_id()), new_id() == new_id()
    (32, False)
    """
    return _names.take()
