"""What all pages share: the open project, what is remembered of it, and who looks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from starlette.requests import Request

from keepwell.access import HOLDER, OPEN, Holder, Refusal
from keepwell.errors import InputInvalid, ModelNotFound
from keepwell.orchestration import CycleRecord
from keepwell.project import Project
from keepwell.registry import Version
from keepwell.rehearsal import Rehearsal
from keepwell.status import Status
from keepwell.ui.ranges import Range, range_of
from keepwell.ui.remembering import Remembered, mark_of
from keepwell.ui.sessions import COOKIE, LIVES_S, Session, Sessions
from keepwell.upcoming import Next
from keepwell.why import Why

DECLINES = 20  # told on pages

Found = TypeVar("Found")


@dataclass(eq=False)
class Desk:
    """One project as pages see it.

    `ship` moves acknowledged answers into the ledger; `said` is what an act told a session, shown on its next page;
    `cycle` is the newest one that a page began; `others` are the other models of the record and when they were asked for.
    """

    project: Project
    sessions: Sessions
    ship: Callable[[], int]
    kept: Remembered = field(default_factory=Remembered)
    said: dict[str, tuple[str, bool]] = field(default_factory=dict)
    acting: threading.Lock = field(default_factory=threading.Lock)
    cycle: Future[CycleRecord] | None = None
    others: tuple[float, list[Status]] | None = None
    asking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.project.name

    @property
    def source(self) -> str:
        """The name of the data source: its kind."""
        return self.project.settings.source.kind

    def mark(self) -> str:
        """The state of the record now."""
        return mark_of(self.project)

    def known(self, request: Request, name: str = "model") -> None:
        """Refuse an address that names another model.

        Raises
        ------
        ModelNotFound
        """
        asked = request.path_params[name]
        if asked != self.name:
            raise ModelNotFound(asked[:100], [self.name])

    def session(self, request: Request) -> Session | None:
        """The session of a request."""
        return self.sessions.of(request.headers.raw)

    def holder(self, request: Request) -> Holder:
        """Who looks or acts, as the guard let them in."""
        found: Holder = request.scope.get(HOLDER, OPEN)
        return found

    def by(self, request: Request) -> str | None:
        """Under whose name an act is recorded; None where nobody is asked who they are."""
        return self.holder(request).owner or None

    def tell_refusal(self, refused: Refusal, request: Request) -> None:
        """Let the record know of a refusal, when it is due."""
        if times := self.sessions.doors.is_due(refused):
            self.sessions.doors.tell(refused, times, request.client.host if request.client else "unknown")

    def once(self, mark: str, *key: Any, make: Callable[[], Found]) -> Found:
        """What `make` makes of this state of the record, made once."""
        return self.kept.get((mark, *key), make)

    def status(self, mark: str) -> Status:
        """How the model is; silence makes it unknown, so it is asked anew each minute."""
        return self.once(mark, "status", f"{datetime.now(UTC):%Y-%m-%dT%H:%M}", make=self.project.status)

    def coming(self, mark: str) -> Next:
        """What will happen by itself, as it is this minute."""
        return self.once(mark, "next", f"{datetime.now(UTC):%Y-%m-%dT%H:%M}", make=self.project.next)

    def why(self, mark: str) -> Why:
        """Its declines."""
        return self.once(mark, "why", make=lambda: self.project.why(limit=DECLINES))

    def versions(self, mark: str) -> list[Version]:
        """All versions, oldest first."""
        return self.once(mark, "versions", make=self.project.versions)

    def aliases(self, mark: str) -> dict[str, int]:
        """Alias -> version number."""
        return self.once(mark, "aliases", make=self.project.aliases)

    def rehearsed(self, mark: str) -> tuple[datetime, Rehearsal] | None:
        """When policies were rehearsed last, and what they came to."""
        return self.once(mark, "rehearsed", f"{datetime.now(UTC):%Y-%m-%dT%H:%M}", make=self.project.rehearsed)

    def newest(self, mark: str) -> datetime:
        """The moment of the newest cycle, or now before there is one."""

        def find() -> datetime:
            cycles = self.project.cycles(1)
            return cycles[0].as_of if cycles else datetime.now(UTC)

        return self.once(mark, "newest", make=find)

    def range(self, request: Request, mark: str, default: timedelta | None = None) -> Range:
        """The time range of a request."""
        return range_of(request.query_params, self.newest(mark), default)


def with_session(desk: Desk, request: Request) -> tuple[Session, dict[str, str]]:
    """The session that a page with a form needs, and the header that makes the browser keep a new one."""
    found = desk.session(request)
    if found is not None:
        return found, {}
    made = desk.sessions.open()
    return made, {"Set-Cookie": cookie(made, request)}


def cookie(session: Session | None, request: Request) -> str:
    """The header that keeps a session in the browser, or (None) takes it out."""
    secure = "; Secure" if request.url.scheme == "https" else ""
    name, age = (session.name, int(LIVES_S)) if session else ("", 0)
    return f"{COOKIE}={name}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}"


def whole(request: Request, name: str, default: int, most: int) -> int:
    """A whole number from the address.

    Raises
    ------
    InputInvalid
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
        raise InputInvalid(f"'{name}' is {text[:30]!r}", f"It is a whole number from 1 to {most:,}.")
    return int(text)
