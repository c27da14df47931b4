"""Reading pages and sending their forms, as a browser would."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import httpx

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FIELD = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


def words_of(page: str) -> str:
    """What a page says, without its marks, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return {unescape(name): unescape(value) for name, value in FIELD.findall(page)}


def send(client: httpx.Client, path: str, fields: dict[str, object], **headers: str) -> httpx.Response:
    """Send a form as this server's own page would."""
    return client.post(path, data=fields, headers={**BROWSER, "origin": str(client.base_url).rstrip("/"), **headers})


def quiet(folder: Path) -> Path:
    """The same project without a schedule: the tests' time is past, and it would be called silent."""
    with (folder / "keepwell.toml").open("a") as file:
        file.write('\n[schedule]\ncron = ""\n')
    return folder
