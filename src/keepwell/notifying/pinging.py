"""A dead man's ping: an outside watcher hears from us, and misses us when we are gone."""

from __future__ import annotations

import logging
from urllib.error import URLError
from urllib.request import urlopen

WAIT_S = 5.0

log = logging.getLogger("keepwell.notifying")


def ping(url: str) -> bool:
    """Ask for `url`; what goes wrong is logged and harms nothing. True when it answered."""
    try:
        with urlopen(url, timeout=WAIT_S):  # noqa: S310 - the settings name it
            return True
    except (URLError, OSError, ValueError) as error:
        log.warning("The ping did not arrive: %s", error)
        return False
