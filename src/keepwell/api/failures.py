"""Refusals as HTTP answers: one shape, never a stack trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from keepwell.access import ACTS, Refusal
from keepwell.api.acts import model_in
from keepwell.api.replies import Reply
from keepwell.errors import (
    InputInvalid,
    KeepwellError,
    LimitReached,
    ModelNotFound,
    RoleRefused,
    RouteNotFound,
    TokenRefused,
)
from keepwell.project import Project

SHOWN_PROBLEMS = 3
HINT = "Send application/json as /openapi.json describes it."


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(_payload(content), status_code=status, headers=headers, media_type="application/json")


def _payload(content: Any) -> bytes:
    """JSON; what it cannot say (NaN, broken text) is made harmless instead of failing."""
    try:
        return to_json(content, inf_nan_mode="null", fallback=str)
    except ValueError:  # text that came from a request may hold halves of characters
        return to_json(_mended(content), inf_nan_mode="null", fallback=str)


def _mended(content: Any) -> Any:
    if isinstance(content, str):
        return content.encode("utf-8", "replace").decode()
    if isinstance(content, dict):
        return {_mended(name): _mended(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_mended(value) for value in content]
    return content


def known(project: Project, name: str) -> None:
    """Refuse another model. Raises ModelNotFound."""
    if name != project.name:
        raise ModelNotFound(name, [project.name])


def headers_of(error: KeepwellError) -> tuple[tuple[bytes, bytes], ...]:
    """What a refusal says beside its body: which token is meant, or when to come again."""
    if isinstance(error, TokenRefused):
        return ((b"www-authenticate", b"Bearer"),)
    if isinstance(error, LimitReached):
        return ((b"retry-after", str(math.ceil(error.wait_s)).encode()),)
    return ((b"retry-after", b"1"),) if error.status == 503 else ()


def plain_error(error: KeepwellError) -> Reply:
    """A refusal as every door words it, with its own status."""
    return Reply(error.status, _payload(error.as_dict()), headers=headers_of(error))


def v2_error(error: KeepwellError) -> Reply:
    """A refusal in the form of the Open Inference Protocol: 4xx and {"error": text}."""
    status = 400 if error.status == 422 else error.status
    return Reply(status, _payload({"error": f"{error.headline}: {error.message}"}), headers=headers_of(error))


CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "TEMPORARILY_UNAVAILABLE",
}


def mlflow_error(error: KeepwellError) -> Reply:
    """A refusal in MLflow's form: `error_code` and `message`."""
    status = 400 if error.status == 422 else error.status
    code = CODES.get(status, "INVALID_PARAMETER_VALUE" if status < 500 else "INTERNAL_ERROR")
    return Reply(status, _payload({"error_code": code, "message": f"{error.headline}: {error.message}"}), headers=headers_of(error))


def error_of(refused: Refusal, method: str, path: str, *, given: bool) -> KeepwellError:
    """What a refused caller is told: nothing of a model that is not theirs, and not why a token is no good."""
    if refused.kind == "token":
        return TokenRefused("has a token that is not known here, or no longer good" if given else "has no token")
    if refused.kind == "model":  # as of an address and a model that do not exist
        asked = model_in(path)
        return RouteNotFound(method, path) if asked is None else ModelNotFound(asked, [])
    if refused.kind == "limit":
        return LimitReached(refused.per_minute, refused.wait)
    return RoleRefused(refused.owner, refused.role, ACTS[refused.act].words, ACTS[refused.act].needs)


def refusal_at(path: str, error: KeepwellError) -> Response:
    """An error in the form of the protocol that the path belongs to."""
    return as_response(_form_of(path)(error))


def as_response(reply: Reply) -> Response:
    """For the described app."""
    return Response(reply.body, reply.status, {name.decode(): value.decode() for name, value in reply.headers}, reply.kind.decode())


def _form_of(path: str) -> Callable[[KeepwellError], Reply]:
    if path == "/v2" or path.startswith("/v2/"):
        return v2_error
    return mlflow_error if path.startswith(("/invocations", "/endpoints/", "/ping")) else plain_error


def shape_errors(app: FastAPI) -> None:
    """Give every error of the app the shape of its protocol."""

    @app.exception_handler(KeepwellError)
    def _keepwell(request: Request, error: KeepwellError) -> Response:
        return refusal_at(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    def _request(request: Request, error: RequestValidationError) -> Response:
        return refusal_at(request.url.path, InputInvalid(_problems(error, request.headers.get("content-type", "no type")), HINT))

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        path = request.url.path
        if error.status_code == 404:
            return refusal_at(path, RouteNotFound(request.method, path))
        if error.status_code == 400:  # FastAPI's word for a body that its parser gave up on, such as one nested too deeply
            return refusal_at(path, InputInvalid("The body cannot be read as JSON", HINT))
        said = f"{error.detail}. `GET /` lists all routes."
        form = _form_of(path)
        content: dict[str, Any] = {"error": "HttpError", "headline": "The request cannot be served", "message": said, "facts": {}}
        if form is not plain_error:
            content = {"error": said} if form is v2_error else {"error_code": "BAD_REQUEST", "message": said}
        return json_answer(content, error.status_code, dict(error.headers or {}))


def _problems(error: RequestValidationError, came_as: str) -> str:
    found = error.errors()
    if found and found[0]["loc"] == ("body",) and isinstance(found[0]["input"], bytes | str):  # curl -d without the header
        return f"The body came as {came_as[:80]} and was not read: it needs the header `content-type: application/json`"
    if found and found[0]["type"] == "json_invalid":
        return f"The body is not JSON: {found[0]['ctx']['error']} at character {found[0]['loc'][1]}"
    said = [f"{'.'.join(str(part) for part in problem['loc'])[:200]}: {problem['msg']}" for problem in found[:SHOWN_PROBLEMS]]
    more = [f"and {len(found) - SHOWN_PROBLEMS} more"] if len(found) > SHOWN_PROBLEMS else []
    return "; ".join([*said, *more])
