"""From facts to a page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse

from keepwell.access import ACTS
from keepwell.reporting import ICONS
from keepwell.status import day
from keepwell.storage import digest_of
from keepwell.ui.desk import Desk
from keepwell.ui.ranges import Range
from keepwell.wording import count, interval, number, took, when

OPENING = 140  # letters of a story before it may be broken off
SHORT = 160  # letters of a text of somebody else's that a page shows
TOP = (("Rounds", "/"), ("Inbox", "/inbox"), ("System", "/system"), ("Record", "/record"))
STATES = {  # words of state -> the class that colours their icon, and the icon
    "passed": ("well", "●"),
    "done": ("well", "●"),
    "ok": ("well", "●"),
    "released": ("well", "●"),
    "identical": ("well", "●"),
    "refused": ("watch", "◐"),
    "note": ("watch", "◐"),
    "waiting": ("watch", "◐"),
    "running": ("watch", "◐"),
    "dropped": ("unknown", "–"),
    "failed": ("unwell", "▲"),
    "wrong": ("unwell", "▲"),
}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Cookie",
}


def show(
    desk: Desk,
    request: Request,
    template: str,
    *,
    mark: str = "",
    span: Range | None = None,
    tab: str = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> HTMLResponse:
    """A page.

    Parameters
    ----------
    mark : state of the record that it shows; the live module reloads it when there is a newer one. "" for a page that stays.
    span : the time range that it obeys; None shows no control.
    tab : which of the model's pages this is; "" for a page of no model.
    """
    session = desk.session(request)
    said = desk.said.pop(session.name, None) if session else None
    text = (
        environment()
        .get_template(f"{template}.html.j2")
        .render(
            model=desk.name,
            path=request.url.path,
            mark=mark,
            span=span,
            tab=tab,
            tabs=_tabs(desk, span),
            top=TOP,
            said=said,
            holder=desk.holder(request),
            signed_in=session is not None and session.digest is not None,
            acts=ACTS,
            csrf=session.token if session else "",
            query=span.query if span else "",
            **facts,
        )
    )
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def _tabs(desk: Desk, span: Range | None) -> list[tuple[str, str]]:
    home, query = f"/models/{quote(desk.name, safe='')}", span.query if span else ""
    return [
        ("Model", home + query),
        ("Why", f"{home}/why{query}"),
        ("Incidents", f"{home}/incidents"),
        ("Changes", f"{home}/changes{query}"),
        ("Predictions", f"{home}/ledger{query}"),
        ("Versions", f"{home}/versions{query}"),
        ("Runs", f"/runs{query}"),
        ("Plan", f"{home}/plan"),
        ("Policy", f"{home}/policy"),
        ("Data", f"/sources/{quote(desk.source, safe='')}{query}"),
        ("Check-ups", f"/checkups/{quote(desk.name, safe='')}"),
    ]


@cache
def assets() -> dict[str, tuple[bytes, str, str]]:
    """Name -> bytes, media type, and the digest that its address carries."""
    kinds = {"pages.css": "text/css; charset=utf-8", "pages.mjs": "text/javascript; charset=utf-8", "mark.svg": "image/svg+xml"}
    folder = resources.files("keepwell.ui") / "assets"
    found = {name: (folder / name).read_bytes() for name in kinds}
    return {name: (content, kinds[name], digest_of(content)[:12]) for name, content in found.items()}


def asset(name: str) -> str:
    """The address of an asset; another content has another one."""
    return f"/assets/{assets()[name][2]}/{name}"


@cache
def environment() -> Any:
    """The templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("keepwell.ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "code": coded,
        "count": count,
        "day": day,
        "hours": hours,
        "interval": interval,
        "moment": lambda text: day(datetime.fromisoformat(text)),
        "number": number,
        "opened": opened,
        "shell": shlex.quote,
        "segment": lambda text: quote(str(text), safe=""),
        "short": short,
        "value": value,
        "when": when,
    }
    made.globals |= {"asset": asset, "icons": ICONS, "states": STATES, "took": took}
    return made


def value(held: object) -> str:
    """A setting's value in words.

    Examples
    --------
    >>> value(None), value(True), value([]), value(["a", "b"]), value(0.9)
    ('not set', 'yes', 'none', 'a, b', '0.9')
    """
    if held is None or isinstance(held, bool):
        return {None: "not set", True: "yes", False: "no"}[held]
    return ", ".join(str(one) for one in held) or "none" if isinstance(held, (list, tuple)) else str(held)


def short(value: object) -> str:
    """The beginning of a long text.

    Examples
    --------
    >>> short("x" * 5000)[-3:], len(short("x" * 5000)), short(None), short(0.25)
    ('xx…', 161, '–', '0.25')
    """
    if value is None:
        return "–"
    text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"


def opened(text: str) -> tuple[str, str]:
    """A long sentence in two: where it may be broken off, and what follows; ("whole", "") for a short one.

    Examples
    --------
    >>> opened("Version 2 became champion in place of 1: " + "it is better on these rows; " * 9)[0]
    'Version 2 became champion in place of 1: it is better on these rows; it is better on these rows; it is better on these rows;'
    """
    if len(text) <= OPENING + 40:
        return text, ""
    place = max(text.rfind(sign, 0, OPENING) for sign in ("; ", ". ", ": "))
    place = place + 1 if place > OPENING // 3 else max(text.rfind(" ", 0, OPENING), OPENING // 3)
    return text[:place], text[place:].strip()


def hours(value: float | None) -> str:
    """A span given in hours.

    Examples
    --------
    >>> hours(3.5), hours(72), hours(None)
    ('3.5 h', '3 d', '–')
    """
    if value is None:
        return "–"
    return f"{value // 24:,.0f} d" if value >= 48 else f"{value:.1f} h"


def coded(text: str) -> Any:
    """What stands between backticks, as code; all else is text, whatever signs it holds."""
    from markupsafe import Markup, escape

    parts = [f"<code>{escape(part)}</code>" if place % 2 else str(escape(part)) for place, part in enumerate(str(text).split("`"))]
    return Markup("".join(parts))  # noqa: S704 (each part is escaped above)
