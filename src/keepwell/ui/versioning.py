"""Pages of versions: all of them, when each served, one of them, and two side by side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from keepwell.profiling import LISTED_HEAD, listed_fields
from keepwell.registry import AliasChange, swept_versions
from keepwell.status import serving_sentence
from keepwell.ui.desk import Desk
from keepwell.ui.ranges import Range, moment_of
from keepwell.ui.rendering import show

LISTED = 200
WIDE = 1000.0  # units of the bar
LINES = 200  # of one difference's detail


@dataclass(frozen=True)
class Stretch:
    """One version's part of the served-when bar, in units of its width."""

    version: int
    since: datetime
    until: datetime | None
    left: float
    width: float
    by: str
    reason: str


def versions(desk: Desk, request: Request) -> Response:
    """All versions, the newest first, and which of them served when."""
    desk.known(request)
    mark = desk.mark()
    span = desk.range(request, mark)
    listed = desk.versions(mark)
    changes = desk.once(mark, "serving", make=lambda: desk.project.serving()[1])
    asked = request.query_params.get("at", "")
    named: dict[int, list[str]] = {}
    for alias, number in desk.aliases(mark).items():
        named.setdefault(number, []).append(alias)
    return show(
        desk,
        request,
        "versions",
        mark=mark,
        span=span,
        tab="Versions",
        versions=[one for one in reversed(listed) if span.since <= one.as_of <= span.until][:LISTED],
        total=len(listed),
        aliases={number: ", ".join(sorted(names)) for number, names in named.items()},
        metric=desk.project.context.metric,
        stretches=stretches(changes, span),
        sentence=_served(desk, changes, moment_of("at", asked) if asked else None),
        asked=asked,
        before=_before(desk, mark),
    )


def _before(desk: Desk, mark: str) -> int | None:
    """What the newest version is best compared with: the champion, or what served before when it is that itself."""
    aliases, listed = desk.aliases(mark), desk.versions(mark)
    champion = aliases.get("champion")
    return aliases.get("previous", champion) if listed and listed[-1].number == champion else champion


def _served(desk: Desk, changes: list[AliasChange], at: datetime | None) -> str:
    before = [change for change in changes if at is None or change.since <= at]
    newest = max(enumerate(before), key=lambda item: (item[1].since, item[0]), default=(0, None))[1]
    return serving_sentence(desk.name, newest.number if newest else None, newest.since if newest else None, at)


def stretches(changes: list[AliasChange], span: Range) -> list[Stretch]:
    """The served-when bar of a range."""
    if not changes:
        return []
    first, last = max(changes[0].since, span.since), max(min(span.newest, span.until), changes[-1].since + timedelta(days=1))
    last = min(last, span.until)
    whole = (last - first) / timedelta(seconds=1)
    found = []
    for place, change in enumerate(changes):
        ends = changes[place + 1].since if place + 1 < len(changes) else None
        begin, end = max(change.since, first), min(ends or last, last)
        if change.number is None or begin >= end or whole <= 0:
            continue
        left, width = ((moment - start) / timedelta(seconds=1) / whole * WIDE for moment, start in ((begin, first), (end, begin)))
        found.append(Stretch(change.number, change.since, ends, left, width, change.by, change.reason))
    return found


def version(desk: Desk, request: Request) -> Response:
    """What one version was made of, how it was judged, and its card."""
    desk.known(request)
    mark = desk.mark()
    found = desk.project.version(request.path_params["ref"])
    aliases = desk.aliases(mark)

    def gone() -> bool:
        with desk.project.context.database.read() as connection:
            return found.number in swept_versions(connection, desk.name)

    swept = desk.once(mark, "swept", found.number, make=gone)
    return show(
        desk,
        request,
        "version",
        mark=mark,
        tab="Versions",
        version=found,
        facts=found.facts,
        alias=", ".join(sorted(alias for alias, number in aliases.items() if number == found.number)),
        champion=aliases.get("champion"),
        metric=desk.project.context.metric,
        checks=(found.facts.get("gate") or {}).get("checks", []),
        swept=swept,
        card="" if swept else desk.once(mark, "card", found.number, make=lambda: desk.project.card(found.number)),
        served=[one for one in desk.once(mark, "serving", make=lambda: desk.project.serving()[1]) if one.number == found.number],
    )


def compare(desk: Desk, request: Request) -> Response:
    """Two versions side by side: by number, alias, run, or a moment (the version that served then)."""
    desk.known(request)
    mark = desk.mark()
    before, after = (request.query_params.get(side, "").strip() for side in ("before", "after"))
    found = desk.once(mark, "diff", before, after, make=lambda: desk.project.diff(_ref(before), _ref(after)))
    return show(
        desk,
        request,
        "compare",
        mark=mark,
        tab="Versions",
        before=before,
        after=after,
        found=found,
        lines=LINES,
        head=LISTED_HEAD,
        moved=[listed_fields(one) for one in found.distributions],
        difference=desk.once(mark, "difference", found.before, found.after, make=lambda: _between(desk, found.before, found.after)),
        champion=desk.aliases(mark).get("champion"),
    )


def _between(desk: Desk, before: int, after: int) -> object:
    from keepwell.difference import between

    return between(desk.project, before, after)


def _ref(text: str) -> str | datetime:
    return text if "-" not in text or text.startswith("build-") else moment_of("version", text)
