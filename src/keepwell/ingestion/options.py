"""What an engineer writes under `[source]` beside `kind`: judged by one pydantic model per kind, secrets kept secret."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from keepwell.errors import SettingInvalid, SettingUnknown
from keepwell.settings import FILE

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
IN_URL = re.compile(r"://[^/@:\s]*:([^/@\s$]+)@")  # a password written out: not our advice, still not to be shown
HIDDEN = "***"


class Options(BaseModel):
    """The settings of one kind of source; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyOptions = TypeVar("AnyOptions", bound=Options)


def read_options(kind: str, shape: type[AnyOptions], given: Mapping[str, Any]) -> AnyOptions:
    """Judge the settings of a source.

    Raises
    ------
    SettingUnknown : a name that `shape` does not have; carries the nearest one.
    SettingInvalid : a value is impossible or a needed one is missing. The value of a secret is not shown.
    """
    where = f"[source] of kind '{kind}'"
    for name in given:
        if name not in shape.model_fields:
            close = difflib.get_close_matches(name, list(shape.model_fields), n=1, cutoff=0.5)
            raise SettingUnknown(f"source.{name}", f"source.{close[0]}" if close else None, where)
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]] or ["kind"]
        field = shape.model_fields.get(path[0])
        secret = field is not None and "SecretStr" in str(field.annotation)
        problem = f"kind '{kind}' needs it" if first["type"] == "missing" else str(first["msg"]).removeprefix("Value error, ")
        found = None if first["type"] == "missing" else HIDDEN if secret else kind if path == ["kind"] else first["input"]
        raise SettingInvalid(f"source.{'.'.join(path)}", found, problem, where) from None


class Secrets:
    """Reads `${NAME}` from the environment (then from the folder's `.env`) and remembers what no message may show.

    Examples
    --------
    >>> os.environ["RAIN_KEY"] = "s3cret"
    >>> secrets = Secrets(Path("."))
    >>> url = secrets.expand("https://rain.example/?key=${RAIN_KEY}", "source.url")
    >>> secrets.hide(f"cannot read {url}"), secrets
    ('cannot read https://rain.example/?key=***', Secrets(1 hidden))
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: set[str] = set()

    def __repr__(self) -> str:
        return f"Secrets({len(self._known)} hidden)"

    def reveal(self, secret: SecretStr, setting: str) -> str:
        """The plain value of a setting that is a secret as a whole."""
        value = self.expand(secret.get_secret_value(), setting)
        self.remember([value])
        return value

    def expand(self, text: str, setting: str) -> str:
        """Put the environment's values in place of each `${NAME}`; these, and a password in a URL, are secret.

        Raises
        ------
        SettingInvalid : a name is not set.
        """
        self.remember(IN_URL.findall(text))
        return PLACEHOLDER.sub(lambda found: self._read(found[1], setting), text)

    def remember(self, values: Iterable[str | None]) -> None:
        """From now on hide these values."""
        self._known.update(value for value in values if value)

    def hide(self, text: str) -> str:
        """`text` with every secret, also in its URL forms, replaced by stars."""
        # Longest first: a secret may hold a shorter one.
        for value in sorted(self._known, key=len, reverse=True):
            for form in {value, quote(value), quote(value, safe=""), quote_plus(value)}:
                text = text.replace(form, HIDDEN)
        return text

    def _read(self, name: str, setting: str) -> str:
        value = os.environ.get(name)
        if value is None and (self._folder / ".env").is_file():
            value = dotenv_values(self._folder / ".env").get(name)
        if value is None:
            problem = f"environment variable {name} is not set; set it, or put it in .env"
            raise SettingInvalid(setting, f"${{{name}}}", problem, FILE)
        self.remember([value])
        return value
