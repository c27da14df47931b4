"""What may not be shown: secrets among settings, and passwords and keys inside URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

HIDDEN = "***"
_SECRET_NAME = re.compile(r"api_?key|headers|options|token|password|passwd|secret|credential", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^/@:\s]*:)[^/@\s]+(@)")
_IN_QUERY = re.compile(r"([?&][^=&\s]*(?:key|token|secret|password|signature)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def shown(name: str, value: Any) -> Any:
    """A setting's value as it may be printed: secrets, and passwords inside URLs, are stars.

    Examples
    --------
    >>> shown("url", "postgresql://mira:s3cret@db/rain"), shown("apikey", "s3cret")
    ('postgresql://mira:***@db/rain', '***')
    """
    if isinstance(value, SecretStr) or (value is not None and value != {} and _SECRET_NAME.search(name)):
        return HIDDEN
    if isinstance(value, str):
        return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_URL.sub(rf"\1{HIDDEN}\2", value))
    if isinstance(value, Mapping):
        return {key: shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shown(name, inner) for inner in value]
    return value
