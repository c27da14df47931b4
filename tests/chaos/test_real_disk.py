"""A disk that is really full, or really read-only: what cannot be kept is refused in words, and goes on when it can be."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stores
from crashing import run_in_process
from disks import CannotMount, Disk, mounted
from projects import BUILT_AT
from record import answer, decided

from keepwell import Project
from keepwell.errors import KeepwellError
from keepwell.keeping import flaws_of, open_backup
from keepwell.serving import Journal

LATER = BUILT_AT + timedelta(days=5)
LARGE = 20_000  # bytes of an answer, so that it needs room
# What is done, in this order, and with how much room it is tried before: it runs out at the start, and on the way.
ACTS = {
    "journal": [0],
    "ship": [0, 96 << 10],
    "cycle": [0, 400 << 10],
    "build": [96 << 10, 400 << 10],
    "flush": [96 << 10],
    "backup": [0, 96 << 10],
}
DONE, TOLD = 0, 3

pytestmark = [pytest.mark.sqlite("is about the disk under the embedded record"), pytest.mark.local("and under local tables and artifacts")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A mounted one; skips where that is not allowed."""
    with ExitStack() as mount:
        try:
            found = mount.enter_context(mounted(tmp_path / "disk"))
        except CannotMount as error:
            pytest.skip(f"{error}; the imitated one in test_chaos.py runs for everybody")
        yield found


def attempt(act: str, folder: Path, words: Path) -> None:
    """Do one thing, in a process of its own: done, told in words, or (any other end) a fault."""
    try:
        told = do(act, folder)
    except KeepwellError as error:
        told = str(error)
    except BaseException:
        words.write_text(traceback.format_exc())
        os._exit(1)
    words.write_text(told or "")
    os._exit(TOLD if told else DONE)


def do(act: str, folder: Path) -> str | None:
    """Answers what a cycle that failed says of itself."""
    if act == "journal":
        with Journal(folder / ".keepwell/journal") as journal:
            journal.append(answer(1, LARGE)).result(10)
        return None
    with Project(folder) as project:
        if act in ("cycle", "build"):
            record = project.run(LATER if act == "build" else BUILT_AT + timedelta(days=1), build=act == "build")
            return record.sentence if record.status == "failed" else None
        arguments = [folder / "backups"] if act == "backup" else []
        getattr(project, act)(*arguments)
    return None


def on_disk(tiny: Path, disk: Disk) -> Path:
    """The project moved there, with answers that wait to be shipped."""
    folder = stores.copy_project(tiny, disk.folder / "tiny")
    with Journal(folder / ".keepwell/journal") as journal:
        journal.append(answer(2, LARGE)).result(10)
    return folder


def live_undisturbed(folder: Path, words: Path) -> dict[str, Any]:
    for act in ACTS:
        assert run_in_process(attempt, act, folder, words) == DONE, words.read_text()
    return decided(folder)


def test_a_full_disk_is_told_and_with_room_again_the_record_ends_the_same(tiny: Path, tmp_path: Path, disk: Disk) -> None:
    words, told = tmp_path / "words", set()
    folder = on_disk(tiny, disk)
    for act, rooms in ACTS.items():
        for room in rooms:
            disk.leave(room)
            code = run_in_process(attempt, act, folder, words)
            assert code in (DONE, TOLD), words.read_text()
            if code == DONE:
                break  # it fits
            told.add(act)
            assert re.search(r"No space left on device|disk is full", words.read_text()), words.read_text()
        disk.empty()
        assert run_in_process(attempt, act, folder, words) == DONE, words.read_text()
    assert told == set(ACTS)
    calm = on_disk(tiny, Disk(tmp_path / "calm"))
    assert decided(folder) == live_undisturbed(calm, words)
    assert flaws_of(open_backup(str(folder / "backups"))) == {}


def test_a_read_only_disk_is_told_and_once_writable_the_record_ends_the_same(tiny: Path, tmp_path: Path, disk: Disk) -> None:
    words = tmp_path / "words"
    folder = on_disk(tiny, disk)
    for act in ACTS:
        disk.remount("ro")
        try:
            code = run_in_process(attempt, act, folder, words)
            assert code == TOLD, words.read_text()
            assert re.search(r"Read-only file system|disk is read-only", words.read_text()), words.read_text()
        finally:
            disk.remount("rw")
        assert run_in_process(attempt, act, folder, words) == DONE, words.read_text()
    calm = on_disk(tiny, Disk(tmp_path / "calm"))
    assert decided(folder) == live_undisturbed(calm, words)
