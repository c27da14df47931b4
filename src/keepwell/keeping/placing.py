"""Where a restore is put together, and how it comes into place: nothing that is there is lost."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import psutil

from keepwell.errors import RestoreRefused
from keepwell.keeping.records import Manifest
from keepwell.settings import PREFIX
from keepwell.storage import digest_of

HOME = ".keepwell"


def refuse_occupied(manifest: Manifest, folder: Path) -> None:
    """Raise RestoreRefused when a record is there, or a project file of other content."""
    cure = "Choose another folder, or --replace: what is there is then moved aside, not lost."
    if _holds_record(folder / HOME):
        raise RestoreRefused(str(folder), "a record is there already", cure)
    if _names_stores(folder / ".env"):
        raise RestoreRefused(str(folder), ".env says where a record is, and would say so of this one", cure)
    for entry in manifest.under("project"):
        path = folder / entry.name.removeprefix("project/")
        if path.exists() and not (path.is_file() and digest_of(path.read_bytes()) == entry.digest):
            raise RestoreRefused(str(folder), f"{path.name} is there already, and is another one", cure)


def refuse_too_large(manifest: Manifest, stage: Path) -> None:
    """Raise RestoreRefused when the disk has no room for it."""
    free = shutil.disk_usage(stage).free
    if manifest.size > free:
        raise RestoreRefused(str(stage.parent), f"it needs {manifest.size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free", "Make room.")


def staged(folder: Path) -> Path:
    """A new folder beside the one to make; what killed restores have left there goes."""
    prefix = f".{folder.name}.restoring-"
    for left in folder.parent.glob(f"{prefix}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(prefix))):
            shutil.rmtree(left, ignore_errors=True)
    stage = folder.parent / f"{prefix}{os.getpid()}"
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    return stage


def into_place(stage: Path, folder: Path) -> Path | None:
    """Move what was put together into the folder; answers where what it replaced is now."""
    folder.mkdir(parents=True, exist_ok=True)
    if _names_stores(folder / ".env"):
        (stage / ".env").touch(mode=0o600)  # so that the old one is replaced by one without these lines
    aside = folder / f"{HOME}-before-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    for path in sorted(path for path in stage.rglob("*") if path.is_file() and path.relative_to(stage).parts[0] != HOME):
        there = folder / path.relative_to(stage)
        if there.exists():
            if there.read_bytes() == path.read_bytes():
                continue
            if path.name == ".env":
                _keep_env(there, path)
            _move(there, aside / path.relative_to(stage))
        _move(path, there)
    # The record goes last: until then there is none, so nobody opens half of it.
    if (home := folder / HOME).exists():
        _move(home, aside / HOME) if _holds_record(home) else shutil.rmtree(home)
    _move(stage / HOME, home)
    return aside if aside.exists() else None


def _move(path: Path, there: Path) -> None:
    there.parent.mkdir(parents=True, exist_ok=True)
    path.rename(there)


def _names_stores(env: Path) -> bool:
    return env.is_file() and f"{PREFIX}STORE__" in env.read_text("utf-8").upper()


def _keep_env(old: Path, new: Path) -> None:
    """What the old `.env` says stays, but for where the record is."""
    lines = [line for line in old.read_text("utf-8").splitlines() if f"{PREFIX}STORE__" not in line.upper()]
    new.write_text("\n".join(lines) + "\n" + new.read_text("utf-8"), "utf-8")


def _holds_record(home: Path) -> bool:
    return any(path.is_file() and path.relative_to(home).parts[0] != "code" for path in home.rglob("*"))
