"""Acts from a page: each shows its difference and its command line first, and is done by a form that only this server's page can send."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from keepwell.access import ACTS, Refusal, refuse_role
from keepwell.difference import Difference, between
from keepwell.errors import CycleOvertaken, InputInvalid, KeepwellError, QuarantineNotFound, RouteNotFound
from keepwell.ui.data import ledger_page, prediction_address
from keepwell.ui.desk import Desk, cookie, with_session
from keepwell.ui.forms import Form, done, one
from keepwell.ui.rendering import show
from keepwell.wording import count, when

if TYPE_CHECKING:
    from keepwell.upcoming import Preview

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
    lines: tuple[tuple[str, str, str, str], ...] = ()  # what, now, then, remark: of a version that does not exist yet
    rows: tuple[Mapping[str, Any], ...] = ()
    asks_reason: bool = True
    asks_override: str = ""  # why a tick is needed
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
            asks_override="The gate refused it; let it live all the same" if not target.passed and may_override else "",
            note="" if target.passed or may_override else f"The gate refused it; to let it live all the same needs {needs}.",
        ),
    )


def promote(desk: Desk, request: Request, form: Form) -> Response:
    """Make a version champion."""
    desk.known(request)
    override = _overrides(desk, request, form)
    made = desk.project.promote(one(form, "version"), reason=_reason(form), override=override, seen=_seen(form), by=desk.by(request))
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
    fields = (("version", str(target) if asked else ""), ("champion", str(champion or "")))
    rehearsed = desk.project.rollback_rehearsed(target)
    failed = rehearsed is not None and not rehearsed.passed
    line = "keepwell rollback" + (f" {target}" if asked else "") + (" --override" if failed else "")
    together = "Model, features code and contract go back together."
    note = f"{together} It is rehearsed first, unless it was today."
    if rehearsed is not None:
        note = f"{together} {rehearsed.sentence.rstrip('.')}: {when(rehearsed.at)}, {rehearsed.took}."
    step = Step(
        f"Roll back to version {target}?",
        "Roll back",
        (f"{line} --dry-run", line),
        fields,
        between(desk.project, champion, target),
        asks_override="Its rehearsal failed; go back all the same" if failed else "",
        note=note,
    )
    return ask(desk, request, step)


def rollback(desk: Desk, request: Request, form: Form) -> Response:
    """Go back to the version before."""
    desk.known(request)
    made = desk.project.rollback(
        one(form, "version") or None, reason=_reason(form), override=_overrides(desk, request, form), seen=_seen(form), by=desk.by(request)
    )
    return done(desk, request, f"{made.sentence}.", _home(desk))


def _seen(form: Form) -> int:
    """The champion on the page that was agreed to, 0 for none."""
    seen = one(form, "champion")
    return int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else 0


def _overrides(desk: Desk, request: Request, form: Form) -> bool:
    """Whether a rule is to be overruled; refused, and told to the record, where the role does not reach so far."""
    if one(form, "override") != "yes":
        return False
    holder = desk.holder(request)
    refused = desk.sessions.doors.judge(holder, "override")
    if refused is not None:
        desk.tell_refusal(refused, request)
        refuse_role(holder.owner, holder.role, "override")
    return True


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
    found = desk.project.preview()
    would = "On what is known now a version would" + (
        f" be built: {found.decision.sentence}." if found.decision.build else f" not be built: {_held(found) or found.decision.sentence}."
    )
    lines = ("keepwell run --dry-run", "keepwell run")
    step = Step("Check up now?", "Check up now", lines, (), lines=found.lines, asks_reason=False, note=f"{note} {would}")
    return ask(desk, request, step)


def _held(found: Preview) -> str:
    return "; ".join(brake.sentence for brake in found.brakes if brake.holds)


def run(desk: Desk, request: Request, form: Form) -> Response:
    """Run the cycle of now. A long one goes on when the page no longer waits."""
    desk.known(request)
    return _run(desk, request, build=False)


def retrain_step(desk: Desk, request: Request) -> Response:
    """Before a new version is built, whatever the policy says."""
    desk.known(request)
    found = desk.project.preview(build=True)
    held = _held(found)
    note = "A cycle runs now and builds a version, whatever the policy says; the gate judges it as always."
    note += f" Without a person's word it would be held: {held}." if held else ""
    lines = ("keepwell run --build --dry-run", "keepwell run --build")
    newest = desk.project.cycles(1)
    fields = (("cycle", newest[0].cycle if newest else ""),)
    return ask(desk, request, Step("Retrain now?", "Retrain now", lines, fields, lines=found.lines, asks_reason=False, note=note))


def retrain(desk: Desk, request: Request, form: Form) -> Response:
    """Run a cycle that builds. When a cycle came since the page was shown, what it would be made of may have changed."""
    desk.known(request)
    newest = desk.project.cycles(1)
    if one(form, "cycle") != (newest[0].cycle if newest else ""):
        raise CycleOvertaken(desk.name, newest[0].cycle)
    return _run(desk, request, build=True)


def _run(desk: Desk, request: Request, *, build: bool) -> Response:
    with desk.acting:
        running = desk.cycle
        if running is not None and not running.done():
            said = "A cycle that was begun on a page still runs; nothing more was begun. This page shows it when it has ended."
            return done(desk, request, said, _home(desk), good=False)
        desk.cycle = begun = _cycles.submit(desk.project.run, build=build, by=desk.by(request))
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
        by = desk.by(request)
        resumes, now = one(form, "act") == "resume", desk.project.paused()
        if resumes == (now is None):
            said = f"Somebody else was faster: {desk.name} is {f'paused {now}' if now else 'no longer paused'}. Nothing was changed."
            return done(desk, request, said, _home(desk), good=False)
        said = desk.project.end_pause(by=by) if resumes else desk.project.pause(reason=_reason(form), by=by)
    return done(desk, request, said, _home(desk))


def approve_step(desk: Desk, request: Request) -> Response:
    """Before a person says yes to a challenger."""
    return _word_step(desk, request, "approve", "With enough approvals, and its trial over, it becomes champion.")


def reject_step(desk: Desk, request: Request) -> Response:
    """Before a person says no to a challenger."""
    return _word_step(desk, request, "reject", "Its trial ends and the champion stays. Below is what would have changed.")


def _word_step(desk: Desk, request: Request, act: str, note: str) -> Response:
    desk.known(request)
    target = desk.project.version(request.query_params.get("version") or "challenger")
    difference = between(desk.project, desk.project.aliases().get("champion"), target.number)
    line = f"keepwell {act} {target.number}"
    step = Step(
        f"{act.capitalize()} version {target.number}?", act.capitalize(), (line,), (("version", str(target.number)),), difference, note=note
    )
    return ask(desk, request, step)


def approve(desk: Desk, request: Request, form: Form) -> Response:
    """Say yes to a challenger; it still waits then, or the refusal says what became of it."""
    desk.known(request)
    given = desk.project.approve(one(form, "version"), comment=_reason(form), by=desk.by(request))
    return done(desk, request, f"{given.sentence.rstrip('.')}.", _home(desk))


def reject(desk: Desk, request: Request, form: Form) -> Response:
    """Say no to a challenger; it still waits then, or the refusal says what became of it."""
    desk.known(request)
    said = desk.project.reject(one(form, "version"), comment=_reason(form))
    return done(desk, request, f"{said.rstrip('.')}.", _home(desk))


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
