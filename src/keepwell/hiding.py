"""What may not be shown: secrets among settings, and passwords and keys inside URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

HIDDEN = "***"
ADDRESSES = "tell"  # the setting whose texts are addresses as a whole
_SECRET_NAME = re.compile(r"api_?key|headers|options|token|password|passwd|secret|credential", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^/@:\s]*:)[^/@\s]+(@)")
_IN_QUERY = re.compile(r"([?&][^=&\s]*(?:key|token|secret|password|signature)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def shown_address(url: str) -> str:
    """Of an address that people or machines are told at: its kind, and the host where that is no secret.

    Examples
    --------
    >>> shown_address("slack://T0K3N/A/B"), shown_address("https://mira:pw@hooks.example:8443/T0K3N")
    ('slack://***', 'https://hooks.example:8443/***')
    """
    scheme, found, rest = url.partition("://")
    if not found or not scheme.isalnum():
        return HIDDEN
    host = f"{re.split('[/?#]', rest)[0].rpartition('@')[2]}/" if scheme.lower() in ("http", "https") else ""
    return f"{scheme}://{host}{HIDDEN}"


def shown(name: str, value: Any) -> Any:
    """A setting's value as it may be printed: secrets, and passwords inside URLs, are stars.

    Examples
    --------
    >>> shown("url", "postgresql://mira:s3cret@db/rain"), shown("apikey", "s3cret")
    ('postgresql://mira:***@db/rain', '***')
    """
    if name == ADDRESSES and isinstance(value, list | tuple):
        return [shown_address(one) if isinstance(one, str) else str(one) if isinstance(one, SecretStr) else HIDDEN for one in value]
    if isinstance(value, BaseModel):
        return {inner: shown(inner, getattr(value, inner)) for inner in type(value).model_fields}
    if isinstance(value, SecretStr) and type(value) is not SecretStr:
        return str(value)  # an address, which shows what it may
    if isinstance(value, SecretStr) or (value is not None and value != {} and _SECRET_NAME.search(name)):
        return HIDDEN
    if isinstance(value, str):
        return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_URL.sub(rf"\1{HIDDEN}\2", value))
    if isinstance(value, Mapping):
        return {key: shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [shown(name, inner) for inner in value]
    return value
