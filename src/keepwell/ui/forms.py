"""Forms: read, held against the session that they came from, and answered by going back to a page that tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from keepwell.errors import FormRefused
from keepwell.ui.desk import Desk

Form = Mapping[str, Sequence[str]]


def form_of(body: bytes) -> Form:
    """The fields of a form."""
    return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=2000)


def check_form(desk: Desk, request: Request, form: Form) -> None:
    """Refuse a form that no page of this server made for this browser.

    Raises
    ------
    FormRefused
    """
    if (reason := desk.sessions.refusal(request.headers.raw, one(form, "csrf"))) is not None:
        raise FormRefused(reason)


def one(form: Form, name: str) -> str:
    """A field's value, or nothing."""
    return (form.get(name) or [""])[0]


def done(desk: Desk, request: Request, sentence: str, to: str, *, good: bool = True) -> Response:
    """Back to a page that shows what came of it."""
    if (session := desk.session(request)) is not None:
        desk.said[session.name] = (sentence, good)
    return Response(status_code=303, headers={"Location": to})
