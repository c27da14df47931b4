"""The pages in front of the HTTP door: a browser gets a page where a program gets JSON, at one address."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keepwell.errors import KeepwellError, LimitReached, NotFound, RouteNotFound
from keepwell.ui import acting, caring, data, inbox, looking, pictures, policies, recording, system, versioning
from keepwell.ui.acting import sign_in_address
from keepwell.ui.desk import Desk
from keepwell.ui.forms import Form, check_form, form_of
from keepwell.ui.live import Live
from keepwell.ui.negotiation import asks_for_page, prefers_page
from keepwell.ui.ranges import range_of
from keepwell.ui.rendering import assets, environment, show
from keepwell.ui.sessions import came_from_here

log = logging.getLogger("keepwell.ui")

OPEN = ("/assets/", "/sign-in")  # what one who has not signed in may see
YEAR_S = 31536000

View = Callable[[Desk, Request], Response]
Doing = Callable[[Desk, Request, Form], Response]


@dataclass(frozen=True)
class Act:
    """One thing that can be done from a page: `name` is the command's verb, `show` the page that says first what would change."""

    name: str
    path: str
    do: Doing
    show: View | None = None


TWINS: tuple[tuple[str, View], ...] = (  # programs get JSON at these
    ("/", looking.rounds),
    ("/models/{model}", looking.model),
    ("/models/{model}/why", looking.why),
    ("/inbox", inbox.inbox),
    ("/models/{model}/changes", recording.changes),
    ("/models/{model}/history", recording.history),
    ("/models/{model}/versions", versioning.versions),
    ("/models/{model}/predictions/{prediction_id}", data.prediction),
    ("/models/{model}/incidents", caring.incidents),
    ("/models/{model}/incidents/{number}", caring.incident),
)
PAGES: tuple[tuple[str, View], ...] = (
    ("/models/{model}/plan", looking.plan),
    ("/models/{model}/policy", policies.policy),
    ("/models/{model}/ledger", data.ledger),
    ("/models/{model}/versions/compare", versioning.compare),
    ("/models/{model}/versions/{ref}", versioning.version),
    ("/models/{model}/charts/{chart}.svg", pictures.chart_file),
    ("/models/{model}/charts/{chart}", pictures.numbers),
    ("/runs", recording.runs),
    ("/runs/{run}", recording.run),
    ("/sources/{name}", data.source),
    ("/checkups/{model}", recording.checkups),
    ("/checkups/{model}/{period}", recording.checkup),
    ("/system", system.system),
    ("/record", recording.record),
    ("/sign-in", acting.sign_in_page),
)
# All that can be done from a page stands here, and is done in one place (`Pages._act`): who may do what is asked there.
ACTS: tuple[Act, ...] = (
    Act("promote", "/models/{model}/promote", acting.promote, acting.promote_step),
    Act("rollback", "/models/{model}/rollback", acting.rollback, acting.rollback_step),
    Act("approve", "/models/{model}/approve", acting.approve, acting.approve_step),
    Act("reject", "/models/{model}/reject", acting.reject, acting.reject_step),
    Act("run", "/models/{model}/run", acting.run, acting.run_step),
    Act("retrain", "/models/{model}/retrain", acting.retrain, acting.retrain_step),
    Act("pause", "/models/{model}/pause", acting.pause, acting.pause_step),
    Act("quarantine", "/sources/{name}/decide", acting.decide, acting.decide_step),
    Act("incidents", "/models/{model}/incidents/{number}", caring.act_on),  # its page shows what each would do
    Act("predict", "/models/{model}/ledger", acting.try_one),
    Act("sign out", "/sign-out", acting.sign_out),
)


