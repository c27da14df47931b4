"""Acts from a page: each shows its difference and its command line first, and is done by a form that only this server's page can send."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from keepwell.access import ACTS, Refusal, refuse_role
from keepwell.difference import Difference, between
from keepwell.errors import ActOvertaken, InputInvalid, KeepwellError, QuarantineNotFound, RouteNotFound
from keepwell.ui.data import ledger_page, prediction_address
from keepwell.ui.desk import Desk, cookie, with_session
from keepwell.ui.forms import Form, done, one
from keepwell.ui.rendering import show
from keepwell.wording import count

BY_HAND = "by hand"
WAIT_S = 20.0  # a page waits this long for a cycle; a longer one goes on, and its end is on the timeline
MOST_ROWS = 500
LONGEST = 500  # letters of a reason

_cycles: Executor = ThreadPoolExecutor(1, thread_name_prefix="keepwell-page-cycle")  # one after the other


@dataclass(frozen=True)
class Step:
    """What a confirm page shows: what would be done, by which command line, and what the form sends besides."""

    title: str
    button: str
    commands: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    difference: Difference | None = None
    rows: tuple[Mapping[str, Any], ...] = ()
    asks_reason: bool = True
    asks_override: bool = False
    note: str = ""


def ask(desk: Desk, request: Request, step: Step) -> Response:
    """The page that shows what would be done."""
    session, headers = with_session(desk, request)
    return show(desk, request, "confirm", tab="Model", headers=headers, step=step, token=session.token, by_hand=BY_HAND, back=_home(desk))


def _home(desk: Desk) -> str:
    return f"/models/{quote(desk.name, safe='')}"


# --- versions ---------------------------------------------------------------------------------------------------------


def promote_step(desk: Desk, request: Request) -> Response:
    """Before a version becomes champion."""
    desk.known(request)
    target = desk.project.version(request.query_params.get("version", ""))
    champion = desk.project.aliases().get("champion")
    if champion == target.number:
        desk.project.promote(target.number, reason="")  # raises the refusal in its own words
    line = f"keepwell promote {target.number}" + ("" if target.passed else " --override")
    may_override, needs = "override" in desk.holder(request).acts, ACTS["override"].needs
    fields = (("version", str(target.number)), ("champion", str(champion or "")))
    title = f"Make version {target.number} champion?"
    return ask(
        desk,
        request,
        Step(
            title,
            "Make it champion",
            (f"{line} --dry-run", line),
            fields,
            between(desk.project, champion, target.number),
            asks_override=not target.passed and may_override,
            note="" if target.passed or may_override else f"The gate refused it; to let it live all the same needs {needs}.",
        ),
    )


def promote(desk: Desk, request: Request, form: Form) -> Response:
    """Make a version champion."""
    desk.known(request)
    with desk.acting:
        _same_champion(desk, form)
        override = one(form, "override") == "yes"
        if override:
            _must_be(desk, request, "override")
        made = desk.project.promote(one(form, "version"), reason=_reason(form), override=override, by=desk.by(request))
    return done(desk, request, f"{made.sentence}.", _home(desk))


def rollback_step(desk: Desk, request: Request) -> Response:
    """Before the model goes back."""
    desk.known(request)
    aliases = desk.project.aliases()
    asked = request.query_params.get("version") or None
    if asked is None and ("previous" not in aliases or "champion" not in aliases):
        desk.project.rollback(reason="")  # raises the refusal in its own words
    target = desk.project.version(asked or "previous").number
    champion = aliases.get("champion")
    line = "keepwell rollback" + (f" {target}" if asked else "")
    fields = (("version", str(target) if asked else ""), ("champion", str(champion or "")))
    note = "Model, features code and contract go back together."
    step = Step(
        f"Roll back to version {target}?",
        "Roll back",
        (f"{line} --dry-run", line),
        fields,
        between(desk.project, champion, target),
        note=note,
    )
    return ask(desk, request, step)


def rollback(desk: Desk, request: Request, form: Form) -> Response:
    """Go back to the version before."""
    desk.known(request)
    with desk.acting:
        _same_champion(desk, form)
        made = desk.project.rollback(one(form, "version") or None, reason=_reason(form), by=desk.by(request))
    return done(desk, request, f"{made.sentence}.", _home(desk))


def _must_be(desk: Desk, request: Request, act: str) -> None:
    """Refuse, and let the record know, what the guard could not see from the address."""
    holder = desk.holder(request)
    refused = desk.sessions.doors.judge(holder, act)
    if refused is not None:
        desk.tell_refusal(refused, request)
        refuse_role(holder.owner, holder.role, act)


def _same_champion(desk: Desk, form: Form) -> None:
    """Somebody else may have acted since the difference was shown."""
    seen, now = one(form, "champion"), desk.project.aliases().get("champion")
    if seen != str(now or ""):
        raise ActOvertaken(desk.name, seen or "none", str(now or "none"))


def _reason(form: Form) -> str:
    return " ".join(one(form, "reason").split())[:LONGEST] or BY_HAND


# --- the loop ---------------------------------------------------------------------------------------------------------


def run_step(desk: Desk, request: Request) -> Response:
    """Before a cycle runs now."""
    desk.known(request)
    note = (
        "Gathers what is new, holds it against the contract, checks the model and decides; "
        "a version is built only when something asks for one."
    )
    return ask(desk, request, Step("Check up now?", "Check up now", ("keepwell run",), (), asks_reason=False, note=note))


def run(desk: Desk, request: Request, form: Form) -> Response:
    """Run the cycle of now. A long one goes on when the page no longer waits."""
    desk.known(request)
    begun = _cycles.submit(desk.project.run, by=desk.by(request))
    try:
        record = begun.result(WAIT_S)
    except NotYet:
        return done(desk, request, "The cycle still runs; this page shows it when it has ended.", _home(desk))
    good = record.status == "done"
    return done(desk, request, f"The cycle of {record.as_of:%Y-%m-%d %H:%M} is {record.status}: {record.sentence}.", _home(desk), good=good)


def pause_step(desk: Desk, request: Request) -> Response:
    """Before nothing may happen by itself any more, or before it may again."""
    desk.known(request)
    if desk.project.paused() is not None:
        return ask(desk, request, Step("End the pause?", "Resume", ("keepwell resume",), (("act", "resume"),), asks_reason=False))
    held = [act.sentence for act in desk.project.next().acts if act.name in ("build", "roll back") and not act.held_by]
    note = "Nothing is built, promoted or rolled back by itself; cycles go on gathering, checking up and answering."
    note += f" It would hold: {'; '.join(held)}." if held else ""
    return ask(desk, request, Step("Pause?", "Pause", ("keepwell pause --dry-run", "keepwell pause"), (("act", "pause"),), note=note))


def pause(desk: Desk, request: Request, form: Form) -> Response:
    """Pause, or end the pause."""
    desk.known(request)
    with desk.acting:
        resumes = one(form, "act") == "resume"
        by = desk.by(request)
        said = desk.project.end_pause(by=by) if resumes else desk.project.pause(reason=_reason(form), by=by)
    return done(desk, request, said, _home(desk))


def approve_step(desk: Desk, request: Request) -> Response:
    """Before a person says yes to a challenger."""
    desk.known(request)
    target = desk.project.version(request.query_params.get("version") or "challenger")
    champion = desk.project.aliases().get("champion")
    fields = (("version", str(target.number)), ("champion", str(champion or "")))
    note = "With enough approvals, and its trial over, it becomes champion."
    difference = between(desk.project, champion, target.number)
    step = Step(f"Approve version {target.number}?", "Approve", (f"keepwell approve {target.number}",), fields, difference, note=note)
    return ask(desk, request, step)


def approve(desk: Desk, request: Request, form: Form) -> Response:
    """Say yes to a challenger."""
    desk.known(request)
    with desk.acting:
        _same_champion(desk, form)
        given = desk.project.approve(one(form, "version"), comment=_reason(form), by=desk.by(request))
    return done(desk, request, f"{given.sentence.rstrip('.')}.", _home(desk))


# --- the quarantine ---------------------------------------------------------------------------------------------------


def decide_step(desk: Desk, request: Request) -> Response:
    """Before rows are let in, or kept out for good."""
    _known_source(desk, request)
    act = _act(request.query_params.get("act", ""))
    wanted = request.query_params.getlist("row")[:MOST_ROWS]
    waiting = {row["row_id"]: row for row in desk.project.quarantine()}
    if not wanted:
        raise InputInvalid("No row is chosen", "Tick those to decide about.")
    for row_id in wanted:
        if row_id not in waiting:
            raise QuarantineNotFound(row_id[:100])
    title = f"{'Let' if act == 'release' else 'Keep'} {count(len(wanted), 'row')} {'in after all' if act == 'release' else 'out for good'}?"
    note = "They count as observations from then on." if act == "release" else "They stay on record and never train a model."
    line = shlex.join(["keepwell", "quarantine", act, *wanted])
    fields = (("act", act), *(("row", row_id) for row_id in wanted))
    rows = tuple(waiting[row_id] for row_id in wanted)
    return ask(desk, request, Step(title, act.capitalize(), (line,), fields, rows=rows, asks_reason=False, note=note))


def decide(desk: Desk, request: Request, form: Form) -> Response:
    """Let rows in, or keep them out."""
    _known_source(desk, request)
    act, wanted = _act(one(form, "act")), list(form.get("row", ()))[:MOST_ROWS]
    with desk.acting:
        decide_so = desk.project.release if act == "release" else desk.project.drop
        decided = decide_so(wanted, by=desk.by(request))
    what = "released: they are observations now" if act == "release" else "dropped: they stay on record, and out of every model"
    return done(desk, request, f"{count(decided, 'row')} {what}.", f"/sources/{quote(desk.source, safe='')}")


def _act(text: str) -> str:
    if text not in ("release", "drop"):
        raise InputInvalid(f"'{text[:30]}' is nothing that can be done with a quarantined row", "Release it or drop it.")
    return text


def _known_source(desk: Desk, request: Request) -> None:
    if request.path_params["name"] != desk.source:
        raise RouteNotFound(request.method, request.url.path[:200])


# --- a prediction -----------------------------------------------------------------------------------------------------


def try_one(desk: Desk, request: Request, form: Form) -> Response:
    """Ask the champion about one row; the answer is kept like every other."""
    desk.known(request)
    given = {name.removeprefix("feature."): values[0].strip() for name, values in form.items() if name.startswith("feature.")}
    try:
        signature = desk.project.context.predictor(desk.project.version("champion").number).signature
        row = {name: _value(name, given.get(name, ""), kind) for name, kind in signature.items()}
        answered = desk.project.answer([row])[0]
    except KeepwellError as error:
        return ledger_page(desk, request, problem=error, given=given)
    return Response(status_code=303, headers={"Location": prediction_address(desk, answered["prediction_id"])})


def _value(name: str, text: str, kind: str) -> Any:
    if text == "":
        return None
    if kind.startswith(("Int", "UInt", "Float", "Decimal")):
        try:
            return int(text) if "Int" in kind and text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            raise InputInvalid(f"'{name[:60]}' is {text[:50]!r}", "A number is needed.") from None
    if kind.startswith("Bool"):
        return text.lower() in ("true", "yes", "1")
    return text


# --- sign in and out --------------------------------------------------------------------------------------------------


def sign_in_page(desk: Desk, request: Request) -> Response:
    """Where the token is given. Who came from elsewhere is sent on once from here: only then does the browser send its cookie."""
    to = local(request.query_params.get("next", "/"))
    if not desk.sessions.asks:
        return Response(status_code=303, headers={"Location": to})
    onward = to if request.headers.get("sec-fetch-site") == "cross-site" else ""
    return show(desk, request, "sign_in", to=to, onward=onward, wrong="")


def sign_in(desk: Desk, request: Request, form: Form) -> Response:
    """Give the token, get a session."""
    to = local(one(form, "next"))
    session = desk.sessions.sign_in(one(form, "token"))
    if isinstance(session, Refusal):
        desk.tell_refusal(session, request)
        is_client = session.kind == "role"
        wrong = "A client's token asks for predictions; it does not look at pages." if is_client else "That is not a token of this server."
        return show(desk, request, "sign_in", status=403 if is_client else 401, to=to, onward="", wrong=wrong)
    return Response(status_code=303, headers={"Location": to, "Set-Cookie": cookie(session, request)})


def sign_out(desk: Desk, request: Request, form: Form) -> Response:
    """End the session."""
    if (session := desk.session(request)) is not None:
        desk.sessions.close(session)
    return Response(status_code=303, headers={"Location": "/sign-in", "Set-Cookie": cookie(None, request)})


def sign_in_address(path: str, query: bytes) -> str:
    """Where to sign in, and to come back to."""
    to = path + (f"?{query.decode('latin-1')}" if query else "")
    return f"/sign-in?{urlencode({'next': to})}"


def local(to: str) -> str:
    """An address of this server, whatever was asked for.

    Examples
    --------
    >>> local("/models/rain?x=1"), local("//elsewhere"), local("https://elsewhere"), local("/\\\\elsewhere")
    ('/models/rain?x=1', '/', '/', '/')
    """
    is_plain = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable()
    return to if is_plain else "/"
