"""A record is acknowledged only when it lasts, and what was acknowledged is read back."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from keepwell.errors import InputInvalid, StorageUnavailable
from keepwell.serving import journal as journal_module
from keepwell.serving.journal import Journal
from keepwell.serving.segments import closed_segments, end_mark, read

SOURCES = Path(journal_module.__file__).parents[2]
SOON_S = 10


def start(program, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def records_in(folder):
    return [record for segment in closed_segments(folder) for record in read(segment)]


class Disk:
    """Stands before the disk's sync: counts it, slows it, holds it while `is_open` is cleared, lets the next `failing` ones fail."""

    def __init__(self):
        self.syncs, self.failing, self.pause_s = 0, 0, 0.0
        self.is_open, self.is_asked = threading.Event(), threading.Event()
        self.is_open.set()
        self._sync = os.fdatasync

    def __call__(self, descriptor):
        self.syncs += 1
        self.is_asked.set()
        assert self.is_open.wait(SOON_S)
        time.sleep(self.pause_s)
        if self.failing:
            self.failing -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._sync(descriptor)


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(os, "fdatasync", disk)
    return disk


def held(disk, journal, first=b"first"):
    """The first record's future, while the disk is held in the middle of its sync."""
    disk.is_open.clear()
    disk.is_asked.clear()
    done = journal.append(first)
    assert disk.is_asked.wait(SOON_S)
    return done


# --- order and durability ---------------------------------------------------------------------------------------------


def test_records_are_read_back_in_the_order_of_appending(tmp_path):
    sent = [b"%d" % n for n in range(1000)]
    with Journal(tmp_path) as journal:
        for done in [journal.append(record) for record in sent]:
            done.result(SOON_S)
    assert records_in(tmp_path) == sent


def test_records_handed_in_together_share_one_future(tmp_path):
    with Journal(tmp_path) as journal:
        assert journal.append_many([b"a", b"b"]).result(SOON_S) is None
        journal.append_many([]).result(SOON_S)
    assert records_in(tmp_path) == [b"a", b"b"]


def test_nothing_is_acknowledged_before_the_disk_has_synced(tmp_path, disk):
    with Journal(tmp_path) as journal:
        done = held(disk, journal)
        assert not done.done()
        disk.is_open.set()
        done.result(SOON_S)


def test_what_waits_for_the_disk_is_written_with_one_sync(tmp_path, disk):
    with Journal(tmp_path) as journal:
        waiting = [held(disk, journal)] + [journal.append(b"%d" % n) for n in range(64)]
        disk.is_open.set()
        for done in waiting:
            done.result(SOON_S)
        assert disk.syncs == 2


