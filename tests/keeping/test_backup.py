"""A backup is of one moment, whatever runs meanwhile; a killed one is none; a changed byte in it is found by name."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
import stores
from crashing import run_in_process, start
from keeping_work import DAYS, answer_for_ever, back_up_and_die, often, restore_and_die, summary, with_rows, work

from keepwell import Project
from keepwell.errors import BackupCorrupt, BackupNotFound, KeepingBusy
from keepwell.keeping import flaws_of, list_backups, open_backup, restore


def test_a_backup_taken_while_cycles_run_restores_to_a_record_that_goes_on(tmp_path: Path) -> None:
    folder, target = often(tmp_path / "tiny"), str(tmp_path / "backups")
    working = start(work, folder)
    while not (folder / ".keepwell").is_dir() or not summary(folder)["cycles"]:
        time.sleep(0.1)
    with Project(folder) as project:
        while working.is_alive():
            project.backup(target)
            assert project.clean().versions == {}
            time.sleep(0.05)
    assert working.exitcode == 0
    made = list_backups(target)
    assert len(made) > 2
    undisturbed = summary(folder)
    assert len(undisturbed["cycles"]) == DAYS + 1
    for place, name in enumerate((made[0], made[len(made) // 2])):
        again = tmp_path / f"again-{place}"
        done = restore(open_backup(target, name), again, check=True)
        assert len(done.verified) == 3
        assert run_in_process(work, with_rows(again, folder)) == 0
        assert summary(again) == undisturbed


@pytest.mark.local("reads the journal's folder")
def test_no_acknowledged_answer_is_missing_from_a_backup_made_after_it(tiny: Path, tmp_path: Path) -> None:
    """A server answers and a shipper moves segments into the ledger, in the middle of it all."""
    noted = tmp_path / "acknowledged"
    answering = start(answer_for_ever, tiny, noted)
    try:
        while not noted.exists() or not noted.read_text():
            time.sleep(0.05)
        with Project(tiny) as project:
            for place in range(8):
                before = noted.read_text().split()[:-1]
                project.backup(tmp_path / "backups")
                project.ship()
                restore(open_backup(str(tmp_path / "backups")), tmp_path / f"again-{place}")
                with Project(tmp_path / f"again-{place}") as again:
                    again.ship()
                    kept = set(again.context.predictions.rows()["prediction_id"])
                assert set(before) <= kept
    finally:
        answering.kill()
        answering.join()


def test_the_second_backup_writes_only_what_is_new(tiny: Path, tmp_path: Path) -> None:
    with Project(tiny) as project:
        first = project.backup(tmp_path / "backups")
        second = project.backup(tmp_path / "backups")
    assert first.written == first.size
    assert 0 < second.written < 0.2 * second.size
    assert list_backups(str(tmp_path / "backups")) == [first.name, second.name]


def test_backups_are_kept_by_number_and_the_last_one_is_whole(tiny: Path, tmp_path: Path) -> None:
    with Project(tiny) as project:
        made = [project.backup(tmp_path / "backups", keep=2).name for _ in range(4)]
    assert list_backups(str(tmp_path / "backups")) == made[-2:]
    assert flaws_of(open_backup(str(tmp_path / "backups"))) == {}


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_leaves_a_whole_backup_or_none(tiny: Path, tmp_path: Path, seed: int) -> None:
    target = tmp_path / "backups"
    assert run_in_process(back_up_and_die, tiny, target, seed) == -signal.SIGKILL
    for name in list_backups(str(target)):
        assert flaws_of(open_backup(str(target), name)) == {}
    with Project(tiny) as project:
        project.backup(target)
    assert flaws_of(open_backup(str(target))) == {}


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_leaves_a_whole_record_or_none(tiny: Path, tmp_path: Path, seed: int) -> None:
    target, folder = str(tmp_path / "backups"), tmp_path / "again"
    with Project(tiny) as project:
        project.backup(target)
    assert run_in_process(restore_and_die, target, folder, seed) == -signal.SIGKILL
    if not (folder / ".keepwell").exists():
        restore(open_backup(target), folder)
    assert summary(folder) == summary(tiny)
    restore(open_backup(target), folder, replace=True)
    assert not list(tmp_path.glob(".again.restoring*"))


def test_a_flipped_byte_in_any_file_of_a_backup_is_found_by_name(tiny: Path, tmp_path: Path) -> None:
    with Project(tiny) as project:
        project.flush()
        project.backup(tmp_path / "backups")
    copy = open_backup(str(tmp_path / "backups"))
    for entry in copy.manifest.entries:
        path = tmp_path / "backups/files" / entry.digest[:2] / entry.digest
        with flipped(path, seed=len(path.name)):
            assert entry.name in flaws_of(copy)
            with pytest.raises(BackupCorrupt, match=entry.digest):
                restore(copy, tmp_path / "again")
            assert not (tmp_path / "again").exists()
    assert flaws_of(copy) == {}
    with flipped(next((tmp_path / "backups/backups").iterdir())), pytest.raises(BackupCorrupt, match="bytes have been changed"):
        open_backup(str(tmp_path / "backups"))


def test_a_backup_without_a_damaged_artifact_says_so(tiny: Path, tmp_path: Path) -> None:
    with Project(tiny) as project:
        card = project.version(1).card
        project.context.artifacts.remove(card)
        made = project.backup(tmp_path / "backups")
    assert list(made.damaged) == [f"artifacts/{card}"]
    assert "card of version 1" in made.damaged[f"artifacts/{card}"]
    with pytest.raises(BackupCorrupt, match="card of version 1"):
        restore(open_backup(str(tmp_path / "backups")), tmp_path / "again", check=True)


def test_two_at_a_time_are_refused(tiny: Path, tmp_path: Path) -> None:
    from keepwell.keeping.backup import alone

    with Project(tiny) as project, alone(project.context, "clean up"), pytest.raises(KeepingBusy, match="another backup or clean-up"):
        project.backup(tmp_path / "backups")


def test_where_there_is_none_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BackupNotFound, match="no complete backup"):
        open_backup(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_a_backup_of_the_chosen_stores_restores_into_the_embedded_ones_and_back(tiny: Path, tmp_path: Path) -> None:
    """On PostgreSQL and S3 this crosses over; the record is the same."""
    target = stores.store_url(tmp_path, "backups")
    with Project(tiny) as project:
        project.flush()
        project.backup(target)
    restore(open_backup(target), tmp_path / "embedded", check=True)
    before = summary(tiny)
    assert summary(tmp_path / "embedded") == before
    with Project(tmp_path / "embedded") as project:
        project.backup(tmp_path / "second")
    restore(open_backup(str(tmp_path / "second")), tmp_path / "grown", stores=stores.store_settings(), check=True)
    assert summary(tmp_path / "grown") == before


class flipped:  # noqa: N801 - reads as a word in `with`
    """A file with one bit of one byte changed, and as it was afterwards."""

    def __init__(self, path: Path, seed: int = 1) -> None:
        self.path, self.content = path, path.read_bytes()
        place = random.Random(seed).randrange(len(self.content))
        self.changed = self.content[:place] + bytes([self.content[place] ^ 1]) + self.content[place + 1 :]

    def __enter__(self) -> None:
        self.path.write_bytes(self.changed)

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.content)
