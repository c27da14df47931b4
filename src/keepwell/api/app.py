"""The routes, each a few lines over the project."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Annotated, Any

from anyio import to_thread
from fastapi import FastAPI, Query, Request, Response
from fastapi.routing import APIRoute

from keepwell.access import HOLDER, OPEN, Holder, certificate_of, owner_of
from keepwell.api import reading
from keepwell.api.bodies import ErrorBody, LabelsAnswer, LabelsBody, PredictAnswer, PredictBody, WordBody
from keepwell.api.door import Door, PlainRoute, Route
from keepwell.api.failures import json_answer, known, shape_errors
from keepwell.api.grpc_door import grpc_door
from keepwell.api.guard import Guard, Net
from keepwell.api.incidents import add_incidents
from keepwell.api.metrics import Meter, release
from keepwell.api.protocols import add_protocols
from keepwell.api.service import Service
from keepwell.api.tracing import Tracing
from keepwell.errors import InputInvalid
from keepwell.project import Project
from keepwell.ui import Desk, Live, Pages, Sessions, mark_of, warm

MOST = 2**63 - 1  # the largest number that the record holds
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (401, 403, 404, 408, 413, 415, 422, 429, 500, 503, 504)
}


class App(Guard):
    """The guard, in it the quick routes, behind them everything else.

    Attributes
    ----------
    described : the part that OpenAPI describes.
    """

    described: FastAPI

    def openapi(self) -> dict[str, object]:
        """The description of all routes."""
        return dict(self.described.openapi())


def create_app(project: Project, log_path: str | None = None, *, others: Callable[[], Iterable[Meter]] = tuple) -> App:
    """An ASGI app over an open project.

    Parameters
    ----------
    log_path, others : see `Service`.

    Raises
    ------
    StorageUnavailable : the journal's folder cannot be written.
    """
    service = Service(project, log_path, others=others)
    certificate = certificate_of(project.settings.serve, project.folder)
    tracing = Tracing.of(project.settings.telemetry, project.name)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running(), grpc_door(lambda: guarded, project.settings.serve, certificate) as app.state.grpc_port:
            yield
        if tracing is not None:
            await to_thread.run_sync(tracing.close)

    # Without the documentation pages: they load their scripts from a CDN.
    app = FastAPI(title="Keepwell", version=release(), lifespan=lifespan, docs_url=None, redoc_url=None, responses=REFUSALS)
    live = Live(lambda: mark_of(project))
    desk = Desk(project, Sessions(service.doors), service.ship)
    app.state.grpc_port = None
    # Who runs the server for long ends its streams, warms its pages, and has its settings read again.
    app.state.live, app.state.warm, app.state.read_again = live, lambda: warm(desk), service.read_again
    app.add_middleware(Pages, desk=desk, live=live)
    app.add_middleware(Net)  # inside the framework's own, which would answer a fault in its way
    shape_errors(app)
    _add_health(app, service)
    _add_reading(app, service)
    _add_following(app, service)
    _add_acts(app, service)
    add_incidents(app, project)
    quick: dict[tuple[str, str], Route] = {("POST", f"/models/{project.name}/predict"): PlainRoute(service)}
    quick |= add_protocols(app, service)
    guarded = App(Door(app, quick, tracing), lambda: project.settings.serve, service.doors, desk)
    guarded.described = app
    return guarded


def _content(media_type: str, kind: str) -> dict[int | str, dict[str, Any]]:
    """The description of an answer that is no JSON object of ours."""
    shape = {"type": kind, "items": {"type": "object"}} if kind == "array" else {"type": kind}
    return {200: {"description": "Answered", "content": {media_type: {"schema": shape}}}}


def _add_health(app: FastAPI, service: Service) -> None:
    project = service.project

    @app.get("/", summary="All routes")
    def index() -> Response:
        routes = [
            {"method": method, "path": route.path, "what": route.summary}
            for route in app.routes
            if isinstance(route, APIRoute)
            for method in sorted(route.methods or ())
        ]
        return json_answer({"keepwell": app.version, "model": project.name, "openapi": app.openapi_url, "routes": routes})

    @app.get(
        "/metrics", summary="What was counted, as Prometheus reads it", response_class=Response, responses=_content("text/plain", "string")
    )
    def metrics() -> Response:
        return Response(service.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/health/live", summary="The process runs")
    async def live() -> Response:
        return json_answer({"live": True})

    @app.get("/health/ready", summary="A champion is loaded and can answer")
    async def ready() -> Response:
        return json_answer(service.healthy())


def _add_reading(app: FastAPI, service: Service) -> None:
    project = service.project

    @app.get("/models/{name}", summary="How the model is")
    def status(name: str) -> Response:
        known(project, name)
        return json_answer(project.status().as_dict())

    @app.get("/inbox", summary="What waits for a person, across the models of the record")
    def inbox(request: Request, who: Annotated[str | None, Query(description="For this person; default for anybody.")] = None) -> Response:
        holder: Holder = request.scope.get(HOLDER, OPEN)
        found = project.inbox(who)
        return json_answer(replace(found, items=tuple(one for one in found.items if holder.sees(one.model))).as_dict())

    @app.get("/models/{name}/why", summary="Since when it declines, and why")
    def why(name: str, limit: Annotated[int, Query(ge=1, le=100)] = 5) -> Response:
        known(project, name)
        return json_answer(project.why(limit=limit).as_dict())

    @app.get("/models/{name}/next", summary="What will happen by itself, and what holds it")
    def coming(name: str) -> Response:
        known(project, name)
        return json_answer(project.next().as_dict())

    @app.get("/models/{name}/versions", summary="All versions, oldest first")
    def versions(name: str) -> Response:
        known(project, name)
        return json_answer({"model": name, "versions": reading.versions(project)})

    @app.get("/models/{name}/trials", summary="Versions beside the champion, and what they show")
    def trials(name: str) -> Response:
        known(project, name)
        return json_answer({"model": name, "trials": project.trials()})

    @app.get("/models/{name}/history", summary="What happened, oldest first")
    def history(
        name: str,
        kind: Annotated[list[str], Query(description="Only these kinds of events.")] = [],  # noqa: B006 - FastAPI copies it
        since: str | None = None,
        until: str | None = None,
        by: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        known(project, name)
        return json_answer({"model": name, "events": reading.history(project, kind, since, until, limit, by)})

    @app.get("/models/{name}/score", summary="How ready it is: the ML Test Score, with proofs and next steps")
    def score(name: str) -> Response:
        known(project, name)
        return json_answer(project.score().as_dict())

    @app.get("/models/{name}/changes", summary="What changed in a span, around a moment, or around the newest onset")
    def changes(name: str, since: str | None = None, until: str | None = None, around: str | None = None) -> Response:
        known(project, name)
        return json_answer(reading.changes(project, since, until, around))

    @app.get(
        "/events",
        summary="What was told, as CloudEvents, after a cursor",
        response_class=Response,
        responses=_content("application/cloudevents-batch+json", "array"),
    )
    def events(
        after: Annotated[int, Query(ge=0, le=MOST, description="Cursor: `sequence` of the last event that is known; 0 for all.")] = 0,
        model: Annotated[str | None, Query(description="Of this model.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        known(project, model or project.name)
        return reading.events(project, after, limit)


def _add_following(app: FastAPI, service: Service) -> None:
    project = service.project

    @app.get("/models/{name}/predictions/{prediction_id}", summary="One prediction and its label")
    def prediction(name: str, prediction_id: str) -> Response:
        known(project, name)
        return json_answer(reading.prediction(service, prediction_id))

    @app.get("/models/{name}/predictions/{prediction_id}/steps", summary="One prediction, followed through its steps")
    def steps(name: str, prediction_id: str) -> Response:
        known(project, name)
        return json_answer(reading.steps(service, prediction_id))


def _add_acts(app: FastAPI, service: Service) -> None:
    project = service.project

    @app.post("/models/{name}/predict", summary="Answer rows, durably", response_model=PredictAnswer)
    async def predict(name: str, body: PredictBody) -> Response:
        known(project, name)
        return json_answer(await service.predict(body))

    @app.post("/models/{name}/labels", summary="Keep the truth of rows that were answered", response_model=LabelsAnswer)
    def labels(name: str, body: LabelsBody) -> Response:
        known(project, name)
        if len(body.labels) > project.settings.serve.max_rows:
            raise InputInvalid(f"{len(body.labels)} labels are more than {project.settings.serve.max_rows}", "Send fewer at once.")
        if any(item.prediction_id for item in body.labels):
            service.ship()  # a label may come before its prediction has left the journal
        return json_answer(project.post_labels([item.model_dump(exclude_none=True) for item in body.labels]))

    @app.post("/models/{name}/versions/{version}/approve", summary="Say yes to a challenger")
    def approve(request: Request, name: str, version: str, body: WordBody) -> Response:
        known(project, name)
        return json_answer(asdict(project.approve(version, comment=body.comment, by=owner_of(request.scope))))

    @app.post("/models/{name}/versions/{version}/reject", summary="Say no to a challenger")
    def reject(request: Request, name: str, version: str, body: WordBody) -> Response:
        known(project, name)
        return json_answer({"sentence": project.reject(version, comment=body.comment, by=owner_of(request.scope))})