def test_threads_that_append_at_the_same_time_share_syncs(tmp_path, disk):
    def append_fifty(name):
        for n in range(50):
            journal.append(b"%d %d" % (name, n)).result(SOON_S)

    disk.pause_s = 0.002
    with Journal(tmp_path) as journal:
        threads = [threading.Thread(target=append_fifty, args=(name,)) for name in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = records_in(tmp_path)
    assert sorted(found) == sorted(b"%d %d" % (name, n) for name in range(16) for n in range(50))
    assert disk.syncs < len(found)


def test_a_caller_that_stops_waiting_does_not_stop_the_writing(tmp_path, disk):
    with Journal(tmp_path) as journal:
        done = held(disk, journal)
        assert not done.cancel()
        disk.is_open.set()
        journal.append(b"second").result(SOON_S)
    assert records_in(tmp_path) == [b"first", b"second"]


# --- roll-over --------------------------------------------------------------------------------------------------------


def test_a_segment_that_reached_its_size_is_sealed(tmp_path):
    with Journal(tmp_path, segment_bytes=1000) as journal:
        for n in range(30):
            journal.append(b"%100d" % n).result(SOON_S)
        sealed = closed_segments(tmp_path)
        assert [len(list(read(segment))) for segment in sealed] == [9, 9, 9]
    assert [int(record) for record in records_in(tmp_path)] == list(range(30))


def test_a_segment_that_reached_its_age_is_sealed_though_nothing_more_comes(tmp_path):
    with Journal(tmp_path, segment_s=0.05) as journal:
        journal.append(b"lonely").result(SOON_S)
        until = time.monotonic() + SOON_S
        while not closed_segments(tmp_path) and time.monotonic() < until:
            time.sleep(0.01)
        assert records_in(tmp_path) == [b"lonely"]


def test_roll_seals_at_once_and_an_empty_roll_leaves_nothing(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(b"a")
        journal.roll()
        journal.roll()
        assert records_in(tmp_path) == [b"a"]
        assert len(closed_segments(tmp_path)) == 1


def test_closing_writes_what_waits_and_leaves_only_sealed_segments(tmp_path):
    journal = Journal(tmp_path)
    done = journal.append(b"a")
    journal.close()
    journal.close()
    assert done.done()
    assert [path.suffix for path in tmp_path.iterdir()] == [".sealed"]
    with pytest.raises(StorageUnavailable, match="closed"):
        journal.append(b"b")
    with pytest.raises(StorageUnavailable, match="closed"):
        journal.roll()


# --- several writers --------------------------------------------------------------------------------------------------


def test_a_living_writers_open_segment_is_left_alone(tmp_path):
    with Journal(tmp_path) as living, Journal(tmp_path) as other:
        living.append(b"still open").result(SOON_S)
        other.append(b"sealed").result(SOON_S)
        other.roll()
        assert records_in(tmp_path) == [b"sealed"]


def test_a_dead_writers_segments_are_closed_whatever_their_state(tmp_path):
    """A copy of the folder is what a crash leaves: all files, and nobody who holds the lock."""
    with Journal(tmp_path / "alive") as journal:
        journal.append(b"sealed").result(SOON_S)
        journal.roll()
        journal.append(b"open").result(SOON_S)
        shutil.copytree(tmp_path / "alive", tmp_path / "dead")
    assert [segment.is_sealed for segment in closed_segments(tmp_path / "dead")] == [True, False]
    assert records_in(tmp_path / "dead") == [b"sealed", b"open"]


FORKS = """
import os, sys, time
from pathlib import Path
from keepwell.errors import StorageUnavailable
from keepwell.serving.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.append(b"before the fork").result()
child = os.fork()
if child == 0:
    try:
        journal.append(b"from the child")
    except StorageUnavailable as error:
        os.write(1, b"refused\\n")
    sys.stdin.read()
    os._exit(0)
os.write(1, b"%d\\n" % child)
time.sleep(60)
"""


def test_a_forked_child_neither_writes_nor_keeps_its_dead_parents_segment(tmp_path):
    with start(FORKS, tmp_path) as process:
        said = {process.stdout.readline(), process.stdout.readline()}
        assert b"refused\n" in said
        assert closed_segments(tmp_path) == []
        process.kill()
        process.wait(SOON_S)
        assert records_in(tmp_path) == [b"before the fork"]


# --- crashes ----------------------------------------------------------------------------------------------------------

APPENDS = """
import os, sys, threading
from pathlib import Path
from keepwell.serving.journal import Journal
journal = Journal(Path(sys.argv[1]), segment_bytes=int(sys.argv[2]))
def append(name):
    n = 0
    while True:
        n += 1
        record = b"%d.%d" % (name, n)
        journal.append(record + b" " * 300).result()
        os.write(1, record + b"\\n")
for name in range(16):
    threading.Thread(target=append, args=(name,), daemon=True).start()
threading.Event().wait()
"""


def test_kill_9_under_load_loses_no_acknowledged_record(tmp_path):
    with start(APPENDS, tmp_path, 100_000) as process:
        told = [process.stdout.readline() for _ in range(2000)]
        process.send_signal(signal.SIGKILL)
        told += process.stdout.readlines()
    assert len(closed_segments(tmp_path)) > 5
    found = [record.strip() for record in records_in(tmp_path)]
    assert len(set(found)) == len(found)
    assert {line.strip() for line in told if line.endswith(b"\n")} <= set(found)


# --- a disk that refuses ----------------------------------------------------------------------------------------------

FILLS = """
import resource, sys
from pathlib import Path
from keepwell.errors import StorageUnavailable
from keepwell.serving.journal import Journal
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
journal = Journal(Path(sys.argv[1]))
journal.append(b"before").result()
limit(1000)
try:
    journal.append(b"x" * 5000).result()
except StorageUnavailable as error:
    print(error)
journal.append(b"small enough").result()
limit(resource.RLIM_INFINITY)
journal.append(b"y" * 5000).result()
journal.close()
"""


def test_when_there_is_no_room_the_future_fails_and_later_records_are_readable(tmp_path):
    """A limit on the file's size cuts a write off in the middle, as a full disk does."""
    with start(FILLS, tmp_path) as process:
        said = process.stdout.read()
    assert b"File too large" in said
    assert process.returncode == 0
    assert records_in(tmp_path) == [b"before", b"small enough", b"y" * 5000]


@pytest.mark.parametrize("failing_cuts", [0, 1, 2], ids=["sync fails", "cutting back fails too", "and once more"])
def test_after_a_failed_sync_the_refused_record_is_gone_and_the_next_is_kept(tmp_path, disk, monkeypatch, failing_cuts):
    cut, refusals = os.ftruncate, [OSError(errno.EIO, "cannot cut")] * failing_cuts

    def cut_later(descriptor, length):
        if refusals:
            raise refusals.pop()
        cut(descriptor, length)

    monkeypatch.setattr(os, "ftruncate", cut_later)
    with Journal(tmp_path) as journal:
        journal.append(b"kept").result(SOON_S)
        disk.failing = 1
        with pytest.raises(StorageUnavailable, match="Input/output error"):
            journal.append(b"refused").result(SOON_S)
        while refusals:
            with pytest.raises(StorageUnavailable, match="cannot cut"):
                journal.append(b"refused too").result(SOON_S)
        journal.append(b"kept as well").result(SOON_S)
    assert records_in(tmp_path) == [b"kept", b"kept as well"]


def test_a_failed_record_that_cannot_be_cut_off_keeps_its_segment_unsealed(tmp_path, disk, monkeypatch):
    """Sealed means that every byte was synced; this one is closed only by its writer's end, when a torn tail is forgiven."""

    def refuse(descriptor, length):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with Journal(tmp_path) as journal:
        journal.append(b"kept").result(SOON_S)
        monkeypatch.setattr(os, "ftruncate", refuse)
        disk.failing = 1
        with pytest.raises(StorageUnavailable):
            journal.append(b"refused").result(SOON_S)
        with pytest.raises(StorageUnavailable, match="Read-only"):
            journal.roll()
        assert closed_segments(tmp_path) == []
    assert [segment.is_sealed for segment in closed_segments(tmp_path)] == [False]
    assert records_in(tmp_path)[0] == b"kept"


@pytest.mark.parametrize("failing", ["mark", "sync", "name", "name and cut"])
def test_a_segment_that_cannot_be_sealed_stays_in_use(tmp_path, disk, monkeypatch, failing):
    """Its end mark goes again before the next record is written; the seal that works counts all of them."""
    write, cut = os.write, os.ftruncate

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(tmp_path) as journal:
        journal.append(b"before").result(SOON_S)
        with monkeypatch.context() as patched:
            if failing == "mark":
                patched.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:5]) if len(content) == 12 else refuse())
            elif failing == "sync":
                disk.failing = 1
            else:
                patched.setattr(os, "rename", refuse)
                patched.setattr(os, "ftruncate", refuse if failing == "name and cut" else cut)
            with pytest.raises(StorageUnavailable, match=r"No space left|Input/output"):
                journal.roll()
        assert closed_segments(tmp_path) == []
        journal.append(b"after").result(SOON_S)
        journal.roll()
        assert [segment.is_sealed for segment in closed_segments(tmp_path)] == [True]
    assert records_in(tmp_path) == [b"before", b"after"]


