"""The routes of other tools' protocols, described beside our own; the quick ones of them answer in front of the app."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from keepwell.api.door import Route
from keepwell.api.failures import as_response, json_answer, known
from keepwell.api.inference import EXTENSIONS, PROTOCOL, Inference
from keepwell.api.invocations import Invocations
from keepwell.api.service import Service

V2, MLFLOW = ["Open Inference Protocol"], ["MLflow"]
WHATS = {
    400: "It does not fit the protocol or the model",
    401: "The token is not known, or no longer good",
    403: "The token's role does not allow it",
    404: "Another model or version",
    408: "The body came too slowly",
    413: "The body is too large",
    415: "A type that is not read here",
    422: "Never; the protocol says 400",
    429: "The token has sent as many requests as it may",
    500: "A fault",
    503: "Nothing can answer now",
    504: "The answer took too long",
}


def _refusals(*names: str) -> dict[int | str, dict[str, Any]]:
    """What refusals look like: an object of these texts."""
    schema = {"type": "object", "required": list(names), "properties": {name: {"type": "string"} for name in names}}
    return {status: {"description": what, "content": {"application/json": {"schema": schema}}} for status, what in WHATS.items()}


TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
}
INFER = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "properties": {
                        "id": {"type": "string"},
                        "inputs": {"type": "array", "items": TENSOR},
                        "outputs": {
                            "type": "array",
                            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
                        },
                        "parameters": {"type": "object"},
                    },
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
FRAME = {
    "type": "object",
    "required": ["columns", "data"],
    "properties": {"columns": {"type": "array", "items": {"type": "string"}}, "data": {"type": "array"}},
}
INVOKE = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "One of the four forms.",
                    "properties": {
                        "dataframe_split": FRAME,
                        "dataframe_records": {"type": "array", "items": {"type": "object"}},
                        "instances": {"type": "array"},
                        "inputs": {},
                    },
                }
            },
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}


def add_protocols(app: FastAPI, service: Service) -> dict[tuple[str, str], Route]:
    """Put the routes on the app; answers those that have a quick way."""
    inference, invocations = Inference(service), Invocations(service)
    _add_v2(app, service, inference)
    _add_mlflow(app, service, invocations)
    name = service.project.name
    return {
        ("POST", f"/v2/models/{name}/infer"): inference.route,
        ("POST", "/invocations"): invocations.route,
        ("POST", f"/endpoints/{name}/invocations"): invocations.route,
    }


def _add_v2(app: FastAPI, service: Service, inference: Inference) -> None:
    name_of, champion = service.project.name, service.champion
    plain: dict[str, Any] = {"tags": V2, "responses": _refusals("error")}

    @app.get("/v2", summary="What this server is", **plain)
    async def server() -> Response:
        port = app.state.grpc_port
        told = {"name": "keepwell", "version": app.version, "extensions": EXTENSIONS}
        return json_answer(told | ({"grpc_port": port} if port else {}))

    @app.get("/v2/health/live", summary="The process runs", **plain)
    async def live() -> Response:
        return json_answer({"live": True})

    @app.get("/v2/health/ready", summary="A champion is loaded and can answer", **plain)
    async def ready() -> Response:
        service.healthy()
        return json_answer({"ready": True})

    @app.get("/v2/models/{name}", summary="Inputs, outputs and versions", **plain)
    @app.get("/v2/models/{name}/versions/{version}", summary="Inputs and outputs of a version", **plain)
    async def metadata(name: str, version: str | None = None) -> Response:
        return json_answer(inference.metadata(inference.known(name, version)))

    @app.get("/v2/models/{name}/ready", summary="The model can answer", **plain)
    @app.get("/v2/models/{name}/versions/{version}/ready", summary="The version answers", **plain)
    async def model_ready(name: str, version: str | None = None) -> Response:
        inference.known(name, version)
        return json_answer({"name": name, "ready": True})

    @app.post("/v2/models/{name}/infer", summary="Answer tensors, durably", openapi_extra=INFER, **plain)
    @app.post("/v2/models/{name}/versions/{version}/infer", summary="Answer tensors by a version, durably", openapi_extra=INFER, **plain)
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        inference.known(name, version)
        return as_response(await inference.infer(request.headers.raw, await request.body(), version, request.scope.get(PROTOCOL, "v2")))

    @app.post("/v2/repository/index", summary="The models here; the body may be empty", **plain)
    async def index() -> Response:
        now = champion.now
        state, reason = ("READY", "") if now else ("UNAVAILABLE", champion.note or "")
        return json_answer([{"name": name_of, "version": str(now.number) if now else "", "state": state, "reason": reason}])


def _add_mlflow(app: FastAPI, service: Service, invocations: Invocations) -> None:
    plain: dict[str, Any] = {"tags": MLFLOW, "responses": _refusals("error_code", "message")}

    @app.get("/ping", summary="A champion is loaded and can answer", **plain)
    async def ping() -> Response:
        service.healthy()
        return json_answer({})

    @app.get("/version", summary="Keepwell's version, as text", response_class=PlainTextResponse, **plain)
    async def version() -> Response:
        return Response(app.version, media_type="text/plain")

    @app.post("/invocations", summary="Answer rows in one of MLflow's forms, durably", openapi_extra=INVOKE, **plain)
    async def invoke(request: Request) -> Response:
        return as_response(await invocations.invoke(request.headers.raw, await request.body()))

    @app.post("/endpoints/{name}/invocations", summary="The same, as MLflow's deployments client asks", openapi_extra=INVOKE, **plain)
    async def invoke_endpoint(request: Request, name: str) -> Response:
        known(service.project, name)
        return await invoke(request)
