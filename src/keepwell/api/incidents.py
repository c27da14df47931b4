"""Routes of incidents: see them, and act on them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from pydantic import Field

from keepwell.access import owner_of
from keepwell.api.bodies import Body, Name, given_moment
from keepwell.api.failures import json_answer, known
from keepwell.errors import InputInvalid
from keepwell.incidents import STATES
from keepwell.orchestration import plain
from keepwell.project import Project

Text = Annotated[str, Field(max_length=4000)]


class ActBody(Body):
    """Who acts on an incident, and on what they saw."""

    by: Name | None = Field(
        None, description="Who acts, where nobody must say who they are; else the token's owner acts. Default the user of the server."
    )
    revision: int | None = Field(None, description="Revision of the incident that was seen; refused when somebody changed it since.")


class AssignBody(ActBody):
    """Give an incident to a person."""

    to: Name = Field(description="Who is to have it.")


class CommentBody(ActBody):
    """Words about an incident."""

    text: Text = Field(description="What to say.")


class SnoozeBody(ActBody):
    """Tell nobody for a while."""

    until: Name = Field(description="Until this moment: ISO 8601, UTC when without offset.")


class CloseBody(ActBody):
    """End an incident."""

    cause: Text = Field(description="What it was.")


class ReopenBody(ActBody):
    """Take a closed incident up again."""

    reason: Text = Field(description="Why.")


def add_incidents(app: FastAPI, project: Project) -> None:
    """Put the routes on the app."""
    where = "/models/{name}/incidents"

    @app.get(where, summary="Incidents, the newest first")
    def incidents(
        name: str,
        state: Annotated[list[str], Query(description="Only these states; default all but closed.")] = [],  # noqa: B006 - FastAPI copies it
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        known(project, name)
        if wrong := [one for one in state if one not in STATES]:
            raise InputInvalid(f"'{wrong[0][:50]}' is no state", f"States are {', '.join(STATES)}.")
        return json_answer({"model": name, "incidents": [plain(one) for one in project.incidents(state, limit)]})

    @app.get(where + "/{number}", summary="One incident with all around it")
    def incident(name: str, number: int) -> Response:
        known(project, name)
        return json_answer(project.incident(number).as_dict())

    def act(request: Request, name: str, number: int, verb: str, body: ActBody, *what: Any) -> Response:
        known(project, name)
        project.act_on(number, verb, *what, by=owner_of(request.scope) or body.by, revision=body.revision)
        return json_answer(project.incident(number).as_dict())

    @app.post(where + "/{number}/ack", summary="Say that somebody has it")
    def ack(request: Request, name: str, number: int, body: ActBody) -> Response:
        return act(request, name, number, "ack", body)

    @app.post(where + "/{number}/assign", summary="Give it to a person")
    def assign(request: Request, name: str, number: int, body: AssignBody) -> Response:
        return act(request, name, number, "assign", body, body.to)

    @app.post(where + "/{number}/comment", summary="Add words to it")
    def comment(request: Request, name: str, number: int, body: CommentBody) -> Response:
        return act(request, name, number, "comment", body, body.text)

    @app.post(where + "/{number}/snooze", summary="Tell nobody for a while")
    def snooze(request: Request, name: str, number: int, body: SnoozeBody) -> Response:
        return act(request, name, number, "snooze", body, given_moment("until", body.until))

    @app.post(where + "/{number}/close", summary="End it, with its cause")
    def close(request: Request, name: str, number: int, body: CloseBody) -> Response:
        return act(request, name, number, "close", body, body.cause)

    @app.post(where + "/{number}/reopen", summary="Take it up again")
    def reopen(request: Request, name: str, number: int, body: ReopenBody) -> Response:
        return act(request, name, number, "reopen", body, body.reason)