def test_a_writer_that_died_before_the_name_leaves_the_mark_behind(tmp_path, monkeypatch):
    """What a kill between the end mark and the rename leaves is read as it is."""
    with Journal(tmp_path / "alive") as journal:
        journal.append_many([b"a", b"b"]).result(SOON_S)
        monkeypatch.setattr(os, "rename", lambda *_: shutil.copytree(tmp_path / "alive", tmp_path / "dead", dirs_exist_ok=True))
        journal.roll()
    assert next((tmp_path / "dead").glob("*.open")).read_bytes().endswith(end_mark(2))
    assert records_in(tmp_path / "dead") == [b"a", b"b"]


def test_a_record_in_a_removed_segment_is_not_acknowledged(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(b"lost by hand").result(SOON_S)
        next(tmp_path.glob("*.open")).unlink()
        with pytest.raises(StorageUnavailable, match="removed while it was written"):
            journal.append(b"refused").result(SOON_S)
        journal.append(b"kept").result(SOON_S)
    assert records_in(tmp_path) == [b"kept"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="journal"):
        Journal(tmp_path / "file" / "journal")


# --- back-pressure ----------------------------------------------------------------------------------------------------


def test_when_too_much_waits_a_record_is_refused_at_once_or_after_the_wait(tmp_path, disk):
    with Journal(tmp_path, waiting_bytes=1000) as journal:
        held(disk, journal, b"x" * 600)
        for wait_s in (0, 0.05):
            with pytest.raises(StorageUnavailable, match="wait for the disk and no more than 1000 may"):
                journal.append(b"y" * 600, wait_s=wait_s)
        disk.is_open.set()
        journal.append(b"z" * 600).result(SOON_S)
    assert [record[:1] for record in records_in(tmp_path)] == [b"x", b"z"]


def test_a_callback_on_the_writing_thread_is_refused_rather_than_waiting_for_itself(tmp_path, disk):
    refused, is_told = [], threading.Event()

    def append_more(done):
        try:
            journal.append(b"w" * 900, wait_s=SOON_S)
        except StorageUnavailable as error:
            refused.append(str(error))
        is_told.set()

    with Journal(tmp_path, waiting_bytes=1000) as journal:
        held(disk, journal).add_done_callback(append_more)
        journal.append(b"x" * 900)
        disk.is_open.set()
        assert is_told.wait(SOON_S / 2)
    assert "no more than 1000 may" in refused[0]


def test_a_record_larger_than_what_may_wait_is_refused(tmp_path):
    with Journal(tmp_path, waiting_bytes=1000) as journal, pytest.raises(InputInvalid, match=r"larger than 1000 bytes\. Send fewer"):
        journal.append(b"x" * 1000)
