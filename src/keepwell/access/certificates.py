"""The certificate and key of HTTPS, looked at before a server starts."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from keepwell.errors import SettingInvalid

if TYPE_CHECKING:
    from keepwell.settings import ServeSection

WHERE = "the settings"
REASONS = {
    "KEY_VALUES_MISMATCH": "the key is not the one of the certificate",
    "NO_START_LINE": "it holds no certificate and key in PEM form",
}


def certificate_of(serve: ServeSection, folder: Path) -> tuple[str, str] | None:
    """The files of certificate and key; None without one. Relative paths count from `folder`.

    Raises
    ------
    SettingInvalid : a file is missing, is none, or the two do not fit.
    """
    if serve.certificate is None:
        if serve.key is not None:
            raise SettingInvalid("serve.key", serve.key, "there is no serve.certificate that it is the key of", WHERE)
        return None
    certificate = _file("serve.certificate", serve.certificate, folder)
    key = _file("serve.key", serve.key, folder) if serve.key is not None else certificate
    asked: list[bool] = []

    def passphrase() -> bytes:
        asked.append(True)
        return b""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=passphrase)
    except (ssl.SSLError, ValueError) as error:
        problem = REASONS.get(getattr(error, "reason", None) or "", f"it cannot be used with the key ({error})")
        problem = "its key asks for a passphrase; write it without one, readable to this user only" if asked else problem
        raise SettingInvalid("serve.certificate", serve.certificate, problem, WHERE) from None
    return str(certificate), str(key)


def _file(name: str, given: str, folder: Path) -> Path:
    path = folder / given
    try:
        path.open("rb").close()
    except OSError as error:
        raise SettingInvalid(name, given, f"it cannot be read ({error.strerror})", WHERE) from None
    return path
