"""The page of what decides by itself: gates, watch, brakes, approvals, retention; and how the past would have gone otherwise."""

from __future__ import annotations

from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from keepwell.changes import LONGEST, Changed
from keepwell.origins import explain
from keepwell.rehearsal import BUILT_IN, Rehearsal
from keepwell.ui.desk import Desk
from keepwell.ui.rendering import show

SECTIONS = (
    ("gate", "When may a version live"),
    ("promotion", "How it goes live"),
    ("retrain", "What asks for a version, and what holds it"),
    ("build", "What a version is built on"),
    ("check", "When is the model well"),
    ("watch", "How a decline is proven"),
    ("contract", "What rows must be like"),
    ("schedule", "When cycles run"),
    ("report", "When a check-up is written"),
    ("retention", "What is kept how long"),
    ("rules", "What is forbidden"),
)


def policy(desk: Desk, request: Request) -> Response:
    """The settings that decide, where each came from, who changed them, and the newest rehearsal."""
    desk.known(request)
    mark = desk.mark()
    project = desk.project
    rows = desk.once("policy", make=lambda: explain(project.settings, project.folder))  # read when the server began, as all settings
    kept = desk.rehearsed(mark)
    return show(
        desk,
        request,
        "policy",
        mark=mark,
        tab="Policy",
        sections=[(name, words, [row for row in rows if row["setting"].startswith(f"{name}.")]) for name, words in SECTIONS],
        changed=desk.once(mark, "settings changed", make=lambda: _changed(desk, mark)),
        at=kept[0] if kept else None,
        rehearsal=kept[1] if kept else None,
        line=line_of(kept[1]) if kept else "keepwell rehearse",
        drawn=kept is not None and any(one.rolling for one in kept[1].outcomes),
    )


def _changed(desk: Desk, mark: str) -> list[Changed]:
    """Edits of the settings that builds saw, newest first: of the last ten years."""
    until: datetime = desk.newest(mark) + timedelta(days=1)
    found = desk.project.changes(until - LONGEST, until).rows if desk.versions(mark) else ()
    return [one for one in reversed(found) if one.kind == "settings"]


def line_of(found: Rehearsal) -> str:
    """The command that makes such a rehearsal; policies of files are not named, for only their content is known."""
    names = [one.policy for one in found.outcomes]
    known = [name for name in names if name in BUILT_IN]
    asked = "" if set(names) == set(BUILT_IN) else "".join(f" --policy {name}" for name in known)
    return f"keepwell rehearse{asked}"
