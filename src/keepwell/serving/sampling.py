"""Which answers are kept when only a share of them is: drawn by their random ids, so that any process draws the same."""

from __future__ import annotations


def is_kept(prediction_id: str, share: float) -> bool:
    """Whether the answer with this random id is among the share that is kept; each that is stands for 1 / share answers.

    Examples
    --------
    >>> is_kept("3f" * 16, 0.25), is_kept("40" * 16, 0.25), is_kept("ff" * 16, 1.0)
    (True, False, True)
    """
    return share >= 1.0 or int(prediction_id[:8], 16) < share * 2**32
