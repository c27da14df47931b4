"""Commands that keep a second copy, bring it back, and remove what nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keepwell.cli import screen
from keepwell.cli.door import FAILED, HERE, AsJson, Folder, command, examples, opened, show_json

if TYPE_CHECKING:
    from keepwell.keeping import Copy

PANEL = "Keep it safe"
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help="Where the record goes; default SQLite in the folder.")]
Tables = Annotated[str | None, typer.Option("--tables", metavar="URL", help="Where the tables go; default in the folder.")]
Artifacts = Annotated[str | None, typer.Option("--artifacts", metavar="URL", help="Where the artifacts go; default in the folder.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Prove it: counts, every version's files, the champion's answers. Runs the project's code.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Move what is there aside, to .keepwell-before-TIME.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    lines = ("keepwell backup /mnt/backups", "keepwell backup s3://bucket/rain --keep 30", "keepwell backup /mnt/backups --check")
    app.command(rich_help_panel=PANEL, epilog=examples(*lines))(backup)
    lines = (
        "keepwell restore /mnt/backups rain --verify",
        "keepwell restore /mnt/backups rain --verify --dry-run",
        "keepwell restore s3://bucket/rain rain --database postgresql://mira@db/rain",
    )
    app.command(rich_help_panel=PANEL, epilog=examples(*lines))(restore)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell gc --dry-run", "keepwell gc", "keepwell gc --orphans"))(gc)
    app.command(rich_help_panel=PANEL, epilog=examples("keepwell export rain.zip", "keepwell export -C rain rain.zip"))(export)
    imports = examples("keepwell import rain.zip rain", "keepwell import rain.zip rain --verify")
    app.command(name="import", rich_help_panel=PANEL, epilog=imports)(import_)


@command
def backup(
    target: Annotated[str, typer.Argument(help="Folder or object-store URL that holds the backups.", show_default=False)],
    folder: Folder = HERE,
    keep: Annotated[int | None, typer.Option("--keep", min=1, help="Remove all but this many of the newest backups.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Make none: read every file of those that are there.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="With --check: only this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Copy everything that is kept, while the loop goes on.

    The second backup to the same place writes only what is new. Without its manifest, written last, there is none.
    """
    if check:
        _check(target, name, as_json)
        return
    with opened(folder) as project, _bar("Copying") as told:
        made = project.backup(target, keep=keep, told=told)
    if as_json:
        show_json({"backup": made})
    else:
        screen.say(f"Backed up to {target}: {screen.count(made.files, 'file')}, {_mb(made.size)}, {_mb(made.written)} of it new.")
        screen.grid([("Name", made.name)])
        _tell_secrets(made.secrets)
        for what, problem in made.damaged.items():
            screen.say(screen.bold(f"{what} could not be copied: {problem}"))
    if made.damaged:
        raise typer.Exit(FAILED)


def _check(target: str, name: str | None, as_json: bool) -> None:
    from keepwell.errors import BackupNotFound, KeepwellError
    from keepwell.keeping import flaws_of, list_backups, open_backup

    names = list_backups(target)
    chosen = [one for one in names if name in (None, one)]
    if not chosen:
        raise BackupNotFound(target, name, names)
    found: list[dict[str, Any]] = []
    for one in chosen:
        try:
            copy = open_backup(target, one)
            with _bar(one) as told:
                flaws = flaws_of(copy, told)
            facts: dict[str, Any] = {"made_at": copy.manifest.made_at, "files": len(copy.manifest.entries), "bytes": copy.manifest.size}
        except KeepwellError as error:
            flaws, facts = {f"backups/{one}.json": str(error.facts.get("problem"))}, {}
        found.append({"name": one, **facts, "flaws": flaws})
    if as_json:
        show_json({"whole": not any(one["flaws"] for one in found), "backups": found})
    else:
        rows = [(one["name"], screen.word("wrong" if one["flaws"] else "ok"), _mb(one.get("bytes", 0))) for one in found]
        screen.table(("Backup", "State", "Size"), rows, right=("Size",))
        for what, problem in ((what, problem) for one in found for what, problem in one["flaws"].items()):
            screen.say(f"{what}: {problem}")
    if any(one["flaws"] for one in found):
        raise typer.Exit(FAILED)


