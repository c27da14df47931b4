"""The exact packages a step ran with."""

from __future__ import annotations

import json
import platform
from functools import cache
from importlib import metadata

from keepwell.storage import digest_of


@cache
def environment() -> dict[str, str]:
    """Package name -> version of everything installed, with the interpreter as ``python``."""
    packages = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions() if dist.metadata["Name"]}
    return {"python": platform.python_version(), **dict(sorted(packages.items()))}


@cache
def environment_digest() -> str:
    """SHA-256 of the environment."""
    return digest_of(json.dumps(environment(), sort_keys=True).encode())
