"""One address for people and programs: which of the two asks?"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Scope


def prefers_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Is HTML wanted more than JSON? Programs that say nothing, or take anything, get JSON.

    Examples
    --------
    >>> prefers_page([(b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")])
    True
    >>> prefers_page([(b"accept", b"*/*")]), prefers_page([]), prefers_page([(b"accept", b"application/json, text/html;q=0.5")])
    (False, False, False)
    """
    accept = next((value for name, value in headers if name == b"accept"), b"").decode("latin-1")
    html = json = 0.0
    for part in accept.split(","):
        kind, *options = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_weight(option[2:]) for option in options if option.startswith("q=")), 1.0)
        if kind in ("text/html", "application/xhtml+xml"):
            html = max(html, weight)
        elif kind == "application/json":
            json = max(json, weight)
    return html > json


def asks_for_page(scope: Scope) -> bool:
    """Does a browser ask for a page, by a link or its address?"""
    return scope["method"] in ("GET", "HEAD") and prefers_page(scope["headers"])


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