@command
def restore(
    backup: Annotated[str, typer.Argument(help="Where the backups are.", show_default=False)],
    into: Annotated[Path, typer.Argument(metavar="FOLDER", help="Project folder to make.", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", help="Which backup; default the newest.")] = None,
    database: Database = None,
    tables: Tables = None,
    artifacts: Artifacts = None,
    verify: Verify = False,
    replace: Replace = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Restore beside the folder, verify, and remove it again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring everything back from a backup.

    It goes into the folder's own stores unless others are named. Every file's digest is checked. Nothing that is there is
    overwritten. A backup of PostgreSQL may be restored into SQLite and the other way round.
    """
    from keepwell.keeping import open_backup

    _bring_back(lambda: open_backup(backup, name), into, _stores(database, tables, artifacts), verify, replace, dry_run, as_json)


@command
def import_(
    file: Annotated[Path, typer.Argument(help="Archive that `keepwell export` made.", show_default=False)],
    into: Annotated[Path, typer.Argument(metavar="FOLDER", help="Project folder to make.", show_default=False)],
    database: Database = None,
    tables: Tables = None,
    artifacts: Artifacts = None,
    verify: Verify = False,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Make a project of an archive, with all its history.

    The archive holds Python code that the project will run: import only from people you trust.
    """
    from keepwell.keeping import open_archive

    _bring_back(lambda: open_archive(file), into, _stores(database, tables, artifacts), verify, replace, False, as_json)


def _stores(database: str | None, tables: str | None, artifacts: str | None) -> dict[str, str]:
    given = {"database": database, "tables": tables, "artifacts": artifacts}
    return {name: url for name, url in given.items() if url is not None}


def _bring_back(
    open_copy: Callable[[], Copy], into: Path, stores: dict[str, str], verify: bool, replace: bool, dry_run: bool, as_json: bool
) -> None:
    from keepwell.keeping import restore as bring_back

    copy = open_copy()
    with _bar("Restoring") as told:
        done = bring_back(copy, into, stores=stores, check=verify, replace=replace, dry_run=dry_run, told=told)
    if as_json:
        show_json({"restored": done, "dry_run": dry_run})
        return
    if dry_run:
        screen.say(f"{copy.where} can be restored: {screen.count(done.files, 'file')}, {_mb(done.size)}. Nothing was kept.")
    else:
        screen.say(f"Restored '{done.model}' to {into}: {screen.count(done.files, 'file')}, {_mb(done.size)}.")
    if done.verified:
        screen.grid([("Proved", line) for line in done.verified])
    _tell_secrets(done.secrets)
    if done.aside:
        screen.say(f"What was there before is in {done.aside}; move it back to undo this.")


@command
def gc(
    folder: Folder = HERE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also files no record row names. Not when another record keeps its artifacts there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what no kept version needs, by the retention rules.

    Whatever ever was champion stays whole, and so does all that is young. Rows of the record stay.
    """
    with opened(folder) as project:
        freed = project.clean(dry_run=dry_run, orphans=orphans)
    if as_json:
        show_json({"freed": freed, "total_bytes": freed.total})
        return
    would = "would be " if dry_run else ""
    for number, rule in freed.versions.items():
        screen.say(f"Version {number}: {rule}.")
    rows = [(name, f"{count:,}", _mb(freed.bytes[name]) if name in freed.bytes else "–") for name, count in freed.files.items() if count]
    if rows:
        screen.table(("What", "Files", "Bytes"), rows, right=("Files", "Bytes"))
    screen.say(screen.bold(f"{_mb(freed.total)} {would}freed." if rows else "There is nothing to remove."))


@command
def export(
    file: Annotated[Path, typer.Argument(help="The archive to write, such as rain.zip.", show_default=False)],
    folder: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Write the whole model with its lineage into one open archive.

    A zip of JSON Lines, Parquet, TOML, Python and model files; its form is documented for other tools.
    """
    with opened(folder) as project, _bar("Writing") as told:
        manifest = project.export(file, told=told)
    if as_json:
        facts = {"model": manifest.model, "files": len(manifest.entries), "bytes": manifest.size, "counts": manifest.counts}
        show_json({"file": file, **facts, "damaged": manifest.damaged})
    else:
        screen.say(f"Wrote {file}: {screen.count(len(manifest.entries), 'file')}, {_mb(manifest.size)} unpacked.")
        _tell_secrets(manifest.secrets)
        for what, problem in manifest.damaged.items():
            screen.say(screen.bold(f"{what} could not be written: {problem}"))
    if manifest.damaged:
        raise typer.Exit(FAILED)


def _tell_secrets(secrets: tuple[str, ...]) -> None:
    if secrets:
        screen.say(f"Secrets are not in it; set them where it is restored: {', '.join(secrets)}.")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar when somebody looks."""
    console = screen.screen(error=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what)
        yield lambda done, total: progress.update(task, completed=done, total=total)
