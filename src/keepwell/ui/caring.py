"""Pages of care: incidents with their owner, what was tried and what to do; and their acts."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from keepwell.changes import BEFORE
from keepwell.errors import InputInvalid
from keepwell.incidents import STATES, durations_of, words_of
from keepwell.ui.desk import Desk, with_session
from keepwell.ui.forms import Form, done, one
from keepwell.ui.ranges import moment_of
from keepwell.ui.rendering import show

LISTED = 200
LONGEST = 4000  # letters of a word to an incident
NEEDS = {"ack": "", "assign": "to", "comment": "text", "snooze": "until", "close": "text", "reopen": "text"}  # act -> the field it needs


def incidents(desk: Desk, request: Request) -> Response:
    """Incidents, the newest first; those that are not closed, or all."""
    desk.known(request)
    mark, every = desk.mark(), "all" in request.query_params
    found = desk.once(mark, "incidents", every, make=lambda: desk.project.incidents(STATES if every else (), LISTED))
    now = datetime.now(UTC)
    rows = [(incident, incident.state_at(now), words_of(incident)) for incident in found]
    return show(
        desk,
        request,
        "incidents",
        mark=mark,
        tab="Incidents",
        rows=rows,
        every=every,
        durations=desk.once(mark, "durations", make=desk.project.durations),
    )


def incident(desk: Desk, request: Request) -> Response:
    """One incident: its sentence, its impact, what happened, what was tried and whether it helped, what to do."""
    desk.known(request)
    mark, found = desk.mark(), desk.project.incident(_number(request))
    session, headers = with_session(desk, request)
    now = datetime.now(UTC)
    return show(
        desk,
        request,
        "incident",
        mark=mark,
        tab="Incidents",
        headers=headers,
        token=session.token,
        found=found,
        incident=found.incident,
        state_now=found.incident.state_at(now),
        spans=[(name, span(value)) for name, value in vars(durations_of(found.incident)).items() if value is not None],
        people=sorted(desk.project.settings.people),
        tomorrow=now + timedelta(days=1),
        source=desk.source,
        around=BEFORE,
        line_of=command_of,
    )


def act_on(desk: Desk, request: Request, form: Form) -> Response:
    """Acknowledge, assign, comment, snooze, close or reopen; somebody faster wins, by the revision that was seen."""
    desk.known(request)
    number, act = _number(request), one(form, "act")
    if act not in NEEDS:
        raise InputInvalid(f"'{act[:30]}' is nothing that can be done with an incident", f"There are {', '.join(NEEDS)}.")
    what: list[Any] = []
    if needed := NEEDS[act]:
        text = one(form, needed).strip()[:LONGEST]
        if not text:
            raise InputInvalid("Nothing was written", f"To {act} an incident needs a word.")
        what = [moment_of("until", text) if needed == "until" else text]
    seen = one(form, "revision")
    revision = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else None
    by = desk.by(request) or one(form, "by").strip()[:200] or None
    with desk.acting:
        desk.project.act_on(number, act, *what, by=by, revision=revision)
    line = desk.project.incident(number).activity[-1].sentence
    return done(desk, request, f"Incident {number}: {line}.", f"/models/{quote(desk.name, safe='')}/incidents/{number}")


def span(took: timedelta) -> str:
    """A span as the command line says it."""
    return f"{took.days:,} d" if took >= timedelta(days=2) else f"{took / timedelta(hours=1):.1f} h"


def command_of(number: int, act: str, *words: str) -> str:
    """The command line of an act."""
    return shlex.join(["keepwell", "incidents", act, str(number), *words])


def _number(request: Request) -> int:
    text = request.path_params["number"]
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InputInvalid(f"'{text[:30]}' is no number of an incident", "`keepwell incidents` lists them.")
    return int(text)
