"""The page of what waits for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from keepwell.inbox import Waits
from keepwell.ui.desk import Desk
from keepwell.ui.rendering import show

LISTED = 300


def inbox(desk: Desk, request: Request) -> Response:
    """What waits for anybody, or for one person: across the models of the record."""
    mark, who = desk.mark(), request.query_params.get("who", "").strip()[:200] or None
    found = desk.once(mark, "inbox", who, f"{datetime.now(UTC):%Y-%m-%dT%H:%M}", make=lambda: desk.project.inbox(who))
    owner = desk.project.settings.owner
    people = sorted({*desk.project.settings.people, *(name for name in (owner.owner, owner.deputy, who) if name)})
    rows = [(one, address_of(desk, one)) for one in found.items[:LISTED]]
    return show(desk, request, "inbox", mark=mark, found=found, rows=rows, people=people)


def address_of(desk: Desk, one: Waits) -> str:
    """Where this server deals with it; "" when the model's pages are elsewhere."""
    if one.model != desk.name:
        return ""
    home = f"/models/{quote(desk.name, safe='')}"
    return {
        "incident": f"{home}/incidents/{one.name}",
        "approval": f"{home}/versions/compare?before=champion&after={one.name}",
        "quarantine": f"/sources/{quote(desk.source, safe='')}",
        "decision": f"{home}/plan",
    }[one.kind]
