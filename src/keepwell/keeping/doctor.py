"""`keepwell doctor`: is Keepwell itself well? Looks at everything that is kept, changes nothing, names each cure."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keepwell.access import certificate_of, list_tokens
from keepwell.errors import BackendError, KeepwellError, SettingInvalid
from keepwell.incidents import PARTIES, orphans
from keepwell.keeping import wholeness
from keepwell.keeping.comparing import against
from keepwell.keeping.records import Copy, Finding
from keepwell.notifying import channels_of, stuck, unreached
from keepwell.orchestration import Context, dead_slots, list_cycles
from keepwell.registry import Version
from keepwell.settings import Settings, look
from keepwell.training import Code, lock_of, needed_packages
from keepwell.validation import from_toml

LITTLE_DISK = 1 << 30  # bytes; a build and a table flush need some hundred megabytes at most


def examine(folder: Path, now: datetime | None = None, *, deep: bool = False, backup: Copy | None = None) -> list[Finding]:
    """Look at a project's settings, stores, record and surroundings.

    Parameters
    ----------
    deep : read every file that is kept, however long it takes.
    backup : compare the record with this backup, row by row.

    Returns
    -------
    Every finding. What cannot be looked at because of another fault is left out.
    """
    folder, now = folder.resolve(), now or datetime.now(UTC)
    settings, problems = look(folder)
    if settings is None:
        return [Finding("settings", "wrong", problem.message, "Mend keepwell.toml, then ask again.") for problem in problems]
    found = [
        Finding("settings", "ok", "keepwell.toml reads"),
        _disk(folder),
        _contract(folder, settings),
        _owners(settings),
    ]
    if (missing := _missing_record(folder, settings)) is not None:
        return [*found, missing]
    try:
        context = Context.open(folder)
    except KeepwellError as error:
        lost = "Bring it back, or `keepwell restore` brings everything back from a backup."
        cure = lost if isinstance(error, BackendError) else "`keepwell check` tells everything that is not right."
        return [*found, Finding("project", "wrong", error.message, cure)]
    try:
        looks: tuple[Callable[[], Iterator[Finding]], ...] = (
            lambda: _server(context, now),
            lambda: wholeness.record(context, now, deep=deep),
            lambda: against(context, backup) if backup is not None else iter(()),
            lambda: wholeness.artifacts(context, deep=deep),
            lambda: _champion(context),
            lambda: wholeness.versioned(context, now, deep=deep),
            lambda: wholeness.journal(context),
            lambda: wholeness.backups(context, now),
            lambda: _workers(context),
            lambda: _cycles(context),
            lambda: _telling(context, now),
        )
        for one in looks:
            try:
                found += one()
            except KeepwellError as error:
                found.append(Finding("storage", "wrong", error.message, "Bring it back, or restore it from a backup."))
    finally:
        context.database.close()
    return found


def _server(context: Context, now: datetime) -> Iterator[Finding]:
    serve = context.settings.serve
    try:
        has_certificate = certificate_of(serve, context.folder) is not None
    except SettingInvalid as error:
        yield Finding("server", "wrong", error.message, "Mend [serve] certificate and key; the server would not start.")
        return
    with context.database.read() as connection:
        good = sum(token.state(now) == "good" for token in list_tokens(connection)) + bool(serve.token)
    if serve.is_local:
        yield Finding("server", "ok", f"listens on this machine only ({serve.host})")
    elif not good:
        message = f"would listen on {serve.host}, where others reach it, and there is no token; it does not start so"
        yield Finding("server", "wrong", message, 'Make one with `keepwell token create`, or set [serve] host = "127.0.0.1".')
    elif not has_certificate:
        message = (
            f"listens on {serve.host} without a certificate of its own, so tokens travel as plain text up to whatever stands before it"
        )
        yield Finding("server", "note", message, "Set [serve] certificate and key, unless a proxy before it speaks HTTPS.")
    else:
        yield Finding("server", "ok", f"listens on {serve.host}, with HTTPS and {good} good {'token' if good == 1 else 'tokens'}")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    if free < LITTLE_DISK:
        return Finding("disk", "wrong", f"{free / 1e9:.1f} GB are free where {folder} is", "Make room: a full disk stops every cycle.")
    return Finding("disk", "ok", f"{free / 1e9:.0f} GB are free")


def _contract(folder: Path, settings: Settings) -> Finding:
    path = folder / settings.contract.file
    if not path.is_file():
        return Finding(
            "contract", "ok", f"{path.name} is not there yet; it is made from the first {settings.contract.first_rows} good rows"
        )
    try:
        contract = from_toml(path.read_text("utf-8"))
    except (KeepwellError, OSError, UnicodeDecodeError) as error:
        return Finding("contract", "wrong", str(error), f"Mend {path.name}; the next cycle would stop at it.")
    return Finding("contract", "ok", f"{path.name} reads: {len(contract.columns)} columns")


def _owners(settings: Settings) -> Finding:
    orphaned = orphans(settings.owner)
    if len(orphaned) == len(PARTIES):
        return Finding("owners", "note", "nobody owns this model, so nobody is told when it fails", "Set [owner] owner and deputy.")
    if orphaned:
        return Finding("owners", "note", f"nobody is told about {', '.join(orphaned)}", f"Set [owner] owner, or [owner.{orphaned[0]}].")
    if settings.owner.deputy is None and any(getattr(settings.owner, party).deputy is None for party in PARTIES):
        return Finding(
            "owners", "note", "there is an owner and no deputy", "Set [owner] deputy: who is told when the owner does not answer."
        )
    return Finding("owners", "ok", "each kind of cause has an owner and a deputy")


def _missing_record(folder: Path, settings: Settings) -> Finding | None:
    prefix = "sqlite:///"
    url = settings.store.database
    if url.startswith(prefix) and not (folder / url.removeprefix(prefix)).is_file():
        return Finding("record", "note", "there is no record yet", "`keepwell run` makes it.")
    return None


def _champion(context: Context) -> Iterator[Finding]:
    number = context.champion()
    if number is None:
        yield Finding(
            "champion",
            "note",
            "no version serves yet",
            "`keepwell run --build` builds one now; `keepwell versions` says why others were refused.",
        )
        return
    try:
        context.predictor(number)
        yield Finding("champion", "ok", f"version {number} loads and answers its golden rows as it did when it was built")
    except KeepwellError as error:
        yield Finding("champion", "wrong", error.message, "`keepwell rollback` goes back to the version before.")
    yield _packages(context, context.version(number))


def _packages(context: Context, version: Version) -> Finding:
    here = needed_packages(Code.get(context.artifacts, version.code).files())
    then = lock_of(context.artifacts.get(version.environment))
    differ = sorted(name for name in here if here[name] != then.get(name))
    if not differ:
        return Finding("packages", "ok", f"as they were when version {version.number} was built")
    told = ", ".join(f"{name} {then.get(name, 'absent')} → {here.get(name, 'absent')}" for name in differ[:5])
    more = f" and {len(differ) - 5} more" if len(differ) > 5 else ""
    return Finding(
        "packages",
        "note",
        f"differ from those of version {version.number}: {told}{more}",
        "Fine while the champion answers as it did; a new build takes these.",
    )


def _workers(context: Context) -> Iterator[Finding]:
    dead = dead_slots(context.database)
    if dead:
        yield Finding(
            "workers", "note", f"{', '.join(dead)} ended without saying so", "`keepwell run` or `keepwell work` takes over what it left."
        )
    else:
        yield Finding("workers", "ok", "none ended without saying so")


def _cycles(context: Context) -> Iterator[Finding]:
    with context.database.read() as connection:
        cycles = list_cycles(connection, context.name, limit=200)
    unfinished = [cycle for cycle in cycles if cycle.status == "running"]
    for cycle in unfinished:
        yield Finding(
            "cycles", "note", f"the cycle of {cycle.as_of:%Y-%m-%d %H:%M} was begun and has not ended", "`keepwell run` finishes it first."
        )
    failed = [cycle for cycle in cycles if cycle.status == "failed"]
    if cycles and cycles[0].status == "failed":
        cure = "Mend that; the next cycle gathers what this one missed."
        yield Finding("cycles", "wrong", f"the newest one, of {cycles[0].as_of:%Y-%m-%d %H:%M}, failed: {cycles[0].sentence}", cure)
    elif failed:
        yield Finding(
            "cycles",
            "note",
            f"{len(failed)} of the last {len(cycles)} failed, the newest on {failed[0].as_of:%Y-%m-%d}; later ones were done",
        )
    elif not unfinished:
        yield Finding("cycles", "ok", f"the last {len(cycles)} were done" if cycles else "none has run yet")


def _telling(context: Context, now: datetime) -> Iterator[Finding]:
    """Does what Keepwell has to say reach somebody?"""
    settings = context.settings
    with context.database.read() as connection:
        broken = stuck(connection, now, timedelta(minutes=settings.notify.stuck_minutes), context.name)
        nobody = unreached(connection, context.name)
    for one in broken:
        cure = "Mend the channel, then `keepwell notify retry`; `keepwell notify test` proves that it works."
        yield Finding("telling", "wrong", f"{one.sentence} (since {one.since:%Y-%m-%d %H:%M})", cure)
    for person, count in nobody.items():
        said = f"{count} {'notice was' if count == 1 else 'notices were'} for {person}, and nobody knows how to reach {person}"
        yield Finding("telling", "note", said, f'Set [people."{person}"] tell in keepwell.toml, then `keepwell notify retry`.')
    told = {name.casefold() for name, person in settings.people.items() if person.tell} | {name.casefold() for name in nobody}
    owners = [one for one in (settings.owner.owner, settings.owner.deputy) if one and settings.people and one.casefold() not in told]
    for owner in owners:
        yield Finding("telling", "note", f"{owner} looks after this model and cannot be told anything", f'Set [people."{owner}"] tell.')
    unsigned = sum(1 for hook in settings.webhooks if hook.secret is None)
    if unsigned:
        said = f"{unsigned} of {len(settings.webhooks)} webhooks {'has' if unsigned == 1 else 'have'} no secret, so anyone could send there"
        yield Finding("telling", "note", said, "Set its secret; the receiver checks the signature with it.")
    if not (broken or nobody or owners or unsigned):
        ways = len(channels_of(settings))
        said = f"{ways} {'channel' if ways == 1 else 'channels'}, and nothing waits for long" if ways else "nobody is told anything"
        yield Finding("telling", "ok", said)
