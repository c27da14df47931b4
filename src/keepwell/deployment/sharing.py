"""Which live requests a challenger answers: a share of them by a stable hash, so that who got it once gets it again."""

from __future__ import annotations

import hashlib


def takes(model: str, version: int, name: str, share: float) -> bool:
    """Does the challenger answer whoever is named so?

    Parameters
    ----------
    name : the entity, or the request's own id when it names none.
    share : 0 to 1. A larger share keeps everyone that a smaller one had; another version draws anew.

    Examples
    --------
    >>> takes("rain", 5, "station 7", 0.0), takes("rain", 5, "station 7", 1.0)
    (False, True)
    """
    if share <= 0.0:
        return False
    drawn = hashlib.sha256(f"{model}|{version}|{name}".encode()).digest()
    return int.from_bytes(drawn[:8]) < share * 2**64