class Pages:
    """ASGI middleware: pages in front of the app of programs."""

    def __init__(self, app: ASGIApp, *, desk: Desk, live: Live) -> None:
        self.app, self.live, self.desk = app, live, desk
        self._twins = [_reading(path, view) for path, view in TWINS]
        shown = [_reading(act.path, act.show) for act in ACTS if act.show is not None]
        self._pages = [*shown, *(_reading(path, view) for path, view in PAGES)]
        self._acts = [_acting(act) for act in ACTS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        if scope["method"] in ("GET", "HEAD"):
            if is_stream(path):
                await self.live.answer()(scope, receive, send)
            elif path.startswith("/assets/"):
                await _asset(self.desk, scope)(scope, receive, send)
            else:
                await self._read(scope, receive, send)
        elif scope["method"] == "POST" and path == "/sign-in":
            await self._sign_in(scope, receive, send)
        elif scope["method"] == "POST" and (found := _match(self._acts, scope)) is not None:
            await self._act(found, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        wants_page = asks_for_page(scope)
        twin = _match(self._twins, scope)
        found = twin if twin is not None and wants_page else None if twin is not None else _match(self._pages, scope)
        if found is not None:
            view, params = found
            await self._answer(view, Request({**scope, "path_params": params}, receive))(scope, receive, send)
        elif wants_page:
            await self._or_page(scope, receive, send)
        else:
            await self.app(scope, receive, _varying(send) if twin is not None else send)

    def _answer(self, view: View, request: Request) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            response = await to_thread.run_sync(self._safely, request, lambda: view(self.desk, request))
            await response(scope, receive, send)

        return answer

    def _safely(self, request: Request, make: Callable[[], Response]) -> Response:
        try:
            return make()
        except KeepwellError as error:
            return refused(self.desk, request, error)

    async def _act(self, found: tuple[Any, dict[str, str]], scope: Scope, receive: Receive, send: Send) -> None:
        do, params = found
        request = Request({**scope, "path_params": params}, receive)
        form = form_of(await request.body())

        def make() -> Response:
            check_form(self.desk, request, form)
            answer: Response = do(self.desk, request, form)
            return answer

        response = await to_thread.run_sync(self._safely, request, make)
        await response(scope, receive, send)

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        form = form_of(await request.body())
        if not came_from_here(scope["headers"]):
            form = {}  # another site must not sign a browser in
        response = await to_thread.run_sync(self._safely, request, lambda: acting.sign_in(self.desk, request, form))
        await response(scope, receive, send)

    async def _or_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What programs have at an address that is no page; a browser that finds nothing there gets a page that says so."""
        is_lost = False

        async def watching(message: Message) -> None:
            nonlocal is_lost
            if message["type"] == "http.response.start" and message["status"] == 404:
                is_lost = True
            if not is_lost:
                await send(message)

        await self.app(scope, receive, watching)
        if is_lost:
            request = Request(scope, receive)
            error = RouteNotFound(scope["method"], scope["path"][:200])
            response = await to_thread.run_sync(refused, self.desk, request, error)
            await response(scope, receive, send)


def warm(desk: Desk) -> None:
    """Reckon what the first pages show, so that who looks first does not wait. What is in the way is told when somebody looks."""
    try:
        mark = desk.mark()
        looking.row_of(desk, mark)
        looking.others(desk)
        desk.versions(mark)
        pictures.performance(desk, mark, range_of({}, desk.newest(mark), looking.TWO_YEARS))
        environment()
    except KeepwellError as error:
        log.info("Pages are not ready before somebody looks: %s", error.message)


def refused(desk: Desk, request: Request, error: KeepwellError) -> Response:
    """A refusal in the words of every door: a page for a browser, JSON for a program that asked for a page's address."""
    if not prefers_page(request.headers.raw):
        return Response(to_json(error.as_dict(), fallback=str), error.status, {"Vary": "Accept"}, media_type="application/json")
    return show(desk, request, "refusal", status=error.status, error=error, is_lost=isinstance(error, NotFound))


def refusal_page(desk: Desk, scope: Scope, error: KeepwellError) -> ASGIApp | None:
    """What a browser gets whose person may not do it; None for a program, which is refused in words."""
    if not prefers_page(scope["headers"]):
        return None

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = await to_thread.run_sync(refused, desk, Request(scope, receive), error)
        if isinstance(error, LimitReached):
            response.headers["Retry-After"] = str(math.ceil(error.wait_s))
        await response(scope, receive, send)

    return answer


def is_stream(path: str) -> bool:
    """Whether an address answers for as long as somebody listens."""
    return path == "/events/live"


def is_open(path: str) -> bool:
    """May one who has not signed in see this?"""
    return path.startswith(OPEN[0]) or path == OPEN[1]


def sign_in_first(scope: Scope) -> Response | None:
    """A browser that must sign in is sent there; None for a program, which is refused in words."""
    if not asks_for_page(scope):
        return None
    return Response(status_code=303, headers={"Location": sign_in_address(scope["path"], scope["query_string"]), "Vary": "Accept, Cookie"})


def _reading(path: str, view: View) -> Route:
    return Route(path, view, methods=["GET"])


def _acting(act: Act) -> Route:
    return Route(act.path, act.do, name=act.name, methods=["POST"])


def _match(routes: list[Route], scope: Scope) -> tuple[Any, dict[str, str]] | None:
    for route in routes:
        how, found = route.matches(scope)
        if how is Match.FULL:
            return route.endpoint, found["path_params"]
    return None


def _asset(desk: Desk, scope: Scope) -> ASGIApp:
    name = scope["path"].rpartition("/")[2]
    if name not in assets():
        return Response("There is no such file.", 404, media_type="text/plain")
    content, kind, digest = assets()[name]
    is_this = scope["path"] == f"/assets/{digest}/{name}"
    caching = f"public, max-age={YEAR_S}, immutable" if is_this else "no-cache"
    return Response(content, media_type=kind, headers={"Cache-Control": caching, "X-Content-Type-Options": "nosniff"})


def _varying(send: Send) -> Callable[[Message], Awaitable[None]]:
    """What a program gets here, a browser would get as a page: caches must know."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"vary", b"Accept")]}
        await send(message)

    return told
